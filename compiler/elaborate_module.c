// Modules: members, parameters with their official names and attributes.
#include "compiler/base/vec.h"
#include "compiler/elab.h"

#include <math.h>
#include <string.h>

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

// A grid's table: [..., G * G, C] with C divisible by 4, and a temperature above zero.
static void check_waves(Elab *elab, Span span, const Parameter *parameter)
{
    const Shape *shape = &parameter->shape;
    int64_t rows = shape->rank < 2 ? 0 : shape->dim[shape->rank - 2];
    int64_t side = (int64_t)lround(sqrt((double)rows));
    if (rows == 0 || side * side != rows || shape->dim[shape->rank - 1] % 4 != 0) {
        diag_error(elab->diag, span, "sincos_2d is for [..., G * G, C] with C divisible by 4, got %s",
                   shape_text(elab->arena, shape));
    } else if (!(parameter->init_b > 0)) {
        diag_error(elab->diag, span, "the temperature of sincos_2d must be above zero, got %g",
                   parameter->init_b);
    }
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
                 {"truncated", INIT_TRUNCATED, 2, 0}, {"uniform", INIT_UNIFORM, 2, 0},
                 {"sincos_2d", INIT_SINCOS_2D, 2, 0}};
    const AstExpr *value = attribute->value;
    const AstExpr *name = value && value->kind == AST_CALL ? value->a : value;
    for (size_t i = 0; name && name->kind == AST_NAME && i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].name, name->text) == 0) {
            parameter->init = kinds[i].kind;
            parameter->init_a = kinds[i].a;
            if (kinds[i].n_args > 0 || value->kind == AST_CALL) {
                number_args(elab, scope, value, &parameter->init_a, &parameter->init_b, kinds[i].n_args);
            }
            if (parameter->init == INIT_SINCOS_2D) {
                check_waves(elab, value->span, parameter);
            }
            return;
        }
    }
    diag_error(elab->diag, value ? value->span : attribute->name.span,
               "expected zeros, ones, constant(x), normal(mean, deviation), truncated(mean, deviation), "
               "uniform(low, high) or sincos_2d(scale, temperature)");
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
