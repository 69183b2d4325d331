// Finds the state dict in what was saved, and lists its tensors; see checkpoint.h.
#include "runtime/checkpoint/checkpoint_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Names under which training scripts put the state dict, in this order.
static const char *const WRAPPERS[] = {"model", "state_dict", "model_state_dict", "module"};
enum { N_WRAPPERS = sizeof WRAPPERS / sizeof *WRAPPERS, MOST_WRAPPERS = 4 };

static bool holds_tensors(const XvPickle *value)
{
    if (value->kind == XV_PICKLE_TENSOR) {
        return true;
    }
    size_t n_items = value->kind == XV_PICKLE_DICT ? 2 * (size_t)value->count
                     : value->kind == XV_PICKLE_LIST || value->kind == XV_PICKLE_TUPLE ? value->count
                                                                                       : 0;
    for (size_t i = 0; i < n_items; i++) {
        if (holds_tensors(value->items[i])) {
            return true;
        }
    }
    return false;
}

static const XvPickle *wrapped(const XvPickle *value, const char **name)
{
    for (int i = 0; i < N_WRAPPERS; i++) {
        const XvPickle *inner = xv_pickle_get(value, WRAPPERS[i]);
        if (inner && inner->kind == XV_PICKLE_DICT && holds_tensors(inner)) {
            *name = WRAPPERS[i];
            return inner;
        }
    }
    return NULL;
}

// Tensors ----------------------------------------------------------------------------------------------------------

typedef struct Listing {
    XvCheckpoint *checkpoint;
    const XvStoragePlace *places;
    int n_places;
    int capacity;
    XvPickleTree *tree;  // whose memory the names go to
    XvError *error;
} Listing;

// Names that are no key of the pickle live in a list of their own, behind the tensors' array in memory.
typedef struct Path {
    const struct Path *outer;
    const char *name;
} Path;

static size_t path_length(const Path *path)
{
    return path ? path_length(path->outer) + strlen(path->name) + 1 : 0;
}

static void path_text(const Path *path, char *out)
{
    if (path->outer) {
        path_text(path->outer, out);
        strcat(out, ".");
    }
    strcat(out, path->name);
}

static bool add_tensor(Listing *listing, const Path *path, const XvPickleTensor *tensor)
{
    XvCheckpoint *checkpoint = listing->checkpoint;
    if (checkpoint->n_tensors == listing->capacity) {
        int capacity = listing->capacity ? 2 * listing->capacity : 1024;
        XvCheckpointTensor *grown = realloc(checkpoint->tensors, (size_t)capacity * sizeof *grown);
        if (!grown) {
            return xv_fail(listing->error, "no memory");
        }
        checkpoint->tensors = grown;
        listing->capacity = capacity;
    }
    char *name = xv_pickle_memory(listing->tree, path_length(path) + 1);
    if (!name) {
        return xv_fail(listing->error, "no memory");
    }
    path_text(path, name);
    const XvPickleStorage *storage = tensor->storage;
    const XvStoragePlace *place = xv_storage_place(listing->places, listing->n_places, storage->key);
    XvCheckpointTensor *out = &checkpoint->tensors[checkpoint->n_tensors++];
    *out = (XvCheckpointTensor){.name = name,
                                .dtype = storage->dtype,
                                .rank = tensor->rank,
                                .count = 1,
                                .storage = (int)(place - listing->places)};
    for (int i = 0; i < tensor->rank; i++) {
        out->shape[i] = tensor->shape[i];
        out->stride[i] = tensor->stride[i];
        out->count *= tensor->shape[i];
    }
    out->offset =
        place->offset + (storage->root_offset + tensor->offset) * (int64_t)xv_dtype_size(storage->dtype);
    return true;
}

static bool add_tensors(Listing *listing, const Path *outer, const XvPickle *value)
{
    if (value->kind == XV_PICKLE_TENSOR) {
        return add_tensor(listing, outer, value->tensor);
    }
    bool is_dict = value->kind == XV_PICKLE_DICT;
    if (!is_dict && value->kind != XV_PICKLE_LIST && value->kind != XV_PICKLE_TUPLE) {
        return true;
    }
    for (uint32_t i = 0; i < value->count; i++) {
        const XvPickle *item = value->items[is_dict ? 2 * (size_t)i + 1 : i];
        const char *key = is_dict ? xv_pickle_text(value->items[2 * (size_t)i]) : NULL;
        char number[24];
        int64_t index = i;
        if (is_dict && !key) {
            xv_pickle_integer(value->items[2 * (size_t)i], &index);
        }
        snprintf(number, sizeof number, "%lld", (long long)index);
        Path path = {outer, key ? key : number};
        if (!add_tensors(listing, &path, item)) {
            return false;
        }
    }
    return true;
}

// Metadata ---------------------------------------------------------------------------------------------------------

// The values beside the state dict, of every level that wraps it.
static bool add_metadata(FILE *out, const XvPickle *level, const char *wrapper, bool *is_first)
{
    for (uint32_t i = 0; level->kind == XV_PICKLE_DICT && i < level->count; i++) {
        const char *key = xv_pickle_text(level->items[2 * (size_t)i]);
        const XvPickle *value = level->items[2 * (size_t)i + 1];
        if (!key || (wrapper && strcmp(key, wrapper) == 0) || holds_tensors(value)) {
            continue;
        }
        char *name = xv_pickle_json(level->items[2 * (size_t)i]), *text = xv_pickle_json(value);
        bool is_written = name && text && fprintf(out, "%s%s: %s", *is_first ? "" : ", ", name, text) > 0;
        *is_first = false;
        free(name);
        free(text);
        if (!is_written) {
            return false;
        }
    }
    return true;
}

static void add_place(XvCheckpoint *checkpoint, const char *name)
{
    size_t used = strlen(checkpoint->place);
    snprintf(checkpoint->place + used, sizeof checkpoint->place - used, "%s%s", used ? "." : "", name);
}

// Descends to the state dict; what lies beside the way goes to `out`.
static const XvPickle *descend(XvCheckpoint *checkpoint, const XvPickle *root, FILE *out)
{
    bool is_first = true, is_written = fputc('{', out) == '{';
    for (int depth = 0; depth < MOST_WRAPPERS && is_written; depth++) {
        const char *name = NULL;
        const XvPickle *inner = wrapped(root, &name);
        is_written = add_metadata(out, root, name, &is_first);
        if (!inner) {
            break;
        }
        add_place(checkpoint, name);
        root = inner;
    }
    fputc('}', out);
    return is_written ? root : NULL;
}

bool xv_state_dict_read(XvCheckpoint *checkpoint, const XvPickle *root, const XvStoragePlace *places,
                        int n_places, XvError *error)
{
    size_t length = 0;
    FILE *out = open_memstream(&checkpoint->metadata, &length);
    const XvPickle *state = out ? descend(checkpoint, root, out) : NULL;
    if ((out && fclose(out) != 0) || !state) {
        return xv_fail(error, "no memory");
    }
    if (state->kind == XV_PICKLE_TENSOR || !holds_tensors(state)) {
        return xv_fail(error, "holds no named tensors");
    }
    Listing listing = {.checkpoint = checkpoint,
                       .places = places,
                       .n_places = n_places,
                       .tree = checkpoint->owner,
                       .error = error};
    return add_tensors(&listing, NULL, state);
}
