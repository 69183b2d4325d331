// Header of a safetensors file: 8 bytes of little-endian length, then JSON; see shapes.h.
#include "compiler/shapes.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
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
    cJSON_ArrayForEach(dim, dims)
    {
        if (!cJSON_IsNumber(dim) || dim->valuedouble < 0 || dim->valuedouble > 1e12) {
            return false;
        }
        shape->dim[shape->rank++] = (int64_t)dim->valuedouble;
    }
    return true;
}

GivenShape *shapes_read(Arena *arena, Diag *diag, const char *path, int *n_shapes)
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
    cJSON_ArrayForEach(entry, header)
    {
        GivenShape *shape = &shapes[*n_shapes];
        if (strcmp(entry->string, "__metadata__") != 0 && read_shape(entry, &shape->shape)) {
            shape->name = arena_copy(arena, entry->string, strlen(entry->string));
            ++*n_shapes;
        }
    }
    cJSON_Delete(header);
    return shapes;
}

enum { MOST_RANKS = 1 << 16 };

// The rank that a name starts with, and the plain name behind it; -1 and the name itself without one.
static int rank_of(const char *name, const char **plain)
{
    char *end;
    *plain = name;
    if (strncmp(name, "rank", 4) != 0 || name[4] < '0' || name[4] > '9') {
        return -1;
    }
    long rank = strtol(name + 4, &end, 10);
    if (*end != '.' || rank >= MOST_RANKS) {
        return -1;
    }
    *plain = end + 1;
    return (int)rank;
}

static const GivenShape *shape_for(const GivenShape *shapes, int n_shapes, int rank, const char *plain)
{
    for (int i = 0; i < n_shapes; i++) {
        const char *name;
        if (rank_of(shapes[i].name, &name) == rank && strcmp(name, plain) == 0) {
            return &shapes[i];
        }
    }
    return NULL;
}

typedef struct Ranks {
    Arena *arena;
    Diag *diag;
    const char *path;
    int n_ranks;
} Ranks;

static bool same_on_all(const Ranks *ranks, const GivenShape *shapes, int n_shapes)
{
    for (int i = 0; i < n_shapes; i++) {
        const char *plain;
        int own = rank_of(shapes[i].name, &plain);
        for (int rank = 0; own >= 0 && rank < ranks->n_ranks; rank++) {
            const GivenShape *other = shape_for(shapes, n_shapes, rank, plain);
            if (!other || !shape_equal(&other->shape, &shapes[i].shape)) {
                diag_error(ranks->diag, (Span){0},
                           "'%s': '%s' is %s, but 'rank%d.%s' is %s; every rank needs the same tensors",
                           ranks->path, shapes[i].name, shape_text(ranks->arena, &shapes[i].shape), rank,
                           plain, other ? shape_text(ranks->arena, &other->shape) : "missing");
                return false;
            }
        }
    }
    return true;
}

int shapes_of_ranks(Arena *arena, Diag *diag, const char *path, GivenShape *shapes, int *n_shapes)
{
    int ranks = 1;
    for (int i = 0; i < *n_shapes; i++) {
        const char *plain;
        int rank = rank_of(shapes[i].name, &plain);
        ranks = rank >= ranks ? rank + 1 : ranks;
    }
    if (!same_on_all(&(Ranks){arena, diag, path, ranks}, shapes, *n_shapes)) {
        return 0;
    }
    int n_kept = 0;
    for (int i = 0; i < *n_shapes; i++) {
        const char *plain;
        if (rank_of(shapes[i].name, &plain) <= 0) {
            shapes[n_kept++] = (GivenShape){plain, shapes[i].shape};
        }
    }
    *n_shapes = n_kept;
    return ranks;
}
