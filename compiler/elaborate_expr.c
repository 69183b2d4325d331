// Expressions, calls and statements of the language. Functions are called by executing their bodies with compile-time
// values, so every call of a module becomes nodes of the graph: nothing of the language is left at run time.
#include "compiler/elab.h"

#include <string.h>

enum { MAX_DEPTH = 200, MAX_LOOP = 1 << 20 };

// Scopes --------------------------------------------------------------------------------------------------------

Scope *scope_new(Arena *arena, const Scope *parent)
{
    Scope *scope = arena_alloc(arena, sizeof *scope);
    scope->parent = parent;
    scope->values = map_new(arena);
    return scope;
}

void scope_set(Scope *scope, Sym name, Value value)
{
    Value *stored = arena_alloc(scope->values->arena, sizeof *stored);
    *stored = value;
    map_set(scope->values, name, stored);
}

const Value *scope_find(const Scope *scope, Sym name)
{
    for (; scope; scope = scope->parent) {
        const Value *value = map_get(scope->values, name);
        if (value) {
            return value;
        }
    }
    return NULL;
}

void elab_unknown_name(Elab *elab, const Scope *scope, Sym name, Span span)
{
    enum { MOST = 1024 };
    const char *candidates[MOST];
    int n_candidates = builtin_names(candidates, MOST);
    for (; scope; scope = scope->parent) {
        for (int i = 0; i < scope->values->n_entries && n_candidates < MOST; i++) {
            candidates[n_candidates++] = scope->values->entries[i].key;
        }
    }
    const char *nearest = diag_nearest(name, candidates, n_candidates);
    if (nearest) {
        diag_error(elab->diag, span, "unknown name '%s'; did you mean '%s'?", name, nearest);
    } else {
        diag_error(elab->diag, span, "unknown name '%s'", name);
    }
}

// Names and members ---------------------------------------------------------------------------------------------

static Value name_value(Elab *elab, const Scope *scope, Sym name, Span span)
{
    const Value *value = scope_find(scope, name);
    if (value) {
        Value found = *value;
        elab->is_world_used = elab->is_world_used || value == elab->world_value;
        if (found.kind == VALUE_INT || found.kind == VALUE_FLOAT) {
            found.span = span;
        }
        return found;
    }
    const Builtin *builtin = builtin_find(name);
    if (builtin) {
        return (Value){.kind = VALUE_BUILTIN, .span = span, .builtin = builtin};
    }
    elab_unknown_name(elab, scope, name, span);
    return value_error();
}

static Value missing_member(Elab *elab, const Value *base, const Map *members, Sym name, Span span)
{
    enum { MOST = 256 };
    const char *candidates[MOST];
    int n_candidates = 0;
    for (int i = 0; i < members->n_entries && n_candidates < MOST; i++) {
        candidates[n_candidates++] = members->entries[i].key;
    }
    const char *nearest = diag_nearest(name, candidates, n_candidates);
    diag_error(elab->diag, span, "%s has no member '%s'%s%s%s", value_kind_name(base->kind), name,
               nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    if (base->kind == VALUE_INSTANCE) {
        diag_note(elab->diag, base->instance->module->head, "module '%s' is declared here",
                  base->instance->module->name.text);
    }
    return value_error();
}

static Value member_value(Elab *elab, Scope *scope, const AstExpr *expr)
{
    Value base = elab_expr(elab, scope, expr->a);
    if (base.kind == VALUE_ERROR) {
        return base;
    }
    if (strcmp(expr->text, "T") == 0 && (base.kind == VALUE_TENSOR || base.kind == VALUE_PARAMETER)) {
        return elab_transpose(elab, base, expr->span);
    }
    const Map *members = base.kind == VALUE_GROUP      ? base.group
                         : base.kind == VALUE_INSTANCE ? base.instance->scope->values
                                                       : NULL;
    if (!members) {
        diag_error(elab->diag, expr->operator_span, "%s has no members", value_kind_name(base.kind));
        return value_error();
    }
    const Value *value = map_get(members, expr->text);
    return value ? *value : missing_member(elab, &base, members, expr->text, expr->operator_span);
}

// Operators -----------------------------------------------------------------------------------------------------

bool elab_truth(Elab *elab, Scope *scope, const AstExpr *expr, bool *truth)
{
    Value value = elab_expr(elab, scope, expr);
    if (value.kind == VALUE_BOOL) {
        *truth = value.truth;
        return true;
    }
    if (value.kind != VALUE_ERROR) {
        diag_error(elab->diag, expr->span, "a condition must be true or false at compile time, got %s%s",
                   value_kind_name(value.kind),
                   value.kind == VALUE_TENSOR ? "; use where(...) on tensors" : "");
    }
    return false;
}

static bool same_constant(const Value *a, const Value *b)
{
    if (a->kind != b->kind) {
        return false;
    }
    return (a->kind == VALUE_BOOL && a->truth == b->truth) ||
           (a->kind == VALUE_STRING && strcmp(a->text, b->text) == 0) || a->kind == VALUE_NONE;
}

static Value comparison(Elab *elab, AstOperator sign, Value a, Value b, Span span)
{
    bool is_other =
        a.kind == VALUE_BOOL || a.kind == VALUE_STRING || a.kind == VALUE_NONE || b.kind == VALUE_NONE;
    if (is_other && (sign == AST_EQ || sign == AST_NE) && a.kind != VALUE_ERROR && b.kind != VALUE_ERROR) {
        return value_bool(same_constant(&a, &b) == (sign == AST_EQ), span);
    }
    switch (sign) {
    case AST_EQ: return elab_binary(elab, OP_EQ, a, b, span);
    case AST_NE: return elab_binary(elab, OP_NE, a, b, span);
    case AST_LT: return elab_binary(elab, OP_LT, a, b, span);
    case AST_LE: return elab_binary(elab, OP_LE, a, b, span);
    case AST_GT: return elab_binary(elab, OP_LT, b, a, span);
    default: return elab_binary(elab, OP_LE, b, a, span);
    }
}

static Value logic(Elab *elab, Scope *scope, const AstExpr *expr)
{
    Value a = elab_expr(elab, scope, expr->a);
    if (a.kind == VALUE_BOOL) {
        bool decides = a.truth == (expr->sign == AST_OR);
        return decides ? a : elab_expr(elab, scope, expr->b);
    }
    Value b = elab_expr(elab, scope, expr->b);
    return elab_binary(elab, expr->sign == AST_OR ? OP_OR : OP_AND, a, b, expr->span);
}

static Value list_sum(Elab *elab, const Value *a, const Value *b, Span span)
{
    Value list = value_list(elab->arena, span);
    for (int i = 0; i < a->list->n_items; i++) {
        value_append(elab->arena, &list, a->list->items[i]);
    }
    for (int i = 0; i < b->list->n_items; i++) {
        value_append(elab->arena, &list, b->list->items[i]);
    }
    return list;
}

static Value binary_value(Elab *elab, Scope *scope, const AstExpr *expr)
{
    if (expr->sign == AST_AND || expr->sign == AST_OR) {
        return logic(elab, scope, expr);
    }
    Value a = elab_expr(elab, scope, expr->a);
    Value b = elab_expr(elab, scope, expr->b);
    if (a.kind == VALUE_ERROR || b.kind == VALUE_ERROR) {
        return value_error();
    }
    switch (expr->sign) {
    case AST_ADD:
        if (a.kind == VALUE_LIST && b.kind == VALUE_LIST) {
            return list_sum(elab, &a, &b, expr->span);
        }
        return elab_binary(elab, OP_ADD, a, b, expr->span);
    case AST_SUB: return elab_binary(elab, OP_SUB, a, b, expr->span);
    case AST_MUL: return elab_binary(elab, OP_MUL, a, b, expr->span);
    case AST_DIV: return elab_binary(elab, OP_DIV, a, b, expr->span);
    case AST_FLOOR_DIV: return elab_binary(elab, OP_IDIV, a, b, expr->span);
    case AST_MOD: return elab_binary(elab, OP_MOD, a, b, expr->span);
    case AST_POW: return elab_binary(elab, OP_POW, a, b, expr->span);
    case AST_MATMUL: return elab_matmul(elab, a, b, expr->span);
    default: return comparison(elab, expr->sign, a, b, expr->span);
    }
}

static Value unary_value(Elab *elab, Scope *scope, const AstExpr *expr)
{
    Value x = elab_expr(elab, scope, expr->a);
    if (x.kind == VALUE_ERROR) {
        return x;
    }
    if (expr->sign == AST_NOT && x.kind == VALUE_BOOL) {
        return value_bool(!x.truth, expr->span);
    }
    return elab_unary(elab, expr->sign == AST_NOT ? OP_NOT : OP_NEG, x, expr->span);
}

// Lists, loops, subscripts --------------------------------------------------------------------------------------

static Value list_value(Elab *elab, Scope *scope, const AstExpr *expr)
{
    Value list = value_list(elab->arena, expr->span);
    for (const AstArg *arg = expr->args; arg; arg = arg->next) {
        value_append(elab->arena, &list, elab_expr(elab, scope, arg->value));
    }
    return list;
}

// The values a loop runs over: a list, or the integers first..end-1.
bool elab_loop_values(Elab *elab, Scope *scope, const AstExpr *over, const AstExpr *end, Value *list)
{
    Value first = elab_expr(elab, scope, over);
    if (!end) {
        if (first.kind == VALUE_LIST) {
            *list = first;
            return true;
        }
        if (first.kind != VALUE_ERROR) {
            diag_error(elab->diag, over->span, "a loop runs over a list or a range a..b, got %s",
                       value_kind_name(first.kind));
        }
        return false;
    }
    Value last = elab_expr(elab, scope, end);
    if (first.kind != VALUE_INT || last.kind != VALUE_INT) {
        if (first.kind != VALUE_ERROR && last.kind != VALUE_ERROR) {
            diag_error(elab->diag, span_join(over->span, end->span),
                       "the bounds of a range must be integers, got %s and %s", value_kind_name(first.kind),
                       value_kind_name(last.kind));
        }
        return false;
    }
    if (last.integer - first.integer > MAX_LOOP) {
        diag_error(elab->diag, span_join(over->span, end->span),
                   "a loop of %lld rounds; at most %d are allowed", (long long)(last.integer - first.integer),
                   (int)MAX_LOOP);
        return false;
    }
    *list = value_list(elab->arena, over->span);
    for (int64_t i = first.integer; i < last.integer; i++) {
        value_append(elab->arena, list, value_int(i, over->span));
    }
    return true;
}

static Value comprehension(Elab *elab, Scope *scope, const AstExpr *expr)
{
    Value over;
    if (!elab_loop_values(elab, scope, expr->b, expr->c, &over)) {
        return value_error();
    }
    Value list = value_list(elab->arena, expr->span);
    for (int i = 0; i < over.list->n_items; i++) {
        Scope *inner = scope_new(elab->arena, scope);
        scope_set(inner, expr->text, over.list->items[i]);
        value_append(elab->arena, &list, elab_expr(elab, inner, expr->a));
    }
    return list;
}

static Value optional(Elab *elab, Scope *scope, const AstExpr *expr, Span span)
{
    return expr ? elab_expr(elab, scope, expr) : value_none(span);
}

static Value subscripted(Elab *elab, Scope *scope, const AstExpr *expr)
{
    enum { MOST = 16 };
    Subscript subscripts[MOST];
    int n_subscripts = 0;
    Value base = elab_expr(elab, scope, expr->a);
    for (const AstArg *arg = expr->args; arg; arg = arg->next) {
        if (n_subscripts == MOST) {
            diag_error(elab->diag, arg->span, "more than %d subscripts", (int)MOST);
            return value_error();
        }
        Subscript *subscript = &subscripts[n_subscripts++];
        *subscript = (Subscript){.span = arg->span};
        switch (arg->subscript) {
        case AST_AT:
            subscript->kind = SUBSCRIPT_INDEX;
            subscript->index = elab_expr(elab, scope, arg->value);
            if (subscript->index.kind == VALUE_NONE) {
                subscript->kind = SUBSCRIPT_NEW_AXIS;
            }
            break;
        case AST_SLICE:
            subscript->kind = SUBSCRIPT_SLICE;
            subscript->start = optional(elab, scope, arg->start, arg->span);
            subscript->stop = optional(elab, scope, arg->stop, arg->span);
            subscript->step = optional(elab, scope, arg->step, arg->span);
            break;
        case AST_NEW_AXIS: subscript->kind = SUBSCRIPT_NEW_AXIS; break;
        case AST_ELLIPSIS: subscript->kind = SUBSCRIPT_ELLIPSIS; break;
        }
    }
    return elab_index(elab, base, subscripts, n_subscripts, expr->span);
}

// Calls ---------------------------------------------------------------------------------------------------------

static Argument *evaluated_arguments(Elab *elab, Scope *scope, const AstArg *args, int *n_arguments)
{
    int n_args = 0;
    for (const AstArg *arg = args; arg; arg = arg->next) {
        n_args++;
    }
    Argument *arguments = arena_alloc(elab->arena, ((size_t)n_args + 1) * sizeof *arguments);
    int i = 0;
    for (const AstArg *arg = args; arg; arg = arg->next) {
        arguments[i++] = (Argument){arg->name, elab_expr(elab, scope, arg->value), arg->span};
    }
    *n_arguments = n_args;
    return arguments;
}

// The output of a traced module's first call in an entry is kept under "trace.<path>".
static void record_trace(Elab *elab, const Instance *instance, const Value *result)
{
    bool is_wanted = instance->is_traced && elab->traces && !map_has(elab->traces, instance->path);
    if (!is_wanted || result->kind != VALUE_TENSOR) {
        return;
    }
    map_set(elab->traces, instance->path, elab);
    Sym name = intern_format(elab->names, "trace.%s", instance->path);
    graph_output(elab->graph, name, OUTPUT_TRACE, result->node, -1);
}

static bool check_result(Elab *elab, Scope *scope, const AstItem *function, const Value *result)
{
    if (!function->type || result->kind == VALUE_ERROR) {
        return true;
    }
    if (function->type->kind == AST_TUPLE_TYPE) {
        return true;
    }
    AstParam param = {.name = function->name, .type = function->type};
    param.name.text = "result";
    Argument argument = {NULL, *result, function->type->span};
    return elab_bind(elab, scope, &param, &argument, 1, "the function", function->type->span);
}

static Value call_function(Elab *elab, const FunctionValue *function, const Argument *arguments,
                           int n_arguments, Span span)
{
    const AstItem *item = function->item;
    if (elab->depth >= MAX_DEPTH) {
        diag_error(elab->diag, span, "calls are nested more than %d deep; is this recursion endless?",
                   (int)MAX_DEPTH);
        return value_error();
    }
    Scope *scope = scope_new(elab->arena, function->instance ? function->instance->scope : elab->globals);
    const char *what = item->name.text ? item->name.text : function->instance->module->name.text;
    if (!elab_bind(elab, scope, item->params, arguments, n_arguments, what, span)) {
        return value_error();
    }
    Sym outer_path = elab->path;
    Sym outer_variable = elab->variable;
    if (function->instance) {
        elab->path = function->instance->path;
    }
    elab->depth++;
    Value result = value_none(span);
    elab_statements(elab, scope, &item->items, &result);
    elab->depth--;
    bool is_good = check_result(elab, scope, item, &result);
    elab->path = outer_path;
    elab->variable = outer_variable;
    if (is_good && function->instance && function->instance->call == function) {
        record_trace(elab, function->instance, &result);
    }
    return is_good ? result : value_error();
}

Value elab_call(Elab *elab, const Value *callee, const Argument *arguments, int n_arguments, Span span)
{
    for (int i = 0; i < n_arguments; i++) {
        if (arguments[i].value.kind == VALUE_ERROR) {
            return value_error();
        }
    }
    switch (callee->kind) {
    case VALUE_BUILTIN: return builtin_call(elab, callee->builtin, arguments, n_arguments, span);
    case VALUE_FUNCTION: return call_function(elab, callee->function, arguments, n_arguments, span);
    case VALUE_INSTANCE:
        if (callee->instance->call) {
            return call_function(elab, callee->instance->call, arguments, n_arguments, span);
        }
        diag_error(elab->diag, span, "module '%s' has no unnamed function and cannot be called",
                   callee->instance->module->name.text);
        return value_error();
    case VALUE_CLASS:
        diag_error(elab->diag, span, "module '%s' can only be instantiated as a member: `name: %s(...)`",
                   callee->class->module->name.text, callee->class->module->name.text);
        return value_error();
    case VALUE_ERROR: return value_error();
    default:
        diag_error(elab->diag, span, "%s cannot be called", value_kind_name(callee->kind));
        return value_error();
    }
}

static Value call_value(Elab *elab, Scope *scope, const AstExpr *expr)
{
    Value callee = elab_expr(elab, scope, expr->a);
    int n_arguments;
    Argument *arguments = evaluated_arguments(elab, scope, expr->args, &n_arguments);
    return elab_call(elab, &callee, arguments, n_arguments, expr->span);
}

static Value selected(Elab *elab, Scope *scope, const AstExpr *expr)
{
    bool truth;
    if (!elab_truth(elab, scope, expr->b, &truth)) {
        return value_error();
    }
    return elab_expr(elab, scope, truth ? expr->a : expr->c);
}

Value elab_expr(Elab *elab, Scope *scope, const AstExpr *expr)
{
    switch (expr->kind) {
    case AST_INT: return value_int(expr->integer, expr->span);
    case AST_FLOAT: return value_float(expr->number, expr->span);
    case AST_STRING: return value_string(expr->text, expr->span);
    case AST_TRUE: return value_bool(true, expr->span);
    case AST_FALSE: return value_bool(false, expr->span);
    case AST_NONE: return value_none(expr->span);
    case AST_NAME: return name_value(elab, scope, expr->text, expr->span);
    case AST_UNARY: return unary_value(elab, scope, expr);
    case AST_BINARY: return binary_value(elab, scope, expr);
    case AST_SELECT: return selected(elab, scope, expr);
    case AST_CALL: return call_value(elab, scope, expr);
    case AST_MEMBER: return member_value(elab, scope, expr);
    case AST_INDEX: return subscripted(elab, scope, expr);
    case AST_LIST:
    case AST_TUPLE: return list_value(elab, scope, expr);
    case AST_FOR: return comprehension(elab, scope, expr);
    }
    return value_error();
}

// Statements ----------------------------------------------------------------------------------------------------

static void assign(Elab *elab, Scope *scope, const AstItem *item)
{
    if (!item->names) {
        elab->variable = item->name.text;
        Value value = elab_expr(elab, scope, item->value);
        elab->variable = NULL;
        scope_set(scope, item->name.text, value);
        return;
    }
    Value value = elab_expr(elab, scope, item->value);
    int n_names = 0;
    for (const AstArg *name = item->names; name; name = name->next) {
        n_names++;
    }
    bool fits = value.kind == VALUE_LIST && value.list->n_items == n_names;
    if (!fits && value.kind == VALUE_LIST) {
        diag_error(elab->diag, item->span, "%d names for %d values", n_names, value.list->n_items);
    } else if (!fits && value.kind != VALUE_ERROR) {
        diag_error(elab->diag, item->span, "%d names for one value, %s", n_names,
                   value_kind_name(value.kind));
    }
    int i = 0;
    for (const AstArg *name = item->names; name; name = name->next, i++) {
        scope_set(scope, name->value->text, fits ? value.list->items[i] : value_error());
    }
}

static bool run_loop(Elab *elab, Scope *scope, const AstItem *item, Value *returned)
{
    Value over;
    if (!elab_loop_values(elab, scope, item->value, item->end, &over)) {
        return false;
    }
    for (int i = 0; i < over.list->n_items; i++) {
        scope_set(scope, item->name.text, over.list->items[i]);
        if (elab_statements(elab, scope, &item->items, returned)) {
            return true;
        }
        if (elab->diag->n_errors > DIAG_MAX_ERRORS) {
            return false;
        }
    }
    return false;
}

static void run_assert(Elab *elab, Scope *scope, const AstItem *item)
{
    bool truth;
    if (elab_truth(elab, scope, item->value, &truth) && !truth) {
        diag_error(elab->diag, item->value->span, "%s", item->text ? item->text : "this does not hold");
    }
}

static bool run_statement(Elab *elab, Scope *scope, const AstItem *item, Value *returned)
{
    bool truth;
    switch (item->kind) {
    case AST_ASSIGN:
    case AST_LET: assign(elab, scope, item); return false;
    case AST_DRAW:
        elab->draw_name = item->name.text;
        assign(elab, scope, item);
        elab->draw_name = NULL;
        return false;
    case AST_IF:
        return elab_truth(elab, scope, item->value, &truth) &&
               elab_statements(elab, scope, truth ? &item->items : &item->otherwise, returned);
    case AST_LOOP: return run_loop(elab, scope, item, returned);
    case AST_RETURN:
        *returned = item->value ? elab_expr(elab, scope, item->value) : value_none(item->span);
        return true;
    case AST_ASSERT: run_assert(elab, scope, item); return false;
    case AST_EXPRESSION: elab_expr(elab, scope, item->value); return false;
    default: diag_error(elab->diag, item->head, "this cannot stand in a function"); return false;
    }
}

bool elab_statements(Elab *elab, Scope *scope, const AstItems *items, Value *returned)
{
    for (const AstItem *item = items->first; item; item = item->next) {
        if (run_statement(elab, scope, item, returned)) {
            return true;
        }
    }
    return false;
}
