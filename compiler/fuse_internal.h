// Shared by the files of the fusion pass. The order of work, one file each:
//
//   fuse_prepare.c  rewrites the graph so that accumulating products and outputs are explicit
//   fuse_again.c    activations that the backward pass computes again
//   fuse_role.c     what every node is: kept in memory, computed in kernels, a library call, movement
//   fuse_place.c    where library results and operands lie: strided views instead of copies
//   fuse_group.c    groups of computed nodes with one iteration domain (fuse_bridge.c, fuse_merge.c)
//   fuse_early.c    small copies that are made at the start, as one kernel
//   fuse_sums.c     sums that products make on the side
//   fuse_store.c    which values of a group are stored and which are computed again where they are needed
//   fuse_order.c    order of the steps
//   fuse_items.c    a group's values as one graph of scalar expressions
//   fuse_kernel.c   domain and stages of a kernel
//   fuse.c          the program
#pragma once

#include "compiler/access.h"
#include "compiler/program.h"

typedef enum Role {
    ROLE_DEAD,
    ROLE_SOURCE,     // INPUT, PARAM: in memory from the start
    ROLE_GENERATOR,  // made from nothing wherever it is needed: CONST, IOTA, KEEP, small integer arithmetic
    ROLE_COMPUTE,    // elementwise, reduction, or a movement that is a copy: member of a group
    ROLE_LIBRARY,    // value of a library call: MATMUL, ..., their RESULTs, an ADD that the call accumulates
    ROLE_ASSEMBLED,  // CONCAT or sum of PADs whose parts are written in place by library calls
    ROLE_MOVE,       // movement: an index expression
    ROLE_ABSORBED,   // inside an ASSEMBLED value or a call that accumulates
} Role;

enum { MAX_PATH = 24 };

// One movement on the way from a value to the node in whose layout it is stored.
typedef struct PathStep {
    NodeId node;
    int part;  // CONCAT: which input it comes from
} PathStep;

// A value's element is at the row-major position of the pushed access in `storage`.
typedef struct Place {
    NodeId storage;
    const PathStep *path;
    int n_path;
    struct Place *next;
} Place;

typedef struct NodeList {
    NodeId *items;
    int n_items, capacity;
} NodeList;

typedef struct Value {
    Role role;
    int group;    // COMPUTE: index into Fusion.groups
    NodeId call;  // LIBRARY: the op node of the call
    bool is_output;
    bool is_dear;    // exp and the like somewhere since the last stored value
    Place *places;   // first: where it is read. NULL: not stored
    NodeList deps;   // COMPUTE, LIBRARY op, ASSEMBLED: values it is made from, through all movement
    NodeList users;  // nodes that have it as input
} Value;

// How the elements of a node lie in the domain of a group.
typedef enum Level {
    LEVEL_FULL,    // one element per point
    LEVEL_OUTER,   // per row and lane, behind the reduce loops
    LEVEL_ROW,     // per row
    LEVEL_COLUMN,  // per lane, complete when the kernel has ended
} Level;

// Both directions between a group's domain and the elements of a node at a level: coordinates of the node in terms of
// the domain's variables, and the domain's variables in terms of the node's coordinates (row variables; what the
// level does not determine is NULL).
typedef struct Bridge {
    Level level;
    Access access;
    IndexMap inverse;
} Bridge;

typedef struct Member {
    NodeId node;
    Bridge at;
    bool is_reduction;
    Bridge input;  // of a reduction: the elements of its input, FULL
} Member;

typedef struct Domain {
    int n_rows, n_reduce;
    int64_t row[MAX_RANK], reduce[MAX_RANK];
    int64_t lanes;
    bool is_fixed;  // a reduction needs these lanes; otherwise all dimensions are rows and lanes is 1
} Domain;

typedef struct Group {
    Domain domain;
    Member *members;  // ascending nodes
    int n_members, capacity;
    bool is_gone;        // merged into another
    NodeId first, last;  // smallest and largest member
} Group;

typedef struct Fusion {
    Arena *arena;
    IndexPool *pool;
    Graph *graph;
    bool is_fused;
    Value *values;       // per node
    int32_t *member_of;  // per node: index of its member in the group
    Group *groups;
    int n_groups, group_capacity;
    NodeList *readers;    // per value: who reads it element by element (4 * node + input), for siblings
    NodeId *accumulated;  // per library op: the value it adds to, or NO_NODE
    NodeId *bias;  // per MATMUL: the vector that it adds to every row, or NO_NODE; its value is the ADD then
    NodeId *sums;  // per MATMUL: the SUM over its first operand's rows that it makes as well, or NO_NODE
    NodeId *beside;   // per node: that of whose kernel it becomes a part, or NO_NODE
    NodeId *alias;    // per output: a stored node that is the same in memory, or NO_NODE
    uint32_t *stamp;  // per node: visited marks
    uint32_t now;
    NodeId *stack;  // of n_nodes + 1
} Fusion;

static inline const Node *fusion_node(const Fusion *fusion, NodeId id)
{
    return &fusion->graph->nodes[id];
}

void list_add(Fusion *fusion, NodeList *list, NodeId id);
void list_add_once(Fusion *fusion, NodeList *list, NodeId id);

// fuse_prepare.c: a pruned copy in which
//   a MATMUL has a third input only if that value dies there and the sum is a value nothing else wants to add to;
//   an ADD of a dying value and a product whose sum is accumulated further is such a MATMUL;
//   all results of an ATTENTION_GRAD exist; an OUTPUT_GRADIENT is no other output.
// Without fusion no product accumulates.
Graph *fuse_prepare(Arena *arena, const Graph *graph, bool is_fused);

// fuse_again.c: a copy in which gradients of weights read activations of their own; `beside` says at which node's
// kernel each of these is to be computed, or NO_NODE.
Graph *fuse_again(Arena *arena, const Graph *graph, NodeId **beside);

// fuse_role.c
void fuse_roles(Fusion *fusion);
bool role_is_value(Role role);  // something that movement chains end at
bool node_is_library(const Fusion *fusion, NodeId id);
bool node_is_dear(const Fusion *fusion, NodeId id);  // more than a few instructions
// The value at the end of the plain movement chain from `id` (possibly id itself): a value, or the PAD, CONCAT or TAKE
// that the chain ends at.
NodeId chain_base(const Fusion *fusion, NodeId id);
// Makes a movement node a copy: a member of a group.
void role_make_copy(Fusion *fusion, NodeId id);
// Whether nothing but outputs depends on the value.
bool value_is_last(const Fusion *fusion, NodeId id);
void role_collect_deps(Fusion *fusion);

// fuse_place.c
// What a library call asks of an operand or a result: rows or columns of unit stride, unit stride in the last
// dimension, any strides, row-major without gaps. NEED_ROWS: a matrix whose rows have unit stride. NEED_LEADING: all
// dimensions but the last are one of uniform stride.
typedef enum Need {
    NEED_MATRIX,
    NEED_ROWS,
    NEED_UNIT_LAST,
    NEED_LEADING,
    NEED_STRIDES,
    NEED_DENSE,
} Need;

void fuse_places(Fusion *fusion);
const IndexExpr *place_address(Fusion *fusion, const Place *place, const Access *access);
Place *place_add(Fusion *fusion, NodeId value, NodeId storage, const PathStep *path, int n_path);
void place_itself(Fusion *fusion, NodeId value);  // its own row-major storage, if it has no such place yet
Need operand_need(const Node *node, int input);
Need result_need(Op op, int result);

// fuse_view.c: strided windows.
// The node's elements by strides through a place of its base value, or false.
bool view_through_place(Fusion *fusion, NodeId node, NodeId base, const Place *place, View *view);
// The same in the row-major storage of `storage`, a node on the plain chain below `node`.
bool view_through_node(Fusion *fusion, NodeId node, NodeId storage, View *view);
bool view_fits(const View *view, Need need);
// [..., R, C] as [batch, R, C] with one batch stride; false if the batch strides are not uniform.
bool view_matrices(const View *view, View *matrices);
// A view of a node on the storage of a value on the chain below it.
typedef struct Reading {
    NodeId value;
    View view;
} Reading;

bool find_view(Fusion *fusion, NodeId node, Need need, Reading *reading);
// The same for an operand that fuse_places has made readable.
Reading operand_view(Fusion *fusion, NodeId node, Need need);
// A result as its library call writes it, of the shape of the call's node, if it has this place.
bool view_of_result(Fusion *fusion, NodeId value, const Place *place, View *view);
// The view through which a library call writes a result.
View result_view(Fusion *fusion, NodeId value);

// fuse_bridge.c
Bridge bridge_pull(Fusion *fusion, NodeId move,
                   const Bridge *of_node);  // to the input of a bijective movement
Bridge bridge_push(Fusion *fusion, NodeId move, const Bridge *of_input);
bool bridge_expand(Fusion *fusion, const Domain *domain, NodeId expand, const Bridge *of_input,
                   Bridge *of_node);
bool bridge_shrink(Fusion *fusion, const Domain *domain, NodeId expand, const Bridge *of_node,
                   Bridge *of_input);
Group group_single(Fusion *fusion, NodeId node);              // the group of one computed node
bool reduction_is_column(const Fusion *fusion, NodeId node);  // a reduction whose result is at LEVEL_COLUMN

// fuse_merge.c: makes groups a and b one, given bridges of the same elements in both. False, and nothing is changed,
// if their loops do not agree or a third unit lies between them. The result is group a or b; the other is gone.
typedef struct Side {
    int group;
    const Bridge *bridge;
} Side;

bool group_merge(Fusion *fusion, Side a, Side b);

// fuse_group.c
void fuse_groups(Fusion *fusion);

// fuse_early.c
void fuse_early(Fusion *fusion);

// fuse_sums.c
void fuse_sums(Fusion *fusion);

// fuse_store.c
void fuse_store(Fusion *fusion);
bool group_is_live(const Fusion *fusion, int group);
// Values whose memory a unit reads. A unit is a group (its number) or a library call.
typedef struct Unit {
    int group;  // -1: a library call
    NodeId call;
    NodeList reads;  // values
    NodeId key;      // for ordering: where the original graph has it
    int order;
} Unit;

// fuse_order.c: live units in an order in which every value is written before it is read.
Unit *fuse_order(Fusion *fusion, int *n_units);

// fuse_items.c, fuse_kernel.c
const Kernel *fuse_kernel(Fusion *fusion, int group);
