// The directory of a zip archive; see zip.h. Layout: APPNOTE.TXT of PKWARE, sections 4.3.7 (local header), 4.3.12
// (central directory), 4.3.14 to 4.3.16 (ends of it), 4.5.3 (zip64 extra field).
#include "runtime/checkpoint/zip.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOCAL_BYTES = 30,
    CENTRAL_BYTES = 46,
    END_BYTES = 22,
    END64_BYTES = 56,
    LOCATOR_BYTES = 20,
    MOST_COMMENT = 65535,
    IS_ENCRYPTED = 1,
    ZIP64_FIELD = 1,
    MOST_ENTRIES = 1 << 24,
};

typedef struct Bytes {
    const uint8_t *at;
    int64_t size;
} Bytes;

// Little-endian numbers; callers have checked that they are there.
static uint64_t number(const uint8_t *at, int width)
{
    uint64_t value = 0;
    for (int i = width - 1; i >= 0; i--) {
        value = value << 8 | at[i];
    }
    return value;
}

static bool is_signature(const uint8_t *at, uint32_t wanted)
{
    return number(at, 4) == wanted;
}

typedef struct Directory {
    uint64_t offset, bytes, n_entries;
} Directory;

// The record at the end: searched backwards, since a comment may follow it.
static bool find_end(const Bytes *archive, int64_t *at, XvError *error)
{
    int64_t lowest = archive->size - END_BYTES - MOST_COMMENT;
    for (*at = archive->size - END_BYTES; *at >= 0 && *at >= lowest; (*at)--) {
        const uint8_t *end = archive->at + *at;
        if (is_signature(end, 0x06054b50) &&
            (int64_t)number(end + 20, 2) <= archive->size - *at - END_BYTES) {
            return true;
        }
    }
    return xv_fail(error, "the archive has no directory at its end; is the file complete?");
}

static bool read_end64(const Bytes *archive, int64_t end, Directory *directory, XvError *error)
{
    int64_t locator = end - LOCATOR_BYTES;
    if (locator < 0 || !is_signature(archive->at + locator, 0x07064b50)) {
        return xv_fail(error, "the archive is larger than its directory can say");
    }
    uint64_t offset = number(archive->at + locator + 8, 8);
    if (locator < END64_BYTES || offset > (uint64_t)(locator - END64_BYTES) ||
        !is_signature(archive->at + offset, 0x06064b50)) {
        return xv_fail(error, "the zip64 directory is not where the archive says");
    }
    const uint8_t *end64 = archive->at + offset;
    *directory = (Directory){
        .n_entries = number(end64 + 32, 8), .bytes = number(end64 + 40, 8), .offset = number(end64 + 48, 8)};
    return true;
}

static bool find_directory(const Bytes *archive, Directory *directory, XvError *error)
{
    int64_t at;
    if (!find_end(archive, &at, error)) {
        return false;
    }
    const uint8_t *end = archive->at + at;
    *directory = (Directory){
        .n_entries = number(end + 10, 2), .bytes = number(end + 12, 4), .offset = number(end + 16, 4)};
    bool is_zip64 = directory->n_entries == UINT16_MAX || directory->bytes == UINT32_MAX ||
                    directory->offset == UINT32_MAX;
    if (is_zip64 && !read_end64(archive, at, directory, error)) {
        return false;
    }
    if (directory->offset > (uint64_t)at || directory->bytes > (uint64_t)at - directory->offset) {
        return xv_fail(error, "the archive's directory lies outside it; is the file complete?");
    }
    // Every row takes CENTRAL_BYTES at least, which also bounds the memory for them.
    if (directory->n_entries > directory->bytes / CENTRAL_BYTES || directory->n_entries > MOST_ENTRIES) {
        return xv_fail(error, "the archive's directory is too short for its %" PRIu64 " entries",
                       directory->n_entries);
    }
    return true;
}

// Sizes and offsets that did not fit 32 bits, in this order, each only if its field is full.
static bool read_zip64_field(const uint8_t *extra, uint64_t length, uint64_t *values[3])
{
    while (length >= 4) {
        uint64_t id = number(extra, 2), bytes = number(extra + 2, 2);
        if (bytes > length - 4) {
            return false;
        }
        if (id == ZIP64_FIELD) {
            const uint8_t *at = extra + 4;
            for (int i = 0; i < 3; i++) {
                if (*values[i] != UINT32_MAX) {
                    continue;
                }
                if (bytes < 8) {
                    return false;
                }
                *values[i] = number(at, 8);
                at += 8;
                bytes -= 8;
            }
            return true;
        }
        extra += 4 + bytes;
        length -= 4 + bytes;
    }
    return true;
}

// The data begins behind the local header, whose lengths differ from those of the directory.
static bool locate(const Bytes *archive, uint64_t header, XvZipEntry *entry, uint64_t size, XvError *error)
{
    uint64_t total = (uint64_t)archive->size;
    if (total < LOCAL_BYTES || header > total - LOCAL_BYTES ||
        !is_signature(archive->at + header, 0x04034b50)) {
        return xv_fail(error, "entry \"%s\" is not where the directory says; is the file complete?",
                       entry->name);
    }
    const uint8_t *local = archive->at + header;
    uint64_t before = LOCAL_BYTES + number(local + 26, 2) + number(local + 28, 2);
    if (before > total - header || size > total - header - before) {
        return xv_fail(error, "entry \"%s\" of %" PRIu64 " bytes reaches beyond the archive", entry->name,
                       size);
    }
    entry->offset = (int64_t)(header + before);
    entry->size = (int64_t)size;
    return true;
}

// One row of the directory, at most `left` bytes; *used is its length. The name goes to `name`.
static bool read_row(const Bytes *archive, const uint8_t *row, uint64_t left, XvZipEntry *entry, char *name,
                     uint64_t *used, XvError *error)
{
    if (left < CENTRAL_BYTES || !is_signature(row, 0x02014b50)) {
        return xv_fail(error, "the archive's directory is damaged");
    }
    uint64_t name_bytes = number(row + 28, 2), extra_bytes = number(row + 30, 2),
             comment_bytes = number(row + 32, 2);
    *used = CENTRAL_BYTES + name_bytes + extra_bytes + comment_bytes;
    if (*used > left || memchr(row + CENTRAL_BYTES, 0, name_bytes)) {
        return xv_fail(error, "the archive's directory is damaged");
    }
    memcpy(name, row + CENTRAL_BYTES, name_bytes);
    name[name_bytes] = 0;
    uint64_t packed = number(row + 20, 4), size = number(row + 24, 4), header = number(row + 42, 4);
    uint64_t *wide[3] = {&size, &packed, &header};
    *entry = (XvZipEntry){.name = name, .checksum = (uint32_t)number(row + 16, 4)};
    if (!read_zip64_field(row + CENTRAL_BYTES + name_bytes, extra_bytes, wide)) {
        return xv_fail(error, "entry \"%s\" has a damaged zip64 field", name);
    }
    entry->is_stored = number(row + 10, 2) == 0 && !(number(row + 8, 2) & IS_ENCRYPTED) && packed == size;
    return locate(archive, header, entry, entry->is_stored ? size : 0, error);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const XvZipEntry *)a)->name, ((const XvZipEntry *)b)->name);
}

static bool read_rows(XvZip *zip, const Bytes *archive, const Directory *directory, XvError *error)
{
    const uint8_t *row = archive->at + directory->offset;
    uint64_t left = directory->bytes;
    char *name = zip->names;
    for (uint64_t i = 0; i < directory->n_entries; i++) {
        uint64_t used = 0;
        if (!read_row(archive, row, left, &zip->entries[i], name, &used, error)) {
            return false;
        }
        name += strlen(name) + 1;
        row += used;
        left -= used;
        zip->n_entries++;
    }
    qsort(zip->entries, (size_t)zip->n_entries, sizeof *zip->entries, by_name);
    for (int i = 1; i < zip->n_entries; i++) {
        if (strcmp(zip->entries[i - 1].name, zip->entries[i].name) == 0) {
            return xv_fail(error, "the archive has two entries \"%s\"", zip->entries[i].name);
        }
    }
    return true;
}

bool xv_zip_read(XvZip *zip, const uint8_t *bytes, int64_t size, XvError *error)
{
    Bytes archive = {bytes, size};
    Directory directory;
    *zip = (XvZip){0};
    if (!find_directory(&archive, &directory, error)) {
        return false;
    }
    // A row is longer than its name and the 0 behind it.
    zip->entries = calloc((size_t)directory.n_entries + 1, sizeof *zip->entries);
    zip->names = malloc((size_t)directory.bytes + 1);
    if (!zip->entries || !zip->names) {
        xv_zip_free(zip);
        return xv_fail(error, "no memory for the archive's directory");
    }
    if (!read_rows(zip, &archive, &directory, error)) {
        xv_zip_free(zip);
        return false;
    }
    return true;
}

void xv_zip_free(XvZip *zip)
{
    free(zip->entries);
    free(zip->names);
    *zip = (XvZip){0};
}

const XvZipEntry *xv_zip_find(const XvZip *zip, const char *name)
{
    XvZipEntry wanted = {.name = name};
    return zip->n_entries ? bsearch(&wanted, zip->entries, (size_t)zip->n_entries, sizeof wanted, by_name)
                          : NULL;
}
