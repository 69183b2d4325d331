// Header of a safetensors file: 8 bytes of little-endian length, then JSON; see shapes.h.
#include "compiler/shapes.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <string.h>

enum { LARGEST_HEADER = 100 << 20 };

static char *read_header(Arena *arena, Diag *diag, const char *path, size_t *length)
{
    Span none = {0};
    FILE *file = fopen(path, "rb");
    if (!file) {
        diag_error(diag, none, "cannot read '%s': %s", path, strerror(errno));
        return NULL;
    }
    unsigned char head[8];
    size_t size = 0;
    bool is_whole = fread(head, 1, 8, file) == 8;
    for (int i = 7; is_whole && i >= 0; i--) {
        size = size << 8 | head[i];
    }
    is_whole = is_whole && size >= 2 && size <= LARGEST_HEADER;
    char *text = is_whole ? arena_alloc(arena, size + 1) : NULL;
    is_whole = is_whole && fread(text, 1, size, file) == size;
    fclose(file);
    if (!is_whole) {
        diag_error(diag, none, "'%s' is not a safetensors file: its header is missing or cut off", path);
        return NULL;
    }
    *length = size;
    return text;
}

static bool read_shape(const cJSON *entry, Shape *shape)
{
    const cJSON *dims = cJSON_GetObjectItemCaseSensitive(entry, "shape");
    if (!cJSON_IsArray(dims) || cJSON_GetArraySize(dims) > MAX_RANK) {
        return false;
    }
    *shape = shape_scalar();
    const cJSON *dim;
    cJSON_ArrayForEach(dim, dims) {
        if (!cJSON_IsNumber(dim) || dim->valuedouble < 0 || dim->valuedouble > 1e12) {
            return false;
        }
        shape->dim[shape->rank++] = (int64_t)dim->valuedouble;
    }
    return true;
}

const GivenShape *shapes_read(Arena *arena, Diag *diag, const char *path, int *n_shapes)
{
    size_t length;
    const char *text = read_header(arena, diag, path, &length);
    if (!text) {
        return NULL;
    }
    cJSON *header = cJSON_ParseWithLength(text, length);
    if (!cJSON_IsObject(header)) {
        diag_error(diag, (Span){0}, "'%s' is not a safetensors file: its header is not a JSON object", path);
        cJSON_Delete(header);
        return NULL;
    }
    GivenShape *shapes = arena_alloc(arena, ((size_t)cJSON_GetArraySize(header) + 1) * sizeof *shapes);
    *n_shapes = 0;
    const cJSON *entry;
    cJSON_ArrayForEach(entry, header) {
        GivenShape *shape = &shapes[*n_shapes];
        if (strcmp(entry->string, "__metadata__") != 0 && read_shape(entry, &shape->shape)) {
            shape->name = arena_copy(arena, entry->string, strlen(entry->string));
            ++*n_shapes;
        }
    }
    cJSON_Delete(header);
    return shapes;
}
