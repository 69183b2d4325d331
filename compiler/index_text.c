// Index expressions taken apart for others: as a line over the variables, and as text. See index_expr.h.
#include "compiler/index_expr.h"

static bool add_to_line(const IndexExpr *index, int64_t factor, IndexLine *line)
{
    switch (index->kind) {
    case INDEX_CONST: line->constant += factor * index->value; return true;
    case INDEX_ROW: line->row[index->variable] += factor; return true;
    case INDEX_REDUCE: line->reduce[index->variable] += factor; return true;
    case INDEX_LANE: line->lane += factor; return true;
    case INDEX_ADD: return add_to_line(index->a, factor, line) && add_to_line(index->b, factor, line);
    case INDEX_MUL: return add_to_line(index->a, factor * index->value, line);
    default: return false;
    }
}

bool index_line(const IndexExpr *index, IndexLine *line)
{
    *line = (IndexLine){.constant = 0};
    return add_to_line(index, 1, line);
}

const char *index_text(Arena *arena, const IndexExpr *index)
{
    bool is_sum = index->a && index->a->kind == INDEX_ADD && index->kind != INDEX_ADD;
    switch (index->kind) {
    case INDEX_CONST: return arena_format(arena, "%lld", (long long)index->value);
    case INDEX_ROW: return arena_format(arena, "r%d", index->variable);
    case INDEX_REDUCE: return arena_format(arena, "k%d", index->variable);
    case INDEX_LANE: return "c";
    case INDEX_ADD:
        return arena_format(arena, "%s + %s", index_text(arena, index->a), index_text(arena, index->b));
    case INDEX_MUL:
    case INDEX_DIV:
    case INDEX_MOD: {
        char sign = index->kind == INDEX_MUL ? '*' : index->kind == INDEX_DIV ? '/' : '%';
        return arena_format(arena, is_sum ? "(%s)%c%lld" : "%s%c%lld", index_text(arena, index->a), sign,
                            (long long)index->value);
    }
    case INDEX_VALUE: return "[..]";
    }
    return "";
}
