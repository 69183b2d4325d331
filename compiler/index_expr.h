// Constructors of index expressions. Every expression is kept as a sum of distinct atoms with coefficients plus a
// constant, so that equal expressions read equal; division and remainder are taken apart with the known ranges.
#pragma once

#include "compiler/kernel.h"

const IndexExpr *index_const(Arena *arena, int64_t value);
const IndexExpr *index_variable(Arena *arena, IndexKind kind, int variable, int64_t extent);   // ROW, REDUCE, LANE
const IndexExpr *index_value(Arena *arena, const ScalarExpr *scalar, int64_t extent);          // 0..extent-1
const IndexExpr *index_add(Arena *arena, const IndexExpr *a, const IndexExpr *b);
const IndexExpr *index_mul(Arena *arena, const IndexExpr *a, int64_t factor);
const IndexExpr *index_div(Arena *arena, const IndexExpr *a, int64_t divisor);   // a >= 0, divisor >= 1
const IndexExpr *index_mod(Arena *arena, const IndexExpr *a, int64_t divisor);   // a >= 0, divisor >= 1
bool index_equal(const IndexExpr *a, const IndexExpr *b);
bool index_uses(const IndexExpr *index, IndexKind kind);   // anywhere inside, gathered indices included
bool scalar_uses(const ScalarExpr *scalar, IndexKind kind);
