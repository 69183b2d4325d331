// Built-in functions of the language: one row per function in the table, one small C function each (builtins_*.c), and
// how their arguments are read.
#include "compiler/builtins_internal.h"

#include <string.h>

// Arguments -----------------------------------------------------------------------------------------------------

NodeId node_argument(Call *call, int i)
{
    return elab_node(call->elab, &call->argument[i], call->place[i]);
}

bool int_argument(Call *call, int i, int64_t *value)
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

bool number_argument(Call *call, int i, double *value)
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

bool list_argument(Call *call, int i, int limit, int64_t *items, int *n_items)
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

bool shape_argument(Call *call, int i, Shape *shape)
{
    if (!list_argument(call, i, MAX_RANK, shape->dim, &shape->rank)) {
        return false;
    }
    for (int j = 0; j < shape->rank; j++) {
        if (shape->dim[j] < 1) {
            diag_error(call->elab->diag, call->place[i], "%s: dimension %d would be %lld",
                       call->builtin->name, j, (long long)shape->dim[j]);
            return false;
        }
    }
    return true;
}

bool axis_argument(Call *call, int i, int rank, int *axis)
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

Value node_value(Call *call, NodeId node)
{
    return value_tensor(node, call->span);
}

const Shape *shape_at(Call *call, NodeId node)
{
    return &call->elab->graph->nodes[node].shape;
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
                diag_error(call->elab->diag, arguments[i].span, "%s has no free parameter '%s'",
                           builtin->name, arguments[i].name);
            } else {
                diag_error(call->elab->diag, arguments[i].span, "%s takes at most %d argument%s",
                           builtin->name, n_parameters, n_parameters == 1 ? "" : "s");
            }
            return false;
        }
        given[position] = true;
        call->argument[position] = arguments[i].value;
        call->place[position] = arguments[i].span;
    }
    for (int i = 0; i < builtin->n_required; i++) {
        if (!given[i]) {
            diag_error(call->elab->diag, call->span, "%s needs an argument for '%s'", builtin->name,
                       builtin->parameters[i]);
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
