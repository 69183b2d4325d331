// Shapes and dtypes: small values that are copied freely. Extents are at least 1 and a rank is at most
// MAX_RANK; graph_verify checks both, so nothing here does.
#include "compiler/graph.h"

#include <string.h>

int64_t shape_count(const Shape *shape)
{
    int64_t count = 1;
    for (int i = 0; i < shape->rank; i++) {
        count *= shape->dim[i];
    }
    return count;
}

bool shape_equal(const Shape *a, const Shape *b)
{
    return a->rank == b->rank && memcmp(a->dim, b->dim, (size_t)a->rank * sizeof a->dim[0]) == 0;
}

// Unused extents are zero, so shapes of one value are equal as bytes too.
Shape shape_of(int rank, const int64_t *dims)
{
    if (rank < 0 || rank > MAX_RANK) {
        XV_BUG("rank %d is not within 0..%d", rank, MAX_RANK);
    }
    Shape shape = {.rank = rank};
    for (int i = 0; i < rank; i++) {
        shape.dim[i] = dims[i];
    }
    return shape;
}

Shape shape_scalar(void)
{
    return (Shape){.rank = 0};
}

const char *shape_text(Arena *arena, const Shape *shape)
{
    char text[MAX_RANK * 24];
    size_t at = 0;
    text[at++] = '[';
    for (int i = 0; i < shape->rank; i++) {
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%lld", i > 0 ? ", " : "",
                               (long long)shape->dim[i]);
    }
    text[at++] = ']';
    return arena_copy(arena, text, at);
}

// ORDER Dtype.
static const struct {
    const char *name;
    int64_t bytes;
} DTYPES[DTYPE_COUNT] = {
    [DTYPE_F32] = {"f32", 4},   [DTYPE_I32] = {"i32", 4}, [DTYPE_BOOL] = {"bool", 1},
    [DTYPE_BF16] = {"bf16", 2}, [DTYPE_F16] = {"f16", 2},
};

const char *dtype_name(Dtype dtype)
{
    return DTYPES[dtype].name;
}

int64_t dtype_bytes(Dtype dtype)
{
    return DTYPES[dtype].bytes;
}

bool dtype_is_low(Dtype dtype)
{
    return dtype == DTYPE_BF16 || dtype == DTYPE_F16;
}
