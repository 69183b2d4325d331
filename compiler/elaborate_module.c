// Modules: binding of arguments to typed parameters, members, parameters with their official names.
#include "compiler/base/vec.h"
#include "compiler/elab.h"

#include <math.h>
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

// Parameters ----------------------------------------------------------------------------------------------------

static Sym joined_path(Elab *elab, Sym path, Sym component)
{
    return *path && *component ? intern_format(elab->names, "%s.%s", path, component)
           : *path             ? path
                               : component;
}

static bool number_args(Elab *elab, Scope *scope, const AstExpr *call, double *a, double *b, int n_expected)
{
    double *targets[2] = {a, b};
    int n_args = 0;
    for (const AstArg *arg = call->args; arg; arg = arg->next, n_args++) {
        Value value = elab_expr(elab, scope, arg->value);
        if (n_args >= n_expected || !value_is_number(&value)) {
            n_args = -1;
            break;
        }
        *targets[n_args] = value_number(&value);
    }
    if (n_args != n_expected) {
        diag_error(elab->diag, call->span, "expected %d number%s here", n_expected,
                   n_expected == 1 ? "" : "s");
        return false;
    }
    return true;
}

static void read_init(Elab *elab, Scope *scope, const AstAttribute *attribute, Parameter *parameter)
{
    static const struct {
        const char *name;
        InitKind kind;
        int n_args;
        double a;
    } kinds[] = {{"zeros", INIT_CONSTANT, 0, 0},      {"ones", INIT_CONSTANT, 0, 1},
                 {"constant", INIT_CONSTANT, 1, 0},   {"normal", INIT_NORMAL, 2, 0},
                 {"truncated", INIT_TRUNCATED, 2, 0}, {"uniform", INIT_UNIFORM, 2, 0}};
    const AstExpr *value = attribute->value;
    const AstExpr *name = value && value->kind == AST_CALL ? value->a : value;
    for (size_t i = 0; name && name->kind == AST_NAME && i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].name, name->text) == 0) {
            parameter->init = kinds[i].kind;
            parameter->init_a = kinds[i].a;
            if (kinds[i].n_args > 0 || value->kind == AST_CALL) {
                number_args(elab, scope, value, &parameter->init_a, &parameter->init_b, kinds[i].n_args);
            }
            return;
        }
    }
    diag_error(
        elab->diag, value ? value->span : attribute->name.span,
        "expected zeros, ones, constant(x), normal(mean, deviation), truncated(mean, deviation) or uniform(low, high)");
}

// `fresh`, or `fresh(condition)`.
static bool is_marked(Elab *elab, Scope *scope, const AstAttribute *attribute)
{
    if (!attribute->value) {
        return true;
    }
    const AstArg *condition = attribute->value->args;
    if (!condition || condition->next || condition->name) {
        diag_error(elab->diag, attribute->value->span, "'%s' takes one condition", attribute->name.text);
        return false;
    }
    bool truth = false;
    return elab_truth(elab, scope, condition->value, &truth) && truth;
}

// `zero_row(row)`: the row of a table that starts as zeros.
static bool read_zero_row(Elab *elab, Scope *scope, const AstAttribute *attribute, Parameter *parameter)
{
    double row = 0, ignored;
    if (!number_args(elab, scope, attribute->value, &row, &ignored, 1)) {
        return false;
    }
    if (parameter->shape.rank < 1 || row < 0 || row >= (double)parameter->shape.dim[0] || row != floor(row)) {
        diag_error(elab->diag, attribute->value->span, "there is no row %g in a parameter of shape %s", row,
                   shape_text(elab->arena, &parameter->shape));
        return false;
    }
    parameter->zero_row = (int64_t)row;
    return true;
}

static void read_attribute(Elab *elab, Scope *scope, const AstAttribute *attribute, Parameter *parameter)
{
    const char *name = attribute->name.text;
    if (strcmp(name, "init") == 0) {
        read_init(elab, scope, attribute, parameter);
    } else if (strcmp(name, "fresh") == 0) {
        parameter->is_fresh |= is_marked(elab, scope, attribute);
    } else if (strcmp(name, "frozen") == 0) {
        parameter->is_trainable &= !is_marked(elab, scope, attribute);
    } else if (strcmp(name, "no_decay") == 0) {
        parameter->has_decay &= !is_marked(elab, scope, attribute);
    } else if (strcmp(name, "clamp") == 0 && attribute->value) {
        parameter->has_clamp =
            number_args(elab, scope, attribute->value, &parameter->clamp_low, &parameter->clamp_high, 2);
    } else if (strcmp(name, "zero_row") == 0 && attribute->value) {
        parameter->has_zero_row = read_zero_row(elab, scope, attribute, parameter);
    } else {
        diag_error(elab->diag, attribute->name.span,
                   "a parameter knows init, fresh, frozen, no_decay, clamp and zero_row, not '%s'", name);
    }
}

static bool is_name_used(Elab *elab, Sym name, Span *span)
{
    for (int i = 0; i < elab->n_parameters; i++) {
        if (elab->parameters[i].name == name) {
            *span = elab->parameters[i].span;
            return true;
        }
    }
    return false;
}

static void declare_parameter(Elab *elab, Instance *instance, const AstItem *item, Marks marks)
{
    Parameter parameter = {
        .is_trainable = !marks.is_frozen, .has_decay = true, .is_fresh = marks.is_fresh, .span = item->head};
    Dtype dtype;
    scope_set(instance->scope, item->name.text, value_error());
    if (!elab_shape_of_type(elab, instance->scope, item->type, &parameter.shape, &dtype)) {
        return;
    }
    if (dtype != DTYPE_F32) {
        diag_error(elab->diag, item->type->span, "a parameter is a float tensor");
        return;
    }
    parameter.name = joined_path(elab, instance->path, item->text ? item->text : item->name.text);
    parameter.span = item->name.span;
    Span other;
    if (is_name_used(elab, parameter.name, &other)) {
        diag_error(elab->diag, item->name.span, "a second parameter would be called '%s'", parameter.name);
        diag_note(elab->diag, other, "the first one is declared here");
        return;
    }
    for (const AstAttribute *attribute = item->attributes; attribute; attribute = attribute->next) {
        read_attribute(elab, instance->scope, attribute, &parameter);
    }
    VEC_PUSH(elab->arena, elab->parameters, elab->n_parameters, elab->parameter_capacity, parameter);
    scope_set(instance->scope, item->name.text,
              (Value){.kind = VALUE_PARAMETER, .span = item->name.span, .parameter = elab->n_parameters - 1});
}

static void declare_alias(Elab *elab, Instance *instance, const AstItem *item)
{
    Value value = elab_expr(elab, instance->scope, item->value);
    if (value.kind != VALUE_PARAMETER) {
        if (value.kind != VALUE_ERROR) {
            diag_error(elab->diag, item->value->span, "an alias names a parameter, got %s",
                       value_kind_name(value.kind));
        }
        return;
    }
    Alias alias = {joined_path(elab, instance->path, item->text), value.parameter};
    VEC_PUSH(elab->arena, elab->aliases, elab->n_aliases, elab->alias_capacity, alias);
}

// Children ------------------------------------------------------------------------------------------------------

// The module named in a member declaration. Members may be called like their module (`LayerNorm: LayerNorm(...)`), so
// names that stand for something else are passed over.
static const ClassValue *class_named(Elab *elab, const Scope *scope, const AstExpr *callee)
{
    if (callee->kind == AST_NAME) {
        for (const Scope *at = scope; at; at = at->parent) {
            const Value *value = map_get(at->values, callee->text);
            if (value && value->kind == VALUE_CLASS) {
                return value->class;
            }
        }
        const Value *other = scope_find(scope, callee->text);
        if (other && other->kind != VALUE_ERROR) {
            diag_error(elab->diag, callee->span, "'%s' is %s, not a module", callee->text,
                       value_kind_name(other->kind));
        } else if (!other) {
            elab_unknown_name(elab, scope, callee->text, callee->span);
        }
        return NULL;
    }
    diag_error(elab->diag, callee->span, "expected the name of a module");
    return NULL;
}

static bool child_marks(Elab *elab, Scope *scope, const AstItem *item, Marks *marks, bool *is_traced)
{
    for (const AstAttribute *attribute = item->attributes; attribute; attribute = attribute->next) {
        if (strcmp(attribute->name.text, "fresh") == 0) {
            marks->is_fresh |= is_marked(elab, scope, attribute);
        } else if (strcmp(attribute->name.text, "frozen") == 0) {
            marks->is_frozen |= is_marked(elab, scope, attribute);
        } else if (strcmp(attribute->name.text, "traced") == 0) {
            *is_traced |= is_marked(elab, scope, attribute);
        } else {
            diag_error(elab->diag, attribute->name.span, "a member knows fresh, frozen and traced, not '%s'",
                       attribute->name.text);
            return false;
        }
    }
    return true;
}

static void bind_child(Elab *elab, Instance *instance, const AstItem *item, int64_t index, Value child)
{
    Sym name = item->name.text;
    const Value *known = map_get(instance->scope->values, name);
    if (!item->target) {
        if (known && known->kind == VALUE_INSTANCE) {
            diag_error(elab->diag, item->name.span, "member '%s' is declared twice", name);
            diag_note(elab->diag, known->instance->span, "the first one is here");
        }
        scope_set(instance->scope, name, child);
        return;
    }
    Value array = known && known->kind == VALUE_ARRAY ? *known : value_list(elab->arena, item->name.span);
    array.kind = VALUE_ARRAY;
    if (index != array.list->n_items) {
        diag_error(elab->diag, item->target->span, "element %lld of '%s' is declared where %d is next",
                   (long long)index, name, array.list->n_items);
        return;
    }
    value_append(elab->arena, &array, child);
    scope_set(instance->scope, name, array);
}

static void declare_child(Elab *elab, Instance *instance, const AstItem *item, Marks marks)
{
    bool is_traced = false;
    if (item->value->kind != AST_CALL) {
        diag_error(elab->diag, item->value->span, "a member is an instance of a module: `%s: Module(...)`",
                   item->name.text);
        return;
    }
    const ClassValue *class = class_named(elab, instance->scope, item->value->a);
    Value index = item->target ? elab_expr(elab, instance->scope, item->target) : value_int(0, item->span);
    if (index.kind != VALUE_INT && index.kind != VALUE_ERROR) {
        diag_error(elab->diag, item->target->span, "the index of a member must be an integer, got %s",
                   value_kind_name(index.kind));
    }
    if (!class || index.kind != VALUE_INT || !child_marks(elab, instance->scope, item, &marks, &is_traced)) {
        scope_set(instance->scope, item->name.text, value_error());
        return;
    }
    Sym component = item->text ? item->text : item->name.text;
    if (item->target) {
        component = intern_format(elab->names, "%s.%lld", component, (long long)index.integer);
    }
    int n_args = 0;
    for (const AstArg *arg = item->value->args; arg; arg = arg->next) {
        n_args++;
    }
    Argument *arguments = arena_alloc(elab->arena, ((size_t)n_args + 1) * sizeof *arguments);
    int i = 0;
    for (const AstArg *arg = item->value->args; arg; arg = arg->next) {
        arguments[i++] = (Argument){arg->name, elab_expr(elab, instance->scope, arg->value), arg->span};
    }
    Sym path = joined_path(elab, instance->path, component);
    Instance *child = elab_instantiate(elab, class, arguments, n_args, path, marks, item->value->span);
    if (child) {
        child->is_traced = is_traced;
    }
    bind_child(elab, instance, item, index.integer,
               child ? (Value){.kind = VALUE_INSTANCE, .span = item->name.span, .instance = child}
                     : value_error());
}

static void declare_function(Elab *elab, Instance *instance, const AstItem *item)
{
    FunctionValue *function = arena_alloc(elab->arena, sizeof *function);
    function->item = item;
    function->instance = instance;
    if (!item->name.text) {
        if (instance->call) {
            diag_error(elab->diag, item->head, "a module has one unnamed function");
            diag_note(elab->diag, instance->call->item->head, "the first one is here");
        }
        instance->call = function;
        return;
    }
    scope_set(instance->scope, item->name.text,
              (Value){.kind = VALUE_FUNCTION, .span = item->head, .function = function});
}

// Members -------------------------------------------------------------------------------------------------------

static void member_if(Elab *elab, Instance *instance, const AstItem *item, Marks marks)
{
    bool truth;
    if (elab_truth(elab, instance->scope, item->value, &truth)) {
        elab_members(elab, instance, truth ? &item->items : &item->otherwise, marks);
    }
}

static void member_loop(Elab *elab, Instance *instance, const AstItem *item, Marks marks)
{
    // The same rules as for loops in functions: evaluate the values once through a comprehension of the variable.
    AstExpr name = {.kind = AST_NAME, .span = item->name.span, .text = item->name.text};
    AstExpr all = {.kind = AST_FOR,
                   .span = item->value->span,
                   .a = &name,
                   .b = item->value,
                   .c = item->end,
                   .text = item->name.text};
    Value over = elab_expr(elab, instance->scope, &all);
    for (int i = 0;
         over.kind == VALUE_LIST && i < over.list->n_items && elab->diag->n_errors <= DIAG_MAX_ERRORS; i++) {
        scope_set(instance->scope, item->name.text, over.list->items[i]);
        elab_members(elab, instance, &item->items, marks);
    }
}

static void declare_member(Elab *elab, Instance *instance, const AstItem *item, Marks marks)
{
    Value ignored;
    switch (item->kind) {
    case AST_PARAMETER: declare_parameter(elab, instance, item, marks); break;
    case AST_BUFFER:
        elab_buffer(elab, instance->scope, item,
                    joined_path(elab, instance->path, item->text ? item->text : item->name.text));
        break;
    case AST_CHILD: declare_child(elab, instance, item, marks); break;
    case AST_ALIAS: declare_alias(elab, instance, item); break;
    case AST_FUNCTION: declare_function(elab, instance, item); break;
    case AST_IF: member_if(elab, instance, item, marks); break;
    case AST_LOOP: member_loop(elab, instance, item, marks); break;
    case AST_LET:
    case AST_ASSERT: {
        AstItem alone = *item;
        alone.next = NULL;
        AstItems one = {.first = &alone, .last = &alone};
        elab_statements(elab, instance->scope, &one, &ignored);
        break;
    }
    default: diag_error(elab->diag, item->head, "this cannot stand in a module");
    }
}

void elab_members(Elab *elab, Instance *instance, const AstItems *items, Marks marks)
{
    for (const AstItem *item = items->first; item; item = item->next) {
        declare_member(elab, instance, item, marks);
    }
}

Instance *elab_instantiate(Elab *elab, const ClassValue *class, const Argument *arguments, int n_arguments,
                           Sym path, Marks marks, Span span)
{
    enum { DEEPEST = 100 };
    for (int i = 0; i < n_arguments; i++) {
        if (arguments[i].value.kind == VALUE_ERROR) {
            return NULL;
        }
    }
    if (elab->depth > DEEPEST) {
        diag_error(elab->diag, span, "modules are nested more than %d deep; does '%s' contain itself?",
                   (int)DEEPEST, class->module->name.text);
        return NULL;
    }
    Instance *instance = arena_alloc(elab->arena, sizeof *instance);
    *instance = (Instance){
        .module = class->module, .path = path, .scope = scope_new(elab->arena, elab->globals), .span = span};
    if (!elab_bind(elab, instance->scope, class->module->params, arguments, n_arguments,
                   class->module->name.text, span)) {
        return NULL;
    }
    elab->depth++;
    elab_members(elab, instance, &class->module->items, marks);
    elab->depth--;
    return instance;
}
