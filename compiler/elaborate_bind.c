// Binding of arguments to typed parameters, symbolic dimensions included.
#include "compiler/base/vec.h"
#include "compiler/elab.h"

#include <string.h>

// Types ---------------------------------------------------------------------------------------------------------

static Dtype dtype_of_ast(AstDtype dtype)
{
    return dtype == AST_DTYPE_FLOAT ? DTYPE_F32 : dtype == AST_DTYPE_INT ? DTYPE_I32 : DTYPE_BOOL;
}

// A plain name that stands for no integer: a symbolic dimension.
static bool is_symbol(const Scope *scope, const AstExpr *dim)
{
    if (dim->kind != AST_NAME) {
        return false;
    }
    const Value *value = scope_find(scope, dim->text);
    return !value || value->kind != VALUE_INT;
}

static const char *type_text(Elab *elab, const AstType *type)
{
    return arena_copy(elab->arena, type->span.source->text + type->span.begin,
                      type->span.end - type->span.begin);
}

static int count_dims(const AstType *type)
{
    int n_dims = 0;
    for (const AstArg *dim = type->dims; dim; dim = dim->next) {
        n_dims++;
    }
    return n_dims;
}

static bool type_mismatch(Elab *elab, const AstParam *param, const Argument *argument, NodeId node,
                          const char *what)
{
    const Graph *graph = elab->graph;
    diag_error(elab->diag, argument->span, "%s '%s' of %s is %s, got %s%s",
               strcmp(param->name.text, "result") == 0 ? "the" : "parameter", param->name.text, what,
               type_text(elab, param->type),
               graph->nodes[node].dtype == DTYPE_F32 ? "" : dtype_name(graph->nodes[node].dtype),
               elab_shape(elab, node));
    if (argument->span.source != param->type->span.source ||
        argument->span.begin != param->type->span.begin) {
        diag_note(elab->diag, param->type->span, "'%s' is declared here", param->name.text);
    }
    diag_note(elab->diag, graph->nodes[node].span, "the value %s comes from here", elab_shape(elab, node));
    return false;
}

static bool bind_type(Elab *elab, Scope *scope, const AstParam *param, const Argument *argument,
                      const char *what)
{
    NodeId node = elab_node(elab, &argument->value, argument->span);
    if (node == NO_NODE) {
        return false;
    }
    const AstType *type = param->type;
    const Node *value = &elab->graph->nodes[node];
    int n_dims = count_dims(type);
    int lead = value->shape.rank - n_dims;
    if (value->dtype != dtype_of_ast(type->dtype) || lead < 0 || (lead > 0 && !type->has_ellipsis)) {
        return type_mismatch(elab, param, argument, node, what);
    }
    int i = lead;
    for (const AstArg *dim = type->dims; dim; dim = dim->next, i++) {
        int64_t extent = value->shape.dim[i];
        if (is_symbol(scope, dim->value)) {
            scope_set(scope, dim->value->text, value_int(extent, argument->span));
            continue;
        }
        Value expected = elab_expr(elab, scope, dim->value);
        if (expected.kind != VALUE_INT) {
            if (expected.kind != VALUE_ERROR) {
                diag_error(elab->diag, dim->span, "a dimension must be an integer, got %s",
                           value_kind_name(expected.kind));
            }
            return false;
        }
        if (expected.integer != extent) {
            bool result = type_mismatch(elab, param, argument, node, what);
            diag_note(elab->diag, dim->span, "dimension %d must be %lld and is %lld", i,
                      (long long)expected.integer, (long long)extent);
            return result;
        }
    }
    return true;
}

bool elab_shape_of_type(Elab *elab, Scope *scope, const AstType *type, Shape *shape, Dtype *dtype)
{
    *shape = shape_scalar();
    *dtype = dtype_of_ast(type->dtype);
    if (type->has_ellipsis || type->kind != AST_TENSOR) {
        diag_error(elab->diag, type->span, "this type must be a tensor with all dimensions given");
        return false;
    }
    for (const AstArg *dim = type->dims; dim; dim = dim->next) {
        Value extent = elab_expr(elab, scope, dim->value);
        if (extent.kind != VALUE_INT || extent.integer < 1 || shape->rank == MAX_RANK) {
            if (extent.kind == VALUE_INT && shape->rank < MAX_RANK) {
                diag_error(elab->diag, dim->span, "a dimension must be at least 1, got %lld",
                           (long long)extent.integer);
            } else if (shape->rank == MAX_RANK) {
                diag_error(elab->diag, dim->span, "a tensor has at most %d dimensions", (int)MAX_RANK);
            } else if (extent.kind != VALUE_ERROR) {
                diag_error(elab->diag, dim->span, "a dimension must be an integer, got %s",
                           value_kind_name(extent.kind));
            }
            return false;
        }
        shape->dim[shape->rank++] = extent.integer;
    }
    return true;
}

// Arguments -----------------------------------------------------------------------------------------------------

static const AstParam *param_at(const AstParam *params, int position)
{
    for (; params && position > 0; position--) {
        params = params->next;
    }
    return params;
}

static const AstParam *param_named(const AstParam *params, Sym name)
{
    for (; params; params = params->next) {
        if (params->name.text == name) {
            return params;
        }
    }
    return NULL;
}

static void report_stray(Elab *elab, const AstParam *params, const Argument *argument, const char *what)
{
    if (!argument->name) {
        int n_params = 0;
        for (const AstParam *param = params; param; param = param->next) {
            n_params++;
        }
        diag_error(elab->diag, argument->span, "%s takes %d argument%s", what, n_params,
                   n_params == 1 ? "" : "s");
        return;
    }
    enum { MOST = 64 };
    const char *candidates[MOST];
    int n_candidates = 0;
    for (const AstParam *param = params; param && n_candidates < MOST; param = param->next) {
        candidates[n_candidates++] = param->name.text;
    }
    const char *nearest = diag_nearest(argument->name, candidates, n_candidates);
    diag_error(elab->diag, argument->span, "%s has no parameter '%s'%s%s%s", what, argument->name,
               nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

static bool bind_one(Elab *elab, Scope *scope, const AstParam *param, const Argument *argument,
                     const char *what)
{
    scope_set(scope, param->name.text, argument->value);
    bool is_absent = argument->value.kind == VALUE_NONE;
    return !param->type || is_absent || bind_type(elab, scope, param, argument, what);
}

bool elab_bind(Elab *elab, Scope *scope, const AstParam *params, const Argument *arguments, int n_arguments,
               const char *what, Span span)
{
    for (int i = 0; i < n_arguments; i++) {
        const AstParam *param =
            arguments[i].name ? param_named(params, arguments[i].name) : param_at(params, i);
        if (!param || map_has(scope->values, param->name.text)) {
            if (param) {
                diag_error(elab->diag, arguments[i].span, "argument '%s' of %s is given twice",
                           param->name.text, what);
            } else {
                report_stray(elab, params, &arguments[i], what);
            }
            return false;
        }
        if (!bind_one(elab, scope, param, &arguments[i], what)) {
            return false;
        }
    }
    for (const AstParam *param = params; param; param = param->next) {
        if (map_has(scope->values, param->name.text)) {
            continue;
        }
        if (!param->value) {
            diag_error(elab->diag, span, "%s needs an argument for '%s'", what, param->name.text);
            diag_note(elab->diag, param->name.span, "'%s' is declared here", param->name.text);
            return false;
        }
        scope_set(scope, param->name.text, elab_expr(elab, scope, param->value));
    }
    return true;
}
