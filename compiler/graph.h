// The tensor graph: SSA, static shapes, nodes in topological order, every node knows where it comes from.
//
// A node has one result of a fixed dtype and shape; the few ops with several results give the first one and
// RESULT nodes give the others. Node ids are indices into Graph.nodes and inputs always precede their users,
// so a pass walks ids forwards or backwards. Passes build a new Graph (graph -> graph) and never edit nodes
// of the old one. All memory belongs to the arena given to graph_new.
//
// Shapes and attributes of the ops (x, y are inputs, r is the result):
//   INPUT          attr.index: entry input.
//   PARAM          attr.index: parameter; its master in f32 or, bf16 and f16, the copy of it that is kept up to date.
//   CONST          attr.number in every element of any shape.  IOTA  attr.axis: r[..., i, ...] = i (i32).
//   elementwise    all shapes equal; arithmetic f32 or i32, comparisons and logic give BOOL; a sum of PADs of which
//                  no two overlap may be bf16 or f16;
//                  MAX/MIN gradient goes to the first input on ties; IDIV, MOD round towards minus infinity.
//   WHERE          (bool, x, y).   CAST to r.dtype.
//   SUM, REDUCE_MAX  attr.axes: bit mask; reduced extents become 1. ARGMAX: one axis, i32, first maximum.
//   RESHAPE        same count, row-major.   PERMUTE  r.dim[i] = x.dim[attr.dims[i]].
//   EXPAND         same rank, extents 1 grow.   SLICE  r[i] = x[attr.start + i * attr.step] per dimension.
//   PAD            r = 0, r[attr.start + i * attr.step] = x[i] per dimension (adjoint of SLICE).
//   ROLL           r[(i + attr.start) mod n] = x[i] per dimension (torch.roll).
//   CONCAT         attr.axis.
//   TAKE           (x [N, rest], index i32 [S]) -> [S, rest]; index in 0..N-1. S any rank.
//   MATMUL         (a, b[, c]): a [batch, M, K], b [batch, K, N], equal ranks >= 2 and equal batch extents;
//                  r = a b (+ c of r's shape: accumulated in place by the planner where c dies here). a and b may be
//                  f32, bf16 or f16 each; r likewise, f32 with c; sums are f32. attr.is_tf32: f32 operands are
//                  rounded to tf32.
//   SCATTER_ADD    (index i32 [S], x [S, rest]) -> f32 [N, rest] with N = r.dim[0]; sums rows of equal index.
//   TOP_K          (x f32 [R, C]) -> i32 [R, K], K <= C: where the K largest of each row are, largest first; of
//                  equal ones the first.
//   SOFTMAX, LOG_SOFTMAX  last axis.
//   LAYER_NORM     (x [..., C], weight [C], bias [C]), attr.number = epsilon.
//   CROSS_ENTROPY  (logits [R, C], label i32 [R]) -> [R]: logsumexp - logit[label]; a label outside 0..C-1
//                  counts as no label (gives logsumexp): mask such rows with WHERE.
//   ATTENTION      (q [B,H,N,D], k [B,H,M,D], v [B,H,M,E][, bias...]): softmax(attr.number * q k^T + biases) v
//                  -> [B,H,N,E]; a bias is [b,h,n,m] where h, n, m are full or 1 and b divides B (bias batch
//                  = batch mod b); attr.index = draw of the dropout on the probabilities, or -1.
//                  RESULT 1: log-sum-exp of the rows [B,H,N]. q, k, v and r have one dtype, f32, bf16 or f16; the
//                  rest is f32. attr.is_tf32: q, k and v are rounded to tf32.
//   ATTENTION_GRAD (q, k, v, out, lse, d_out[, bias...]) -> d_q; RESULT 1 d_k, 2 d_v, 3.. d_bias in order.
//                  attr.axes: bit mask of the biases whose gradient is wanted. q, k, v, out, d_out and their
//                  gradients have one dtype; the rest is f32.
//   KEPT           x; the precision pass may round it, for it is kept until the backward pass, or is a large part of
//                  what that moves. attr.is_late: only that reads it.
//   KEEP           attr.index: draw; r is 0 or 1/(1-rate), f32; of the draw SCALE what the runtime sets.
//   SAMPLE         (weights f32 [R, C]) -> i32 [R], attr.index: draw.
//   ALL_GATHER     (x [B, rest]) -> [world * B, rest] in rank order, world = r.dim[0] / B. OWN_ROWS: its adjoint
//                  by the official rule: the local rank's slice, nothing summed (models/xvlm.py).
#pragma once

#include "compiler/base/arena.h"
#include "compiler/base/diag.h"
#include "compiler/base/intern.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { MAX_RANK = 8 };

// BF16 and F16 are storage types: arithmetic is done in F32, a CAST rounds to them (to nearest even), a CAST to F32 is
// exact.
typedef enum Dtype { DTYPE_F32, DTYPE_I32, DTYPE_BOOL, DTYPE_BF16, DTYPE_F16, DTYPE_COUNT } Dtype;

typedef struct Shape {
    int rank;
    int64_t dim[MAX_RANK];
} Shape;

typedef enum Op {
#define OP(suffix, name, arity, class, differentiable) OP_##suffix,
#include "compiler/op.def"
#undef OP
    OP_COUNT
} Op;

typedef enum OpClass {
    CLASS_SOURCE,
    CLASS_ELEMENTWISE,
    CLASS_REDUCE,
    CLASS_MOVE,
    CLASS_CONTRACT,
    CLASS_COMPOUND,
    CLASS_RESULT,
    CLASS_RANDOM,
    CLASS_COLLECTIVE,
} OpClass;

typedef struct OpInfo {
    const char *name;
    int arity;  // -1: any number
    OpClass class;
    uint32_t differentiable;  // bit i: input i may receive a gradient
} OpInfo;

const OpInfo *op_info(Op op);

typedef int32_t NodeId;
enum { NO_NODE = -1 };

typedef struct Attr {
    double number;            // CONST value, epsilon, attention scale
    int32_t index;            // INPUT, PARAM, RESULT, KEEP, SAMPLE, ATTENTION draw
    int32_t axis;             // IOTA, CONCAT, ARGMAX
    uint32_t axes;            // SUM, REDUCE_MAX, ATTENTION_GRAD
    int32_t dims[MAX_RANK];   // PERMUTE
    int64_t start[MAX_RANK];  // SLICE, PAD, ROLL
    int64_t step[MAX_RANK];   // SLICE, PAD (>= 1)
    bool is_tf32;             // MATMUL, ATTENTION, ATTENTION_GRAD
    bool is_late;             // KEPT; CAST: from what is stored, not where that is computed
} Attr;

typedef struct Node {
    Op op;
    Dtype dtype;
    Shape shape;
    const NodeId *inputs;
    int n_inputs;
    Attr attr;
    Span span;  // DSL text it comes from
    Sym path;   // module path, "" at the root ("text_encoder.bert.encoder.layer.3")
    Sym name;   // variable it was bound to, or NULL; a hint for generated names
} Node;

// Parameters, inputs and draws belong to the entry point and are shared by all graphs derived from it.
typedef enum InitKind {
    INIT_CONSTANT,
    INIT_NORMAL,
    INIT_TRUNCATED,
    INIT_UNIFORM,
    INIT_SINCOS_2D,
} InitKind;

typedef struct Parameter {
    Sym name;  // official state_dict name
    Shape shape;
    InitKind init;
    double init_a, init_b;  // see XvInitKind in runtime/program.h
    bool is_trainable, has_decay, is_fresh, has_clamp, has_zero_row;
    double clamp_low, clamp_high;
    int64_t zero_row;  // of dimension 0, zero when fresh
    Span span;
    const int *members;  // of a pack (pack.h): the parameters that lie in it one behind the other; else NULL
    int n_members;
} Parameter;

typedef struct GraphInput {
    Sym name;
    Dtype dtype;  // I32 also for masks and ids
    Shape shape;
    Span span;
} GraphInput;

typedef enum DrawKind {
    DRAW_KEEP,
    DRAW_SAMPLE,
    DRAW_SCALE,  // not random: the factor of the loss, a KEEP that the runtime sets
} DrawKind;

typedef struct Draw {
    Sym name;  // unique within the entry
    DrawKind kind;
    double rate;  // of KEEP
    Shape shape;
    Span span;
} Draw;

typedef enum OutputKind {
    OUTPUT_VALUE,
    OUTPUT_LOSS,
    OUTPUT_METRIC,
    OUTPUT_TRACE,
    OUTPUT_GRADIENT
} OutputKind;

typedef struct Output {
    Sym name;  // of a GRADIENT: the parameter's name
    OutputKind kind;
    NodeId node;
    int parameter;  // of a GRADIENT: its index; else -1
} Output;

typedef struct Graph {
    Arena *arena;
    Sym name;  // "images.train"
    Node *nodes;
    int n_nodes, node_capacity;
    Output *outputs;
    int n_outputs, output_capacity;
    const Parameter *parameters;
    int n_parameters;
    const GraphInput *inputs;
    int n_inputs;
    const Draw *draws;
    int n_draws;
} Graph;

// An empty graph with the tables of `like` (which may be NULL).
Graph *graph_new(Arena *arena, const Graph *like);

// Where new nodes come from; copied into each node that a builder makes.
typedef struct Origin {
    Span span;
    Sym path;
    Sym name;
} Origin;

Origin node_origin(const Graph *graph, NodeId node);

// Builders. They compute the result's shape and dtype and abort (XV_BUG) on a broken contract: user errors are
// found by the elaborator before. Elementwise builders need equal shapes; use graph_expand_to first.
NodeId graph_add(Graph *graph, Op op, Dtype dtype, const Shape *shape, const NodeId *inputs, int n_inputs,
                 const Attr *attr, const Origin *origin);  // the general form: everything given
NodeId graph_const(Graph *graph, double number, Dtype dtype, const Shape *shape, const Origin *origin);
NodeId graph_iota(Graph *graph, const Shape *shape, int axis, const Origin *origin);
NodeId graph_unary(Graph *graph, Op op, NodeId x, const Origin *origin);
NodeId graph_binary(Graph *graph, Op op, NodeId x, NodeId y, const Origin *origin);
NodeId graph_where(Graph *graph, NodeId condition, NodeId x, NodeId y, const Origin *origin);
NodeId graph_cast(Graph *graph, NodeId x, Dtype dtype, const Origin *origin);
NodeId graph_reduce(Graph *graph, Op op, NodeId x, uint32_t axes, const Origin *origin);
NodeId graph_argmax(Graph *graph, NodeId x, int axis, const Origin *origin);
NodeId graph_reshape(Graph *graph, NodeId x, const Shape *shape, const Origin *origin);
NodeId graph_permute(Graph *graph, NodeId x, const int32_t *dims, const Origin *origin);
NodeId graph_transpose(Graph *graph, NodeId x, const Origin *origin);  // last two dimensions
NodeId graph_expand(Graph *graph, NodeId x, const Shape *shape, const Origin *origin);
// Adds leading dimensions and expands: the usual broadcasting of x to `shape` (which must be possible).
NodeId graph_expand_to(Graph *graph, NodeId x, const Shape *shape, const Origin *origin);
// Adjoint of graph_expand_to: sums x down to `shape`.
NodeId graph_sum_to(Graph *graph, NodeId x, const Shape *shape, const Origin *origin);
NodeId graph_slice(Graph *graph, NodeId x, const int64_t *start, const int64_t *step, const Shape *shape,
                   const Origin *origin);
NodeId graph_pad(Graph *graph, NodeId x, const int64_t *start, const int64_t *step, const Shape *shape,
                 const Origin *origin);
NodeId graph_roll(Graph *graph, NodeId x, const int64_t *shift, const Origin *origin);
NodeId graph_concat(Graph *graph, const NodeId *parts, int n_parts, int axis, const Origin *origin);
NodeId graph_take(Graph *graph, NodeId x, NodeId index, const Origin *origin);
NodeId graph_scatter_add(Graph *graph, NodeId index, NodeId x, int64_t rows, const Origin *origin);
NodeId graph_top_k(Graph *graph, NodeId x, int64_t k, const Origin *origin);
// accumulate: or NO_NODE. The result is f32.
NodeId graph_matmul(Graph *graph, NodeId a, NodeId b, NodeId accumulate, const Origin *origin);
NodeId graph_result(Graph *graph, NodeId node, int index, const Origin *origin);

void graph_output(Graph *graph, Sym name, OutputKind kind, NodeId node, int parameter);

// Shape helpers.
int64_t shape_count(const Shape *shape);
bool shape_equal(const Shape *a, const Shape *b);
Shape shape_of(int rank, const int64_t *dims);
Shape shape_scalar(void);
// "[4, 12, 64]" into a buffer from the arena.
const char *shape_text(Arena *arena, const Shape *shape);
const char *dtype_name(Dtype dtype);
int64_t dtype_bytes(Dtype dtype);  // of a stored element
bool dtype_is_low(Dtype dtype);    // BF16, F16
