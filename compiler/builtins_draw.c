// Built-in functions with random draws, choices by score, other ranks, and gradients.
#include "compiler/base/vec.h"
#include "compiler/builtins_internal.h"
#include "compiler/grad.h"

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
        diag_error(elab->diag, call->place[1], "%s: the rate must be at least 0 and below 1, got %g",
                   call->builtin->name, rate);
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

Value call_dropout(Call *call)
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
Value call_drop_path(Call *call)
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

Value call_sample(Call *call)
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
    return node_value(call,
                      graph_add(call->elab->graph, OP_SAMPLE, DTYPE_I32, &shape, &node, 1, &attr, &origin));
}

Value call_top_k(Call *call)
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

Value call_all_gather(Call *call)
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
    return node_value(call,
                      graph_add(call->elab->graph, OP_ALL_GATHER, dtype, &shape, &node, 1, &attr, &origin));
}

// The derivative of a scalar by any tensor it was computed from.
Value call_gradient(Call *call)
{
    Elab *elab = call->elab;
    NodeId nodes[2] = {node_argument(call, 0), node_argument(call, 1)};
    for (int i = 0; i < 2; i++) {
        if (nodes[i] == NO_NODE) {
            return value_error();
        }
        if (elab->graph->nodes[nodes[i]].dtype != DTYPE_F32 ||
            (i == 0 && shape_count(shape_at(call, nodes[i])) != 1)) {
            diag_error(elab->diag, call->place[i], "gradient: %s must be a float %s, got %s%s",
                       call->builtin->parameters[i], i == 0 ? "scalar" : "tensor",
                       dtype_name(elab->graph->nodes[nodes[i]].dtype), elab_shape(elab, nodes[i]));
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
