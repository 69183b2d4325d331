// The values of one kernel as a graph of scalar items, each kept once. An item is one scalar at one point of the
// kernel's domain; what uses it decides later (fuse_kernel.c) whether it is written in place, named, or kept per lane.
#pragma once

#include "compiler/fuse_internal.h"

typedef struct Item {
    ScalarKind kind;  // LET does not occur
    Dtype dtype;
    double number;
    Op op;
    int args[3];  // smaller item numbers
    int n_args;
    const IndexExpr *index;
    const Guard *guard;
    int buffer, draw, sum;  // LOAD, KEEP, ACC: which accumulator
    NodeId node;            // for names
    int phase;              // number of accumulators that must be complete in a row before it is known
    bool uses_lane, uses_reduce;
} Item;

// An accumulator: a reduction inside the kernel.
typedef struct RowSum {
    const Member *member;
    int value;  // item
    int id;     // of the statement, once it is made
} RowSum;

typedef struct ItemMemo {
    NodeId node;
    const Guard *guard;
    const IndexExpr *at[MAX_RANK];
    int item;
} ItemMemo;

typedef struct Items {
    Fusion *fusion;
    int group;
    const IndexMap *domain;  // the group's variables in terms of the kernel's
    Item *items;
    int n_items, item_capacity;
    RowSum *sums;
    int n_sums, sum_capacity;
    KernelBuffer *buffers;
    int n_buffers, buffer_capacity;
    ItemMemo *memos;  // open addressing
    int n_memos, n_slots;
    int *item_slots;  // item numbers + 1 by content
    int n_item_slots;
    const ScalarExpr **trees;  // per item: as one expression, for gathered indices
    int tree_capacity;
} Items;

Items *items_new(Fusion *fusion, int group, const IndexMap *domain);

// The member's value at its place in the domain. Of a reduction the accumulator.
int items_member(Items *items, const Member *member);
// The accumulator of a reduction, as an index into sums.
int items_sum(Items *items, const Member *member);
// The buffer of a storage node.
int items_buffer(Items *items, NodeId storage, BufferKind kind);
// Position in a place's storage of the member's element.
const IndexExpr *items_address(Items *items, const Member *member, const Place *place);
