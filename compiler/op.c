// The table of ops, generated from op.def: the one place where an op's name, arity and class are written
// down. Nothing here depends on the order of its rows.
#include "compiler/graph.h"

static const OpInfo OP_TABLE[OP_COUNT] = {
#define OP(suffix, printed, n, kind, inputs) \
    [OP_##suffix] = {                        \
        .name = printed, .arity = n, .class = CLASS_##kind, .differentiable = (uint32_t)(inputs)},
#include "compiler/op.def"
#undef OP
};

const OpInfo *op_info(Op op)
{
    XV_ASSERT((unsigned)op < OP_COUNT);
    return &OP_TABLE[op];
}
