// PyTorch's two file formats: where the pickle is and where each of its storages lies. See checkpoint.h.
#include "runtime/checkpoint/checkpoint_internal.h"
#include "runtime/checkpoint/zip.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Storages ---------------------------------------------------------------------------------------------------------

static int by_key(const void *a, const void *b)
{
    return strcmp(((const XvStoragePlace *)a)->storage->key, ((const XvStoragePlace *)b)->storage->key);
}

const XvStoragePlace *xv_storage_place(const XvStoragePlace *places, int n_places, const char *key)
{
    XvPickleStorage storage = {.key = key};
    XvStoragePlace wanted = {.storage = &storage};
    return n_places ? bsearch(&wanted, places, (size_t)n_places, sizeof wanted, by_key) : NULL;
}

static int64_t storage_bytes(const XvPickleStorage *storage)
{
    return storage->root_count * (int64_t)xv_dtype_size(storage->dtype);
}

bool xv_storage_places(const XvPickleTree *tree, XvStoragePlace **places, int *n_places, XvError *error)
{
    int64_t count = 0;
    for (const XvPickleStorage *storage = tree->storages; storage; storage = storage->next) {
        count++;
    }
    *n_places = 0;
    *places = count < INT32_MAX ? calloc((size_t)count + 1, sizeof **places) : NULL;
    if (!*places) {
        return xv_fail(error, "no memory");
    }
    count = 0;
    for (const XvPickleStorage *storage = tree->storages; storage; storage = storage->next) {
        (*places)[count++].storage = storage;
    }
    qsort(*places, (size_t)count, sizeof **places, by_key);
    for (int64_t i = 0; i < count; i++) {
        const XvPickleStorage *storage = (*places)[i].storage;
        const XvPickleStorage *last = *n_places ? (*places)[*n_places - 1].storage : NULL;
        if (!last || strcmp(last->key, storage->key) != 0) {
            (*places)[(*n_places)++] = (*places)[i];
        } else if (storage_bytes(last) != storage_bytes(storage)) {
            return xv_fail(error, "storage \"%s\" has two sizes", storage->key);
        }
    }
    return true;
}

// Archives ---------------------------------------------------------------------------------------------------------

// The pickle is NAME/data.pkl, where NAME is what the file was called; the storages are NAME/data/KEY.
static const XvZipEntry *find_pickle(const XvZip *zip, XvError *error)
{
    for (int i = 0; i < zip->n_entries; i++) {
        const char *slash = strchr(zip->entries[i].name, '/');
        if (slash && strcmp(slash, "/data.pkl") == 0) {
            if (!zip->entries[i].is_stored) {
                xv_fail(error,
                        "%s is compressed; torch.save never does that. Unpack the archive and save it again",
                        zip->entries[i].name);
                return NULL;
            }
            return &zip->entries[i];
        }
    }
    xv_fail(error, "is a zip archive without a data.pkl: not a PyTorch checkpoint");
    return NULL;
}

typedef struct Archive {
    XvZip zip;
    char *folder;  // "archive/", with room for names behind it
    size_t folder_length, room;
} Archive;

static const XvZipEntry *entry_of(Archive *archive, const char *part, const char *key)
{
    int wanted = snprintf(archive->folder + archive->folder_length, archive->room, "%s%s", part, key);
    return wanted >= 0 && (size_t)wanted < archive->room ? xv_zip_find(&archive->zip, archive->folder) : NULL;
}

static bool place_entries(Archive *archive, XvStoragePlace *places, int n_places, XvError *error)
{
    for (int i = 0; i < n_places; i++) {
        const XvPickleStorage *storage = places[i].storage;
        const XvZipEntry *entry = entry_of(archive, "data/", storage->key);
        if (!entry || !entry->is_stored) {
            return xv_fail(error, "storage \"%s\" is %s", storage->key,
                           entry ? "compressed" : "not in the archive");
        }
        if (entry->size != storage_bytes(storage)) {
            return xv_fail(error,
                           "storage \"%s\" has %" PRId64 " bytes, %" PRId64 " elements of %s need %" PRId64,
                           storage->key, entry->size, storage->root_count, xv_dtype_name(storage->dtype),
                           storage_bytes(storage));
        }
        places[i].offset = entry->offset;
    }
    return true;
}

static bool read_order(XvCheckpoint *checkpoint, Archive *archive, XvError *error)
{
    const XvZipEntry *entry = entry_of(archive, "byteorder", "");
    if (!entry) {
        return true;  // older than the entry: little
    }
    const char *text = (const char *)checkpoint->bytes + entry->offset;
    bool is_little = entry->size == 6 && memcmp(text, "little", 6) == 0;
    checkpoint->is_swapped = entry->size == 3 && memcmp(text, "big", 3) == 0;
    return is_little || checkpoint->is_swapped ||
           xv_fail(error, "the byte order of the archive is not known");
}

static bool read_object(XvCheckpoint *checkpoint, Archive *archive, const XvPickleTree *tree, XvError *error)
{
    XvStoragePlace *places = NULL;
    int n_places = 0;
    bool is_read = read_order(checkpoint, archive, error) &&
                   xv_storage_places(tree, &places, &n_places, error) &&
                   place_entries(archive, places, n_places, error) &&
                   xv_state_dict_read(checkpoint, tree->root, places, n_places, error);
    free(places);
    return is_read;
}

static bool read_archive(XvCheckpoint *checkpoint, Archive *archive, XvError *error)
{
    const XvZipEntry *entry = find_pickle(&archive->zip, error);
    XvPickleTree *tree = entry ? calloc(1, sizeof *tree) : NULL;
    if (!tree) {
        return entry ? xv_fail(error, "no memory") : false;
    }
    checkpoint->owner = tree;
    archive->folder_length = strlen(entry->name) - strlen("data.pkl");
    archive->room = 4096;
    archive->folder = malloc(archive->folder_length + archive->room);
    if (!archive->folder) {
        return xv_fail(error, "no memory");
    }
    memcpy(archive->folder, entry->name, archive->folder_length);
    return xv_pickle_read(tree, checkpoint->bytes + entry->offset, (size_t)entry->size, XV_PICKLE_CHECKPOINT,
                          error) &&
           read_object(checkpoint, archive, tree, error);
}

bool xv_torch_archive_read(XvCheckpoint *checkpoint, XvError *error)
{
    Archive archive = {0};
    if (!xv_zip_read(&archive.zip, checkpoint->bytes, checkpoint->size, error)) {
        return false;
    }
    bool is_read = read_archive(checkpoint, &archive, error);
    xv_zip_free(&archive.zip);
    free(archive.folder);
    return is_read;
}

// Legacy files -----------------------------------------------------------------------------------------------------

// Pickles follow one another: a magic number, the version, facts on the machine, the object, the keys of the storages.
// Then the storages in the order of the keys: the number of elements in 8 bytes, the elements.
static const char MAGIC[] = "0x1950a86a20f9469cfc6c";
enum { LEGACY_VERSION = 1001 };

static bool next_pickle(const XvCheckpoint *checkpoint, int64_t *at, XvPickleTree *tree, XvError *error)
{
    XvPickleUse use = XV_PICKLE_CHECKPOINT;
    if (!xv_pickle_read(tree, checkpoint->bytes + *at, (size_t)(checkpoint->size - *at), use, error)) {
        return xv_fail_in(error, "in the pickle that starts at byte %" PRId64, *at);
    }
    *at += (int64_t)tree->end;
    return true;
}

static bool read_prologue(XvCheckpoint *checkpoint, int64_t *at, XvError *error)
{
    XvPickleTree tree;
    if (!next_pickle(checkpoint, at, &tree, error)) {
        return false;
    }
    bool is_torch = tree.root->kind == XV_PICKLE_WIDE && strcmp(tree.root->text, MAGIC) == 0;
    xv_pickle_free(&tree);
    if (!is_torch) {
        return xv_fail(error, "is a pickle, but not one that torch.save wrote");
    }
    if (!next_pickle(checkpoint, at, &tree, error)) {
        return false;
    }
    int64_t version = 0;
    bool is_known = xv_pickle_integer(tree.root, &version) && version == LEGACY_VERSION;
    xv_pickle_free(&tree);
    if (!is_known) {
        return xv_fail(error, "has version %" PRId64 " of the legacy format, %d is known", version,
                       LEGACY_VERSION);
    }
    if (!next_pickle(checkpoint, at, &tree, error)) {
        return false;
    }
    int64_t is_little = 1;
    xv_pickle_integer(xv_pickle_get(tree.root, "little_endian"), &is_little);
    checkpoint->is_swapped = !is_little;
    xv_pickle_free(&tree);
    return true;
}

// Steps over one storage; *at is behind it afterwards.
static bool place_next(const XvCheckpoint *checkpoint, int64_t *at, XvStoragePlace *place, XvError *error)
{
    const XvPickleStorage *storage = place->storage;
    uint64_t count = 0;
    if (checkpoint->size - *at < 8) {
        return xv_fail(error, "ends before storage \"%s\"; is the file complete?", storage->key);
    }
    for (int i = 0; i < 8; i++) {
        count |= (uint64_t)checkpoint->bytes[*at + i] << 8 * (checkpoint->is_swapped ? 7 - i : i);
    }
    *at += 8;
    if (count != (uint64_t)storage->root_count) {
        return xv_fail(error, "storage \"%s\" has %" PRIu64 " elements, its tensors expect %" PRId64,
                       storage->key, count, storage->root_count);
    }
    if (storage_bytes(storage) > checkpoint->size - *at) {
        return xv_fail(error, "ends inside storage \"%s\" of %" PRId64 " bytes; is the file complete?",
                       storage->key, storage_bytes(storage));
    }
    place->offset = *at;
    *at += storage_bytes(storage);
    return true;
}

static bool place_storages(const XvCheckpoint *checkpoint, int64_t at, const XvPickle *keys,
                           XvStoragePlace *places, int n_places, XvError *error)
{
    if (keys->kind != XV_PICKLE_LIST) {
        return xv_fail(error, "has no list of storages");
    }
    int n_placed = 0;
    for (uint32_t i = 0; i < keys->count; i++) {
        const char *key = xv_pickle_text(keys->items[i]);
        XvStoragePlace *place = key ? (XvStoragePlace *)xv_storage_place(places, n_places, key) : NULL;
        if (!place || place->offset != 0) {
            return xv_fail(error, "lists a storage that no tensor uses, or one twice");
        }
        if (!place_next(checkpoint, &at, place, error)) {
            return false;
        }
        n_placed++;
    }
    return n_placed == n_places ||
           xv_fail(error, "lists %d storages, the tensors use %d", n_placed, n_places);
}

bool xv_torch_legacy_read(XvCheckpoint *checkpoint, XvError *error)
{
    int64_t at = 0;
    XvPickleTree *tree = calloc(1, sizeof *tree), keys = {0};
    checkpoint->owner = tree;
    if (!tree) {
        return xv_fail(error, "no memory");
    }
    if (!read_prologue(checkpoint, &at, error) || !next_pickle(checkpoint, &at, tree, error) ||
        !next_pickle(checkpoint, &at, &keys, error)) {
        return false;
    }
    XvStoragePlace *places = NULL;
    int n_places = 0;
    bool is_read = xv_storage_places(tree, &places, &n_places, error) &&
                   place_storages(checkpoint, at, keys.root, places, n_places, error) &&
                   xv_state_dict_read(checkpoint, tree->root, places, n_places, error);
    free(places);
    xv_pickle_free(&keys);
    return is_read;
}
