// Shared by the files of the fusion pass.
#pragma once

#include "compiler/base/map.h"
#include "compiler/index_expr.h"
#include "compiler/program.h"

// How a stored node lies in the storage of its root: element (i...) at offset + sum_i i * stride.
typedef struct Layout {
    int64_t offset;
    int64_t stride[MAX_RANK];
} Layout;

typedef struct Fusion {
    Arena *arena;
    const Graph *graph;
    bool is_fused;
    bool *is_stored;         // per node: has a place in memory
    NodeId *same_as;         // per node: lies in the storage of this node, or NO_NODE
    Layout *layout;          // per stored node
    int *uses;               // per node: times used as an input or output
    bool *is_filled;         // per stored node: its value is there without a kernel
    const Kernel **kernels;  // per node: the kernel that computes it, or NULL
    NodeId wanted;           // a reduction that a kernel could not take in and that must be stored, or NO_NODE
} Fusion;

NodeId fusion_root(const Fusion *fusion, NodeId node);
bool fusion_is_opaque(Op op);                                   // a step of its own that is no kernel
void fusion_store(Fusion *fusion, NodeId node);                 // contiguous storage of its own
void contiguous_strides(const Shape *shape, int64_t *stride);

// Views (fuse_view.c).
// The node as a strided window onto stored values; false when it is not one.
bool view_of(const Fusion *fusion, NodeId node, View *view);
// [batch, rows, columns] with one unit stride among rows and columns.
bool view_as_matrices(const View *view, View *matrices);
bool view_has_unit_last(const View *view);
typedef bool (*ViewTest)(const View *view);
// Makes `node` readable as a view that passes the test, storing the cheapest node that allows it.
void make_viewable(Fusion *fusion, NodeId node, ViewTest test);

// Kernels (fuse_kernel.c). The kernel that computes the stored node, or NULL with fusion->wanted set.
const Kernel *build_kernel(Fusion *fusion, NodeId target);
