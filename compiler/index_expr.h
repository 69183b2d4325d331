// Index expressions: constructors that simplify, substitution, printing.
//
// An IndexPool keeps one copy of every expression, so two expressions of one pool that simplify to the same form are
// the same pointer. The form is a sum of distinct atoms (variables, quotients, remainders, gathered values) with
// factors plus a constant; quotients and remainders are taken apart with the known ranges of their operands:
//
//     (a*n + b) / n = a,  (a*n + b) mod n = b       0 <= b < n
//     (a*g + b) / (g*n) = a / n                     0 <= b < g
//     (x / n) / m = x / (n*m),  (x mod (n*m)) / n = (x / n) mod m
//     x / n * n + x mod n = x
//
// Division and remainder round towards minus infinity; an operand that may be negative is shifted by a multiple of
// the divisor, so that the result holds for truncating division too.
#pragma once

#include "compiler/kernel.h"

typedef struct IndexPool IndexPool;

IndexPool *index_pool_new(Arena *arena);

const IndexExpr *index_const(IndexPool *pool, int64_t value);
// kind is INDEX_ROW, INDEX_REDUCE or INDEX_LANE (variable 0); values 0..extent-1, the constant 0 for extent 1.
const IndexExpr *index_variable(IndexPool *pool, IndexKind kind, int variable, int64_t extent);
// The value of an i32 scalar expression, known to be within 0..extent-1. Equal if the scalar is the same pointer.
const IndexExpr *index_value(IndexPool *pool, const ScalarExpr *scalar, int64_t extent);
const IndexExpr *index_add(IndexPool *pool, const IndexExpr *a, const IndexExpr *b);
const IndexExpr *index_mul(IndexPool *pool, const IndexExpr *a, int64_t factor);
const IndexExpr *index_div(IndexPool *pool, const IndexExpr *a, int64_t divisor);  // divisor >= 1
const IndexExpr *index_mod(IndexPool *pool, const IndexExpr *a, int64_t divisor);  // divisor >= 1

// What the variables become. An entry that the expression does not use may be NULL.
typedef struct IndexMap {
    const IndexExpr *row[MAX_RANK];
    const IndexExpr *reduce[MAX_RANK];
    const IndexExpr *lane;
} IndexMap;

// The expression with its variables replaced, simplified. Gathered values stay as they are.
const IndexExpr *index_substitute(IndexPool *pool, const IndexExpr *index, const IndexMap *map);

// Whether an expression of this kind (a variable, a quotient, a gathered value ...) occurs anywhere inside,
// gathered indices included.
bool index_uses(const IndexExpr *index, IndexKind kind);
bool scalar_uses(const ScalarExpr *scalar, IndexKind kind);

// Number of quotients and remainders: what the expression costs.
int index_divisions(const IndexExpr *index);

// Factor of a variable in an expression that is a sum of variables and a constant. False if it is not such a sum.
typedef struct IndexLine {
    int64_t row[MAX_RANK], reduce[MAX_RANK], lane, constant;
} IndexLine;

bool index_line(const IndexExpr *index, IndexLine *line);

// "r0*49 + (c + 3)/7" for tests and dumps: rows r0.., reduce loops k0.., the lane c, gathered values [..].
const char *index_text(Arena *arena, const IndexExpr *index);
