// The order of the parts: shared products first, since a row selection that has moved below a product hides
// it.
#include "compiler/share.h"

#include "compiler/simplify.h"

Graph *share(Arena *arena, const Graph *graph, uint32_t which)
{
    if (which & SHARE_GATHERED) {
        graph = simplify(arena, share_gathered(arena, graph));
    }
    if (which & SHARE_SLICES) {
        graph = simplify(arena, share_slices(arena, graph));
    }
    return which & SHARE_ROWS ? share_rows(arena, graph) : simplify(arena, graph);
}
