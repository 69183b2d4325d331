// Built-in functions of the language: one row per function in the table at the end, one small C function each.
#include "compiler/base/vec.h"
#include "compiler/elab.h"
#include "compiler/grad.h"

#include <math.h>
#include <string.h>

enum { MAX_ARGUMENTS = 5 };

typedef struct Call {
    Elab *elab;
    Span span;
    Value argument[MAX_ARGUMENTS];   // by parameter position; VALUE_NONE kind where absent
    Span place[MAX_ARGUMENTS];
    const struct Builtin *builtin;
} Call;

struct Builtin {
    const char *name;
    Value (*call)(Call *call);
    int n_required;
    const char *parameters[MAX_ARGUMENTS];
    int detail;                      // Op of the functions that share an implementation
};

// Arguments -----------------------------------------------------------------------------------------------------

static NodeId node_argument(Call *call, int i)
{
    return elab_node(call->elab, &call->argument[i], call->place[i]);
}

static bool int_argument(Call *call, int i, int64_t *value)
{
    if (call->argument[i].kind == VALUE_INT) {
        *value = call->argument[i].integer;
        return true;
    }
    if (call->argument[i].kind != VALUE_ERROR) {
        diag_error(call->elab->diag, call->place[i], "%s: %s must be an integer, got %s", call->builtin->name,
                   call->builtin->parameters[i], value_kind_name(call->argument[i].kind));
    }
    return false;
}

static bool number_argument(Call *call, int i, double *value)
{
    if (value_is_number(&call->argument[i])) {
        *value = value_number(&call->argument[i]);
        return true;
    }
    if (call->argument[i].kind != VALUE_ERROR) {
        diag_error(call->elab->diag, call->place[i], "%s: %s must be a number, got %s", call->builtin->name,
                   call->builtin->parameters[i], value_kind_name(call->argument[i].kind));
    }
    return false;
}

static bool list_argument(Call *call, int i, int limit, int64_t *items, int *n_items)
{
    const Value *value = &call->argument[i];
    if (value->kind != VALUE_LIST || value->list->n_items > limit) {
        if (value->kind != VALUE_ERROR) {
            diag_error(call->elab->diag, call->place[i], "%s: %s must be a list of at most %d integers",
                       call->builtin->name, call->builtin->parameters[i], limit);
        }
        return false;
    }
    for (int j = 0; j < value->list->n_items; j++) {
        const Value *item = &value->list->items[j];
        if (item->kind != VALUE_INT) {
            if (item->kind != VALUE_ERROR) {
                diag_error(call->elab->diag, call->place[i], "%s: item %d of %s is %s, not an integer",
                           call->builtin->name, j, call->builtin->parameters[i], value_kind_name(item->kind));
            }
            return false;
        }
        items[j] = item->integer;
    }
    *n_items = value->list->n_items;
    return true;
}

static bool shape_argument(Call *call, int i, Shape *shape)
{
    if (!list_argument(call, i, MAX_RANK, shape->dim, &shape->rank)) {
        return false;
    }
    for (int j = 0; j < shape->rank; j++) {
        if (shape->dim[j] < 1) {
            diag_error(call->elab->diag, call->place[i], "%s: dimension %d would be %lld", call->builtin->name, j,
                       (long long)shape->dim[j]);
            return false;
        }
    }
    return true;
}

static bool axis_argument(Call *call, int i, int rank, int *axis)
{
    int64_t value;
    if (!int_argument(call, i, &value)) {
        return false;
    }
    if (value < -rank || value >= rank) {
        diag_error(call->elab->diag, call->place[i], "%s: there is no dimension %lld in a tensor of %d",
                   call->builtin->name, (long long)value, rank);
        return false;
    }
    *axis = (int)(value < 0 ? value + rank : value);
    return true;
}

static Value node_value(Call *call, NodeId node)
{
    return value_tensor(node, call->span);
}

static const Shape *shape_at(Call *call, NodeId node)
{
    return &call->elab->graph->nodes[node].shape;
}

// Elementwise ---------------------------------------------------------------------------------------------------

static Value call_unary(Call *call)
{
    if (call->builtin->detail == OP_SQRT && value_is_number(&call->argument[0])) {
        return value_float(sqrt(value_number(&call->argument[0])), call->span);
    }
    return elab_unary(call->elab, (Op)call->builtin->detail, call->argument[0], call->span);
}

static Value call_binary(Call *call)
{
    return elab_binary(call->elab, (Op)call->builtin->detail, call->argument[0], call->argument[1], call->span);
}

// min and max of numbers; maximum and minimum work on tensors too.
static Value call_where(Call *call)
{
    return elab_where(call->elab, call->argument[0], call->argument[1], call->argument[2], call->span);
}

static Value call_cast(Call *call)
{
    Dtype dtype = (Dtype)call->builtin->detail;
    const Value *x = &call->argument[0];
    if (value_is_number(x) || x->kind == VALUE_BOOL) {
        double number = x->kind == VALUE_BOOL ? x->truth : value_number(x);
        return dtype == DTYPE_F32 ? value_float(number, call->span) : value_int((int64_t)number, call->span);
    }
    NodeId node = node_argument(call, 0);
    if (node == NO_NODE) {
        return value_error();
    }
    Origin origin = elab_origin(call->elab, call->span);
    return node_value(call, graph_cast(call->elab->graph, node, dtype, &origin));
}

// Reductions ----------------------------------------------------------------------------------------------------

static NodeId drop_axes(Call *call, NodeId node, uint32_t axes)
{
    const Shape *shape = shape_at(call, node);
    Shape kept = {0};
    for (int i = 0; i < shape->rank; i++) {
        if (!(axes >> i & 1u)) {
            kept.dim[kept.rank++] = shape->dim[i];
        }
    }
    Origin origin = elab_origin(call->elab, call->span);
    return graph_reshape(call->elab->graph, node, &kept, &origin);
}

static bool reduced_axes(Call *call, NodeId node, uint32_t *axes, bool *keep)
{
    int rank = shape_at(call, node)->rank;
    *axes = (1u << rank) - 1;
    if (call->argument[1].kind != VALUE_NONE) {
        int axis;
        if (!axis_argument(call, 1, rank, &axis)) {
            return false;
        }
        *axes = 1u << axis;
    }
    *keep = call->argument[2].kind == VALUE_BOOL && call->argument[2].truth;
    return true;
}

static Value sum_of_list(Call *call)
{
    Value total = value_int(0, call->span);
    for (int i = 0; i < call->argument[0].list->n_items; i++) {
        total = elab_binary(call->elab, OP_ADD, total, call->argument[0].list->items[i], call->span);
    }
    return total;
}

static Value call_sum(Call *call)
{
    if (call->argument[0].kind == VALUE_LIST) {
        return sum_of_list(call);
    }
    NodeId node = node_argument(call, 0);
    uint32_t axes;
    bool keep;
    if (node == NO_NODE || !reduced_axes(call, node, &axes, &keep)) {
        return value_error();
    }
    Graph *graph = call->elab->graph;
    if (graph->nodes[node].dtype == DTYPE_BOOL) {
        diag_error(call->elab->diag, call->span, "sum does not work on bool tensors; use float(...) or int(...)");
        return value_error();
    }
    Origin origin = elab_origin(call->elab, call->span);
    NodeId result = graph_reduce(graph, OP_SUM, node, axes, &origin);
    if (call->builtin->detail) {   // mean
        double count = (double)shape_count(&graph->nodes[node].shape) / (double)shape_count(&graph->nodes[result].shape);
        const Shape shape = graph->nodes[result].shape;
        NodeId scale = graph_const(graph, 1.0 / count, DTYPE_F32, &shape, &origin);
        result = graph_binary(graph, OP_MUL, result, scale, &origin);
    }
    return node_value(call, keep ? result : drop_axes(call, result, axes));
}

static Value call_reduce_max(Call *call)
{
    NodeId node = node_argument(call, 0);
    uint32_t axes;
    bool keep;
    if (node == NO_NODE || !reduced_axes(call, node, &axes, &keep)) {
        return value_error();
    }
    Origin origin = elab_origin(call->elab, call->span);
    NodeId result = graph_reduce(call->elab->graph, OP_REDUCE_MAX, node, axes, &origin);
    return node_value(call, keep ? result : drop_axes(call, result, axes));
}

static Value call_argmax(Call *call)
{
    NodeId node = node_argument(call, 0);
    int axis;
    if (node == NO_NODE || !axis_argument(call, 1, shape_at(call, node)->rank, &axis)) {
        return value_error();
    }
    Origin origin = elab_origin(call->elab, call->span);
    NodeId result = graph_argmax(call->elab->graph, node, axis, &origin);
    return node_value(call, drop_axes(call, result, 1u << axis));
}

// Movement ------------------------------------------------------------------------------------------------------

static Value call_reshape(Call *call)
{
    NodeId node = node_argument(call, 0);
    Shape shape;
    if (node == NO_NODE || !shape_argument(call, 1, &shape)) {
        return value_error();
    }
    if (shape_count(&shape) != shape_count(shape_at(call, node))) {
        diag_error(call->elab->diag, call->span, "reshape of %s to %s changes the number of elements from %lld to %lld",
                   elab_shape(call->elab, node), shape_text(call->elab->arena, &shape),
                   (long long)shape_count(shape_at(call, node)), (long long)shape_count(&shape));
        elab_note_operand(call->elab, &call->argument[0], "the tensor");
        return value_error();
    }
    Origin origin = elab_origin(call->elab, call->span);
    return node_value(call, graph_reshape(call->elab->graph, node, &shape, &origin));
}

static Value call_permute(Call *call)
{
    NodeId node = node_argument(call, 0);
    int64_t order[MAX_RANK];
    int n_order;
    if (node == NO_NODE || !list_argument(call, 1, MAX_RANK, order, &n_order)) {
        return value_error();
    }
    int rank = shape_at(call, node)->rank;
    int32_t dims[MAX_RANK] = {0};
    uint32_t seen = 0;
    for (int i = 0; i < n_order; i++) {
        if (order[i] >= 0 && order[i] < rank) {
            seen |= 1u << order[i];
        }
        dims[i] = (int32_t)order[i];
    }
    if (n_order != rank || seen != (1u << rank) - 1) {
        diag_error(call->elab->diag, call->place[1], "permute needs each of the dimensions 0..%d once, for a tensor of shape %s",
                   rank - 1, elab_shape(call->elab, node));
        return value_error();
    }
    Origin origin = elab_origin(call->elab, call->span);
    return node_value(call, graph_permute(call->elab->graph, node, dims, &origin));
}

static Value call_expand(Call *call)
{
    NodeId node = node_argument(call, 0);
    Shape shape;
    if (node == NO_NODE || !shape_argument(call, 1, &shape)) {
        return value_error();
    }
    const Shape *from = shape_at(call, node);
    bool fits = from->rank <= shape.rank;
    for (int i = 1; fits && i <= from->rank; i++) {
        int64_t extent = from->dim[from->rank - i];
        fits = extent == 1 || extent == shape.dim[shape.rank - i];
    }
    if (!fits) {
        diag_error(call->elab->diag, call->span, "expand cannot grow %s to %s", elab_shape(call->elab, node),
                   shape_text(call->elab->arena, &shape));
        return value_error();
    }
    Origin origin = elab_origin(call->elab, call->span);
    return node_value(call, graph_expand_to(call->elab->graph, node, &shape, &origin));
}

static Value call_roll(Call *call)
{
    NodeId node = node_argument(call, 0);
    int64_t shift[MAX_RANK];
    int n_shift;
    if (node == NO_NODE || !list_argument(call, 1, MAX_RANK, shift, &n_shift)) {
        return value_error();
    }
    const Shape *shape = shape_at(call, node);
    if (n_shift != shape->rank) {
        diag_error(call->elab->diag, call->place[1], "roll needs one shift per dimension: %d given for shape %s", n_shift,
                   elab_shape(call->elab, node));
        return value_error();
    }
    bool moves = false;
    for (int i = 0; i < n_shift; i++) {
        shift[i] = ((shift[i] % shape->dim[i]) + shape->dim[i]) % shape->dim[i];
        moves |= shift[i] != 0;
    }
    Origin origin = elab_origin(call->elab, call->span);
    return node_value(call, moves ? graph_roll(call->elab->graph, node, shift, &origin) : node);
}

static Value call_concat(Call *call)
{
    const Value *parts = &call->argument[0];
    if (parts->kind != VALUE_LIST || parts->list->n_items < 1) {
        diag_error(call->elab->diag, call->place[0], "concat needs a list of tensors");
        return value_error();
    }
    int n_parts = parts->list->n_items;
    NodeId *nodes = arena_alloc(call->elab->arena, (size_t)n_parts * sizeof *nodes);
    int axis = 0;
    for (int i = 0; i < n_parts; i++) {
        nodes[i] = elab_node(call->elab, &parts->list->items[i], call->place[0]);
        if (nodes[i] == NO_NODE || (i == 0 && !axis_argument(call, 1, shape_at(call, nodes[0])->rank, &axis))) {
            return value_error();
        }
        Shape a = *shape_at(call, nodes[0]);
        Shape b = *shape_at(call, nodes[i]);
        a.dim[axis] = b.dim[axis < b.rank ? axis : 0];
        if (!shape_equal(&a, &b) || call->elab->graph->nodes[nodes[0]].dtype != call->elab->graph->nodes[nodes[i]].dtype) {
            diag_error(call->elab->diag, call->span, "concat along dimension %d cannot join %s %s and %s %s", axis,
                       dtype_name(call->elab->graph->nodes[nodes[0]].dtype), elab_shape(call->elab, nodes[0]),
                       dtype_name(call->elab->graph->nodes[nodes[i]].dtype), elab_shape(call->elab, nodes[i]));
            return value_error();
        }
    }
    Origin origin = elab_origin(call->elab, call->span);
    return node_value(call, graph_concat(call->elab->graph, nodes, n_parts, axis, &origin));
}

// The tensor `times` times in a row along dimension 0.
static Value call_tile(Call *call)
{
    NodeId node = node_argument(call, 0);
    int64_t times;
    if (node == NO_NODE || !int_argument(call, 1, &times)) {
        return value_error();
    }
    const Shape from = *shape_at(call, node);
    if (times < 1 || from.rank < 1 || from.rank >= MAX_RANK) {
        diag_error(call->elab->diag, call->span, "tile cannot repeat %s %lld times", elab_shape(call->elab, node),
                   (long long)times);
        return value_error();
    }
    Shape one = {.rank = from.rank + 1, .dim = {1}};
    memcpy(one.dim + 1, from.dim, (size_t)from.rank * sizeof *one.dim);
    Shape many = one;
    many.dim[0] = times;
    Shape flat = from;
    flat.dim[0] *= times;
    Graph *graph = call->elab->graph;
    Origin origin = elab_origin(call->elab, call->span);
    NodeId grown = graph_expand(graph, graph_reshape(graph, node, &one, &origin), &many, &origin);
    return node_value(call, graph_reshape(graph, grown, &flat, &origin));
}

// Sources -------------------------------------------------------------------------------------------------------

static bool needs_graph(Call *call)
{
    if (!call->elab->graph) {
        diag_error(call->elab->diag, call->span, "%s makes a tensor, which exists only inside an entry point",
                   call->builtin->name);
    }
    return call->elab->graph != NULL;
}

static Value call_arange(Call *call)
{
    int64_t count;
    if (!needs_graph(call) || !int_argument(call, 0, &count)) {
        return value_error();
    }
    if (count < 1) {
        diag_error(call->elab->diag, call->span, "arange of %lld elements", (long long)count);
        return value_error();
    }
    Shape shape = shape_of(1, &count);
    Origin origin = elab_origin(call->elab, call->span);
    return node_value(call, graph_iota(call->elab->graph, &shape, 0, &origin));
}

static Value call_full(Call *call)
{
    Shape shape;
    double number = call->builtin->detail;
    if (!needs_graph(call) || !shape_argument(call, 0, &shape)
        || (call->builtin->detail < 0 && !number_argument(call, 1, &number))) {
        return value_error();
    }
    Origin origin = elab_origin(call->elab, call->span);
    return node_value(call, graph_const(call->elab->graph, number, DTYPE_F32, &shape, &origin));
}

// Compounds -----------------------------------------------------------------------------------------------------

static Value compound(Call *call, Op op, const Shape *shape, const NodeId *inputs, int n_inputs, double number)
{
    Attr attr = {.number = number};
    Origin origin = elab_origin(call->elab, call->span);
    return node_value(call, graph_add(call->elab->graph, op, DTYPE_F32, shape, inputs, n_inputs, &attr, &origin));
}

static Value call_softmax(Call *call)
{
    NodeId node = node_argument(call, 0);
    if (node == NO_NODE) {
        return value_error();
    }
    if (shape_at(call, node)->rank < 1 || call->elab->graph->nodes[node].dtype != DTYPE_F32) {
        diag_error(call->elab->diag, call->span, "%s needs a float tensor with dimensions", call->builtin->name);
        return value_error();
    }
    const Shape shape = *shape_at(call, node);
    return compound(call, (Op)call->builtin->detail, &shape, &node, 1, 0);
}

static Value call_layer_norm(Call *call)
{
    NodeId inputs[3];
    for (int i = 0; i < 3; i++) {
        inputs[i] = node_argument(call, i);
        if (inputs[i] == NO_NODE) {
            return value_error();
        }
    }
    double epsilon;
    if (!number_argument(call, 3, &epsilon)) {
        return value_error();
    }
    const Shape shape = *shape_at(call, inputs[0]);
    for (int i = 1; i < 3; i++) {
        const Shape *vector = shape_at(call, inputs[i]);
        if (shape.rank < 1 || vector->rank != 1 || vector->dim[0] != shape.dim[shape.rank - 1]) {
            diag_error(call->elab->diag, call->span, "layer_norm of %s cannot use a %s of shape %s",
                       elab_shape(call->elab, inputs[0]), call->builtin->parameters[i], elab_shape(call->elab, inputs[i]));
            elab_note_operand(call->elab, &call->argument[0], "the tensor");
            elab_note_operand(call->elab, &call->argument[i], call->builtin->parameters[i]);
            return value_error();
        }
    }
    return compound(call, OP_LAYER_NORM, &shape, inputs, 3, epsilon);
}

static Value call_cross_entropy(Call *call)
{
    NodeId inputs[2] = {node_argument(call, 0), node_argument(call, 1)};
    if (inputs[0] == NO_NODE || inputs[1] == NO_NODE) {
        return value_error();
    }
    const Shape *logits = shape_at(call, inputs[0]);
    const Shape *labels = shape_at(call, inputs[1]);
    bool fits = logits->rank == 2 && labels->rank == 1 && logits->dim[0] == labels->dim[0]
        && call->elab->graph->nodes[inputs[1]].dtype == DTYPE_I32 && call->elab->graph->nodes[inputs[0]].dtype == DTYPE_F32;
    if (!fits) {
        diag_error(call->elab->diag, call->span, "cross_entropy needs logits [rows, classes] and int labels [rows], got %s and %s %s",
                   elab_shape(call->elab, inputs[0]), dtype_name(call->elab->graph->nodes[inputs[1]].dtype),
                   elab_shape(call->elab, inputs[1]));
        return value_error();
    }
    Shape shape = shape_of(1, &labels->dim[0]);
    return compound(call, OP_CROSS_ENTROPY, &shape, inputs, 2, 0);
}

// Randomness and ranks --------------------------------------------------------------------------------------------

int elab_draw(Elab *elab, DrawKind kind, double rate, const Shape *shape, const char *stem, Span span)
{
    Sym base = elab->draw_name;
    if (!base) {
        base = intern_format(elab->names, "%s%s%s", stem, *elab->path ? "." : "", elab->path);
    }
    // A second draw of the same name gets a number: the first call of a module keeps the plain one.
    int *count = map_get(elab->draw_counts, base);
    if (!count) {
        count = arena_alloc(elab->arena, sizeof *count);
        map_set(elab->draw_counts, base, count);
    }
    Sym name = ++*count == 1 ? base : intern_format(elab->names, "%s.%d", base, *count);
    Draw draw = {.name = name, .kind = kind, .rate = rate, .shape = *shape, .span = span};
    VEC_PUSH(elab->arena, elab->draws, elab->n_draws, elab->draw_capacity, draw);
    return elab->n_draws - 1;
}

static Value dropped(Call *call, const Shape *mask_shape, double rate, const char *stem)
{
    Elab *elab = call->elab;
    if (rate < 0 || rate >= 1) {
        diag_error(elab->diag, call->place[1], "%s: the rate must be at least 0 and below 1, got %g", call->builtin->name, rate);
        return value_error();
    }
    if (rate == 0) {
        return call->argument[0];
    }
    Origin origin = elab_origin(elab, call->span);
    Attr attr = {.index = elab_draw(elab, DRAW_KEEP, rate, mask_shape, stem, call->span)};
    NodeId keep = graph_add(elab->graph, OP_KEEP, DTYPE_F32, mask_shape, NULL, 0, &attr, &origin);
    return elab_binary(elab, OP_MUL, call->argument[0], value_tensor(keep, call->span), call->span);
}

static Value call_dropout(Call *call)
{
    NodeId node = node_argument(call, 0);
    double rate;
    if (node == NO_NODE || !number_argument(call, 1, &rate)) {
        return value_error();
    }
    const Shape shape = *shape_at(call, node);
    return dropped(call, &shape, rate, "dropout");
}

// One decision per sample of dimension 0 (stochastic depth).
static Value call_drop_path(Call *call)
{
    NodeId node = node_argument(call, 0);
    double rate;
    if (node == NO_NODE || !number_argument(call, 1, &rate)) {
        return value_error();
    }
    Shape shape = *shape_at(call, node);
    for (int i = 1; i < shape.rank; i++) {
        shape.dim[i] = 1;
    }
    return dropped(call, &shape, rate, "drop_path");
}

static Value call_sample(Call *call)
{
    NodeId node = node_argument(call, 0);
    if (node == NO_NODE) {
        return value_error();
    }
    if (shape_at(call, node)->rank != 2) {
        diag_error(call->elab->diag, call->span, "sample_categorical needs weights [rows, choices], got %s",
                   elab_shape(call->elab, node));
        return value_error();
    }
    Shape shape = shape_of(1, &shape_at(call, node)->dim[0]);
    Attr attr = {.index = elab_draw(call->elab, DRAW_SAMPLE, 0, &shape, "sample", call->span)};
    Origin origin = elab_origin(call->elab, call->span);
    return node_value(call, graph_add(call->elab->graph, OP_SAMPLE, DTYPE_I32, &shape, &node, 1, &attr, &origin));
}

static Value call_top_k(Call *call)
{
    NodeId node = node_argument(call, 0);
    int64_t k;
    if (node == NO_NODE || !int_argument(call, 1, &k)) {
        return value_error();
    }
    const Node *x = &call->elab->graph->nodes[node];
    if (x->shape.rank != 2 || x->dtype != DTYPE_F32) {
        diag_error(call->elab->diag, call->span, "top_k needs float scores [rows, choices], got %s%s",
                   x->dtype == DTYPE_F32 ? "" : dtype_name(x->dtype), elab_shape(call->elab, node));
        return value_error();
    }
    if (k < 1 || k > x->shape.dim[1]) {
        diag_error(call->elab->diag, call->place[1], "top_k: k is %lld, of %lld choices", (long long)k,
                   (long long)x->shape.dim[1]);
        return value_error();
    }
    Origin origin = elab_origin(call->elab, call->span);
    return node_value(call, graph_top_k(call->elab->graph, node, k, &origin));
}

static Value call_all_gather(Call *call)
{
    NodeId node = node_argument(call, 0);
    if (node == NO_NODE) {
        return value_error();
    }
    Shape shape = *shape_at(call, node);
    if (shape.rank < 1) {
        diag_error(call->elab->diag, call->span, "all_gather needs a tensor with rows");
        return value_error();
    }
    Dtype dtype = call->elab->graph->nodes[node].dtype;
    if (dtype == DTYPE_BOOL) {
        diag_error(call->elab->diag, call->span, "all_gather takes float or int, not bool; gather int(x)");
        return value_error();
    }
    shape.dim[0] *= call->elab->world;
    call->elab->is_world_used = true;
    Origin origin = elab_origin(call->elab, call->span);
    Attr attr = {0};
    return node_value(call, graph_add(call->elab->graph, OP_ALL_GATHER, dtype, &shape, &node, 1, &attr, &origin));
}

// The derivative of a scalar by any tensor it was computed from.
static Value call_gradient(Call *call)
{
    Elab *elab = call->elab;
    NodeId nodes[2] = {node_argument(call, 0), node_argument(call, 1)};
    for (int i = 0; i < 2; i++) {
        if (nodes[i] == NO_NODE) {
            return value_error();
        }
        if (elab->graph->nodes[nodes[i]].dtype != DTYPE_F32 || (i == 0 && shape_count(shape_at(call, nodes[i])) != 1)) {
            diag_error(elab->diag, call->place[i], "gradient: %s must be a float %s, got %s%s", call->builtin->parameters[i],
                       i == 0 ? "scalar" : "tensor", dtype_name(elab->graph->nodes[nodes[i]].dtype),
                       elab_shape(elab, nodes[i]));
            return value_error();
        }
    }
    NodeId gradient = grad_between(elab->graph, nodes[0], nodes[1]);
    if (gradient == NO_NODE) {
        diag_error(elab->diag, call->span, "gradient: the score does not depend on x");
        elab_note_operand(elab, &call->argument[1], "x");
        return value_error();
    }
    return node_value(call, gradient);
}

// Numbers and lists -----------------------------------------------------------------------------------------------

static Value call_len(Call *call)
{
    const Value *x = &call->argument[0];
    if (x->kind == VALUE_LIST || x->kind == VALUE_ARRAY) {
        return value_int(x->list->n_items, call->span);
    }
    NodeId node = node_argument(call, 0);
    if (node == NO_NODE || shape_at(call, node)->rank < 1) {
        return value_error();
    }
    return value_int(shape_at(call, node)->dim[0], call->span);
}

// Extents of a tensor as a list of integers.
static Value call_shape(Call *call)
{
    NodeId node = node_argument(call, 0);
    if (node == NO_NODE) {
        return value_error();
    }
    Value list = value_list(call->elab->arena, call->span);
    for (int i = 0; i < shape_at(call, node)->rank; i++) {
        value_append(call->elab->arena, &list, value_int(shape_at(call, node)->dim[i], call->span));
    }
    return list;
}

// Table ---------------------------------------------------------------------------------------------------------

static const Builtin BUILTINS[] = {
    {"abs", call_unary, 1, {"x"}, OP_ABS},
    {"all_gather", call_all_gather, 1, {"x"}, 0},
    {"arange", call_arange, 1, {"count"}, 0},
    {"argmax", call_argmax, 2, {"x", "axis"}, 0},
    {"concat", call_concat, 2, {"parts", "axis"}, 0},
    {"cross_entropy", call_cross_entropy, 2, {"logits", "labels"}, 0},
    {"drop_path", call_drop_path, 2, {"x", "rate"}, 0},
    {"dropout", call_dropout, 2, {"x", "rate"}, 0},
    {"erf", call_unary, 1, {"x"}, OP_ERF},
    {"exp", call_unary, 1, {"x"}, OP_EXP},
    {"expand", call_expand, 2, {"x", "shape"}, 0},
    {"float", call_cast, 1, {"x"}, DTYPE_F32},
    {"full", call_full, 2, {"shape", "value"}, -1},
    {"gelu", call_unary, 1, {"x"}, OP_GELU},
    {"gradient", call_gradient, 2, {"score", "x"}, 0},
    {"int", call_cast, 1, {"x"}, DTYPE_I32},
    {"layer_norm", call_layer_norm, 4, {"x", "weight", "bias", "epsilon"}, 0},
    {"len", call_len, 1, {"x"}, 0},
    {"log", call_unary, 1, {"x"}, OP_LOG},
    {"log_softmax", call_softmax, 1, {"x"}, OP_LOG_SOFTMAX},
    {"max", call_binary, 2, {"a", "b"}, OP_MAX},
    {"max_over", call_reduce_max, 1, {"x", "axis", "keep"}, 0},
    {"maximum", call_binary, 2, {"a", "b"}, OP_MAX},
    {"mean", call_sum, 1, {"x", "axis", "keep"}, 1},
    {"min", call_binary, 2, {"a", "b"}, OP_MIN},
    {"minimum", call_binary, 2, {"a", "b"}, OP_MIN},
    {"ones", call_full, 1, {"shape"}, 1},
    {"permute", call_permute, 2, {"x", "order"}, 0},
    {"reshape", call_reshape, 2, {"x", "shape"}, 0},
    {"roll", call_roll, 2, {"x", "shifts"}, 0},
    {"rsqrt", call_unary, 1, {"x"}, OP_RSQRT},
    {"sample_categorical", call_sample, 1, {"weights"}, 0},
    {"shape", call_shape, 1, {"x"}, 0},
    {"sigmoid", call_unary, 1, {"x"}, OP_SIGMOID},
    {"sign", call_unary, 1, {"x"}, OP_SIGN},
    {"softmax", call_softmax, 1, {"x"}, OP_SOFTMAX},
    {"sqrt", call_unary, 1, {"x"}, OP_SQRT},
    {"stop_gradient", call_unary, 1, {"x"}, OP_STOP_GRADIENT},
    {"sum", call_sum, 1, {"x", "axis", "keep"}, 0},
    {"tanh", call_unary, 1, {"x"}, OP_TANH},
    {"tile", call_tile, 2, {"x", "times"}, 0},
    {"top_k", call_top_k, 2, {"scores", "k"}, 0},
    {"where", call_where, 3, {"condition", "a", "b"}, 0},
    {"zeros", call_full, 1, {"shape"}, 0},
};

enum { N_BUILTINS = sizeof BUILTINS / sizeof *BUILTINS };

const Builtin *builtin_find(const char *name)
{
    for (int i = 0; i < N_BUILTINS; i++) {
        if (strcmp(BUILTINS[i].name, name) == 0) {
            return &BUILTINS[i];
        }
    }
    return NULL;
}

const char *builtin_name(const Builtin *builtin)
{
    return builtin->name;
}

int builtin_names(const char **names, int capacity)
{
    int n_names = 0;
    for (int i = 0; i < N_BUILTINS && n_names < capacity; i++) {
        names[n_names++] = BUILTINS[i].name;
    }
    return n_names;
}

static int parameter_position(const Builtin *builtin, const char *name)
{
    for (int i = 0; i < MAX_ARGUMENTS && builtin->parameters[i]; i++) {
        if (strcmp(builtin->parameters[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

static bool place_arguments(Call *call, const Argument *arguments, int n_arguments)
{
    const Builtin *builtin = call->builtin;
    int n_parameters = 0;
    while (n_parameters < MAX_ARGUMENTS && builtin->parameters[n_parameters]) {
        n_parameters++;
    }
    bool given[MAX_ARGUMENTS] = {false};
    for (int i = 0; i < n_arguments; i++) {
        int position = arguments[i].name ? parameter_position(builtin, arguments[i].name) : i;
        if (position < 0 || position >= n_parameters || given[position]) {
            if (arguments[i].name) {
                diag_error(call->elab->diag, arguments[i].span, "%s has no free parameter '%s'", builtin->name,
                           arguments[i].name);
            } else {
                diag_error(call->elab->diag, arguments[i].span, "%s takes at most %d argument%s", builtin->name,
                           n_parameters, n_parameters == 1 ? "" : "s");
            }
            return false;
        }
        given[position] = true;
        call->argument[position] = arguments[i].value;
        call->place[position] = arguments[i].span;
    }
    for (int i = 0; i < builtin->n_required; i++) {
        if (!given[i]) {
            diag_error(call->elab->diag, call->span, "%s needs an argument for '%s'", builtin->name, builtin->parameters[i]);
            return false;
        }
    }
    return true;
}

Value builtin_call(Elab *elab, const Builtin *builtin, const Argument *arguments, int n_arguments, Span span)
{
    Call call = {.elab = elab, .span = span, .builtin = builtin};
    for (int i = 0; i < MAX_ARGUMENTS; i++) {
        call.argument[i] = value_none(span);
        call.place[i] = span;
    }
    for (int i = 0; i < n_arguments; i++) {
        if (arguments[i].value.kind == VALUE_ERROR) {
            return value_error();
        }
    }
    return place_arguments(&call, arguments, n_arguments) ? builtin->call(&call) : value_error();
}
