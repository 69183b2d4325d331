// Values of a pickle: their memory, look-ups, files, and the check that the result is a tree of bearable size; see
// pickle.h.
#include "runtime/checkpoint/pickle_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

// A checkpoint of a thousand tensors needs a megabyte; the document frequencies of COCO some 500.
static const size_t MEMORY_LIMIT = (size_t)2 << 30;
enum { CHUNK_BYTES = 1 << 16 };

typedef struct Chunk {
    struct Chunk *next;
    size_t used, size;
    max_align_t data[];
} Chunk;

void *xv_unpickle_alloc(XvUnpickler *unpickler, size_t bytes)
{
    bytes = (bytes + 7) & ~(size_t)7;
    Chunk *chunk = unpickler->memory;
    if (bytes > MEMORY_LIMIT - unpickler->memory_used) {
        xv_unpickle_fail(unpickler, "needs more than %zu MiB of memory", MEMORY_LIMIT >> 20);
        return NULL;
    }
    if (!chunk || chunk->size - chunk->used < bytes) {
        size_t size = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
        chunk = calloc(1, sizeof *chunk + size);
        if (!chunk) {
            xv_unpickle_fail(unpickler, "no memory");
            return NULL;
        }
        *chunk = (Chunk){.next = unpickler->memory, .size = size};
        unpickler->memory = chunk;
    }
    void *memory = (char *)chunk->data + chunk->used;
    chunk->used += bytes;
    unpickler->memory_used += bytes;
    return memory;
}

void xv_pickle_free_memory(void *memory)
{
    for (Chunk *chunk = memory; chunk;) {
        Chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
}

void xv_pickle_free(XvPickleTree *tree)
{
    xv_pickle_free_memory(tree->memory);
    *tree = (XvPickleTree){0};
}

void *xv_pickle_memory(XvPickleTree *tree, size_t bytes)
{
    Chunk *chunk = calloc(1, sizeof *chunk + bytes);
    if (!chunk) {
        return NULL;
    }
    *chunk = (Chunk){.next = tree->memory, .used = bytes, .size = bytes};
    tree->memory = chunk;
    return chunk->data;
}

XvPickle *xv_unpickle_value(XvUnpickler *unpickler, XvPickleKind kind)
{
    XvPickle *value = xv_unpickle_alloc(unpickler, sizeof *value);
    if (value) {
        value->kind = kind;
    }
    return value;
}

XvPickle *xv_unpickle_integer(XvUnpickler *unpickler, int64_t integer)
{
    XvPickle *value = xv_unpickle_value(unpickler, XV_PICKLE_INTEGER);
    if (value) {
        value->integer = integer;
    }
    return value;
}

XvPickle *xv_unpickle_text(XvUnpickler *unpickler, XvPickleKind kind, const void *text, size_t length)
{
    if (length >= UINT32_MAX) {
        xv_unpickle_fail(unpickler, "a text of %zu bytes is too long", length);
        return NULL;
    }
    XvPickle *value = xv_unpickle_value(unpickler, kind);
    char *copy = value ? xv_unpickle_alloc(unpickler, length + 1) : NULL;
    if (!copy) {
        return NULL;
    }
    if (length > 0) {
        memcpy(copy, text, length);
    }
    value->text = copy;
    value->count = (uint32_t)length;
    return value;
}

XvPickle *xv_unpickle_internal(XvUnpickler *unpickler, const void *internal)
{
    XvPickle *value = xv_unpickle_value(unpickler, XV_PICKLE_INTERNAL);
    if (value) {
        value->internal = internal;
    }
    return value;
}

const void *xv_unpickle_internal_of(const XvPickle *value, XvPickleInternal internal)
{
    bool is_such =
        value->kind == XV_PICKLE_INTERNAL && *(const XvPickleInternal *)value->internal == internal;
    return is_such ? value->internal : NULL;
}

bool xv_unpickle_append(XvUnpickler *unpickler, XvPickle *container, XvPickle *const *items, size_t count)
{
    size_t step = container->kind == XV_PICKLE_DICT ? 2 : 1;
    size_t used = (size_t)container->count * step;
    if (count > UINT32_MAX / 2 - used) {
        return xv_unpickle_fail(unpickler, "a container with more than 2^31 items");
    }
    if (used + count > container->capacity) {
        size_t capacity = used + count > 2 * used ? used + count : 2 * used;
        XvPickle **grown = xv_unpickle_alloc(unpickler, capacity * sizeof *grown);
        if (!grown) {
            return false;
        }
        if (used > 0) {
            memcpy(grown, container->items, used * sizeof *grown);
        }
        container->items = grown;
        container->capacity = (uint32_t)capacity;
    }
    if (count > 0) {
        memcpy(container->items + used, items, count * sizeof *items);
    }
    container->count += (uint32_t)(count / step);
    return true;
}

// The check ------------------------------------------------------------------------------------------------------

// The document frequencies of COCO are some 20 million values; a checkpoint is a few thousand.
enum { MOST_VALUES = 1 << 28, MOST_CHECKPOINT_VALUES = 1 << 22 };
static const uint32_t IN_PROGRESS = UINT32_MAX;

static size_t item_count(const XvPickle *value)
{
    switch (value->kind) {
    case XV_PICKLE_TUPLE:
    case XV_PICKLE_LIST:
    case XV_PICKLE_SET: return value->count;
    case XV_PICKLE_DICT: return 2 * (size_t)value->count;
    default: return 0;
    }
}

static bool check_value(XvPickle *value, int depth, uint64_t most, XvError *error)
{
    if (value->weight == IN_PROGRESS) {
        return xv_fail(error, "a container of the pickle contains itself");
    }
    if (value->weight > 0) {
        return true;
    }
    if (value->kind == XV_PICKLE_INTERNAL) {
        return xv_fail(error, "the pickle holds a class where a value is expected");
    }
    if (depth > XV_PICKLE_DEPTH) {
        return xv_fail(error, "the pickle is nested deeper than %d levels", XV_PICKLE_DEPTH);
    }
    value->weight = IN_PROGRESS;
    uint64_t weight = 1;
    size_t n_items = item_count(value);
    for (size_t i = 0; i < n_items; i++) {
        if (!check_value(value->items[i], depth + 1, most, error)) {
            return false;
        }
        weight += value->items[i]->weight;
        if (weight > most) {
            return xv_fail(error, "the pickle repeats its values: more than %llu when written out",
                           (unsigned long long)most);
        }
    }
    value->weight = (uint32_t)weight;
    return true;
}

bool xv_pickle_check(XvPickle *root, XvPickleUse use, XvError *error)
{
    return check_value(root, 1, use == XV_PICKLE_CHECKPOINT ? MOST_CHECKPOINT_VALUES : MOST_VALUES, error);
}

// Look-ups -------------------------------------------------------------------------------------------------------

const char *xv_pickle_text(const XvPickle *value)
{
    bool is_text = value && (value->kind == XV_PICKLE_TEXT || value->kind == XV_PICKLE_BYTES);
    return is_text && strlen(value->text) == value->count ? value->text : NULL;
}

bool xv_pickle_is(const XvPickle *value, const char *text)
{
    const char *there = xv_pickle_text(value);
    return there && strcmp(there, text) == 0;
}

const XvPickle *xv_pickle_get(const XvPickle *dict, const char *key)
{
    for (size_t i = dict && dict->kind == XV_PICKLE_DICT ? dict->count : 0; i > 0; i--) {
        if (xv_pickle_is(dict->items[2 * (i - 1)], key)) {
            return dict->items[2 * (i - 1) + 1];
        }
    }
    return NULL;
}

bool xv_pickle_integer(const XvPickle *value, int64_t *out)
{
    if (!value || (value->kind != XV_PICKLE_INTEGER && value->kind != XV_PICKLE_BOOL)) {
        return false;
    }
    *out = value->kind == XV_PICKLE_BOOL ? value->boolean : value->integer;
    return true;
}

bool xv_pickle_real(const XvPickle *value, double *out)
{
    int64_t integer = 0;
    if (value && value->kind == XV_PICKLE_REAL) {
        *out = value->real;
        return true;
    }
    if (!xv_pickle_integer(value, &integer)) {
        return false;
    }
    *out = (double)integer;
    return true;
}

const char *xv_pickle_kind_name(XvPickleKind kind)
{
    static const char *const NAMES[] = {
        [XV_PICKLE_NONE] = "None",
        [XV_PICKLE_BOOL] = "a boolean",
        [XV_PICKLE_INTEGER] = "an integer",
        [XV_PICKLE_REAL] = "a number",
        [XV_PICKLE_WIDE] = "a large integer",
        [XV_PICKLE_TEXT] = "text",
        [XV_PICKLE_BYTES] = "bytes",
        [XV_PICKLE_TUPLE] = "a tuple",
        [XV_PICKLE_LIST] = "a list",
        [XV_PICKLE_SET] = "a set",
        [XV_PICKLE_DICT] = "a dict",
        [XV_PICKLE_TENSOR] = "a tensor",
        [XV_PICKLE_INTERNAL] = "a class",
    };
    return NAMES[kind];
}

// Files ------------------------------------------------------------------------------------------------------------

static bool read_file(XvPickleTree *tree, int file, XvError *error)
{
    struct stat status;
    if (fstat(file, &status) < 0 || !S_ISREG(status.st_mode)) {
        return xv_fail(error, "not a regular file");
    }
    size_t length = (size_t)status.st_size;
    if (length == 0) {
        return xv_fail(error, "the file is empty");
    }
    void *bytes = mmap(NULL, length, PROT_READ, MAP_PRIVATE, file, 0);
    if (bytes == MAP_FAILED) {
        return xv_fail(error, "cannot be mapped: %s", strerror(errno));
    }
    bool is_read = xv_pickle_read(tree, bytes, length, XV_PICKLE_DATA, error);
    munmap(bytes, length);
    return is_read;
}

bool xv_pickle_open(XvPickleTree *tree, const char *path, XvError *error)
{
    *tree = (XvPickleTree){0};
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return xv_fail(error, "cannot open %s: %s", path, strerror(errno));
    }
    bool is_read = read_file(tree, file, error);
    close(file);
    return is_read || xv_fail_in(error, "%s", path);
}
