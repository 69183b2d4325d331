// Accesses: where in a node an element is, one index expression per dimension, and how an access changes through
// movement. Pulling goes from a movement node to what it reads, pushing from what it reads to the movement node.
//
// Extents of 1 always have the index 0, so equal accesses of one pool are equal pointers dimension by dimension.
#pragma once

#include "compiler/index_expr.h"

typedef struct Access {
    int rank;
    const IndexExpr *at[MAX_RANK];
} Access;

// Element (r0, r1, ...) with one row variable per dimension.
Access access_identity(IndexPool *pool, const Shape *shape);
bool access_equal(const Access *a, const Access *b);
Access access_substitute(IndexPool *pool, const Access *access, const IndexMap *map);
bool access_uses(const Access *access, IndexKind kind);

// Row-major position of an element, and the element at a row-major position.
const IndexExpr *access_linear(IndexPool *pool, const Access *access, const Shape *shape);
Access access_at(IndexPool *pool, const IndexExpr *linear, const Shape *shape);
// The same position in a shape of equal count. Dimensions that both shapes have in common keep their index.
Access access_reshape(IndexPool *pool, const Access *access, const Shape *from, const Shape *to);

// Movement with one data input where every element of the result is an element of the input: RESHAPE, PERMUTE,
// EXPAND, SLICE, ROLL, and the collectives of one rank.
bool move_is_plain(const Graph *graph, NodeId node);
// Of these the ones that use every element once: RESHAPE, PERMUTE, ROLL, collectives of one rank.
bool move_is_bijective(const Graph *graph, NodeId node);

// Access of the input of a plain movement node for an access of the node.
Access access_pull(IndexPool *pool, const Graph *graph, NodeId node, const Access *access);
// Access of a bijective movement node, of a PAD, or (as `part`) of a CONCAT for an access of its input.
Access access_push(IndexPool *pool, const Graph *graph, NodeId node, int part, const Access *access);

// Pulling through PAD and one part of a CONCAT. Conditions under which the element comes from the input are put in
// front of `guard`; those that always hold are left out. The input is not to be read when they fail.
typedef struct Guarded {
    Access access;
    const Guard *guard;
    bool is_never;  // no element comes from the input
} Guarded;

Guarded access_pull_pad(IndexPool *pool, Arena *arena, const Graph *graph, NodeId node, const Access *access,
                        const Guard *guard);
Guarded access_pull_part(IndexPool *pool, Arena *arena, const Graph *graph, NodeId node, int part,
                         const Access *access, const Guard *guard);
