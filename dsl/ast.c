// Constructors of the syntax tree and its comparison; see ast.h and parse_state.h.
#include "dsl/parse_state.h"

#include <string.h>

// Depth -----------------------------------------------------------------------------------------------------

static int larger(int a, int b)
{
    return a > b ? a : b;
}

static int depth_of(const AstExpr *expr)
{
    return expr ? expr->depth : 0;
}

static int depth_of_args(const AstArg *args)
{
    int depth = 0;
    for (const AstArg *arg = args; arg; arg = arg->next) {
        depth = larger(depth, larger(depth_of(arg->value), depth_of(arg->start)));
        depth = larger(depth, larger(depth_of(arg->stop), depth_of(arg->step)));
    }
    return depth;
}

// Is the tree too deep? Reported once, after which the rest of the text is not looked at.
static bool is_too_deep(Parser *parser, int depth, Span span)
{
    if (depth <= AST_MAX_DEPTH) {
        return false;
    }
    if (!parser->is_stopped) {
        span.end = span.begin + 1;
        diag_error(parser->context->diag, span, "more than %d operations or blocks inside each other",
                   (int)AST_MAX_DEPTH);
    }
    parser->is_stopped = true;
    return true;
}

// Nodes -----------------------------------------------------------------------------------------------------

#define COPY(parser, node) memcpy(arena_alloc((parser)->context->arena, sizeof(node)), &(node), sizeof(node))

AstExpr *ast_expr(Parser *parser, AstExpr expr)
{
    int below = larger(depth_of(expr.a), larger(depth_of(expr.b), depth_of(expr.c)));
    expr.depth = 1 + larger(below, depth_of_args(expr.args));
    if (is_too_deep(parser, expr.depth, expr.span)) {
        expr = (AstExpr){.kind = AST_NONE, .span = expr.span, .depth = 1};
    }
    return COPY(parser, expr);
}

AstItem *ast_item(Parser *parser, AstItem item)
{
    item.depth = 1 + larger(item.items.depth, item.otherwise.depth);
    if (is_too_deep(parser, item.depth, item.head)) {
        item.items = item.otherwise = (AstItems){0};
        item.depth = 1;
    }
    return COPY(parser, item);
}

AstArg *ast_arg(Parser *parser, AstArg arg)
{
    return COPY(parser, arg);
}

AstParam *ast_param(Parser *parser, AstParam param)
{
    return COPY(parser, param);
}

AstType *ast_type(Parser *parser, AstType type)
{
    return COPY(parser, type);
}

AstAttribute *ast_attribute(Parser *parser, AstAttribute attribute)
{
    return COPY(parser, attribute);
}

AstItems ast_items(AstItems items, AstItem *item)
{
    if (item) {
        AST_APPEND(items, item);
        items.depth = larger(items.depth, item->depth);
    }
    return items;
}

AstDtype ast_dtype(Parser *parser, AstName name)
{
    if (strcmp(name.text, "int") == 0) {
        return AST_DTYPE_INT;
    }
    if (strcmp(name.text, "bool") == 0) {
        return AST_DTYPE_BOOL;
    }
    diag_error(parser->context->diag, name.span,
               "unknown element type '%s'; there are int[...] and bool[...], and [...] for floats",
               name.text);
    return AST_DTYPE_FLOAT;
}

static bool check_target(Parser *parser, const AstExpr *target)
{
    if (target->kind == AST_NAME) {
        return true;
    }
    diag_error(parser->context->diag, target->span, "only names can be assigned to");
    return false;
}

AstItem *ast_assignment(Parser *parser, Span span, AstExpr *targets, AstExpr *value)
{
    AstItem item = {.kind = AST_ASSIGN, .span = span, .head = targets->span, .value = value};
    const AstExpr *first = targets;
    if (targets->kind == AST_TUPLE) {
        item.names = targets->args;
        first = targets->args->value;
        for (const AstArg *arg = targets->args; arg; arg = arg->next) {
            if (!check_target(parser, arg->value)) {
                return NULL;
            }
        }
    } else if (!check_target(parser, targets)) {
        return NULL;
    }
    item.name = (AstName){first->text, first->span};
    return ast_item(parser, item);
}

AstItem *ast_child(Parser *parser, Span span, AstExpr *target, AstExpr *value)
{
    const AstExpr *name = target->kind == AST_INDEX ? target->a : target;
    const AstArg *index = target->kind == AST_INDEX ? target->args : NULL;
    if (name->kind != AST_NAME || (index && (index->next || index->subscript != AST_AT))) {
        diag_error(parser->context->diag, target->span,
                   "a member is declared as `name: Module(...)` or `name[i]: Module(...)`");
        return NULL;
    }
    AstItem item = {.kind = AST_CHILD, .span = span, .head = name->span, .value = value};
    item.name = (AstName){name->text, name->span};
    item.target = index ? index->value : NULL;
    return ast_item(parser, item);
}

// Comparison ------------------------------------------------------------------------------------------------

static bool same_expr(const AstExpr *a, const AstExpr *b);

static bool same_args(const AstArg *a, const AstArg *b)
{
    for (; a && b; a = a->next, b = b->next) {
        if (a->name != b->name || a->subscript != b->subscript || !same_expr(a->value, b->value) ||
            !same_expr(a->start, b->start) || !same_expr(a->stop, b->stop) || !same_expr(a->step, b->step)) {
            return false;
        }
    }
    return !a && !b;
}

static bool same_expr(const AstExpr *a, const AstExpr *b)
{
    if (!a || !b) {
        return a == b;
    }
    return a->kind == b->kind && a->sign == b->sign && a->text == b->text && a->integer == b->integer &&
           memcmp(&a->number, &b->number, sizeof a->number) == 0 && same_expr(a->a, b->a) &&
           same_expr(a->b, b->b) && same_expr(a->c, b->c) && same_args(a->args, b->args);
}

static bool same_type(const AstType *a, const AstType *b)
{
    if (!a || !b) {
        return a == b;
    }
    return a->kind == b->kind && a->dtype == b->dtype && a->has_ellipsis == b->has_ellipsis &&
           same_args(a->dims, b->dims) && same_type(a->parts, b->parts) && same_type(a->next, b->next);
}

static bool same_params(const AstParam *a, const AstParam *b)
{
    for (; a && b; a = a->next, b = b->next) {
        if (a->name.text != b->name.text || a->text != b->text || !same_type(a->type, b->type) ||
            !same_expr(a->value, b->value)) {
            return false;
        }
    }
    return !a && !b;
}

static bool same_attributes(const AstAttribute *a, const AstAttribute *b)
{
    for (; a && b; a = a->next, b = b->next) {
        if (a->name.text != b->name.text || !same_expr(a->value, b->value)) {
            return false;
        }
    }
    return !a && !b;
}

static bool same_item(const AstItem *a, const AstItem *b)
{
    return a->kind == b->kind && a->name.text == b->name.text && a->text == b->text &&
           a->is_loss == b->is_loss && a->is_group == b->is_group && same_args(a->names, b->names) &&
           same_expr(a->target, b->target) && same_expr(a->value, b->value) && same_expr(a->end, b->end) &&
           same_params(a->params, b->params) && same_type(a->type, b->type) &&
           same_attributes(a->attributes, b->attributes) && ast_same(&a->items, &b->items) &&
           ast_same(&a->otherwise, &b->otherwise);
}

bool ast_same(const AstItems *a, const AstItems *b)
{
    const AstItem *x = a->first;
    const AstItem *y = b->first;
    for (; x && y; x = x->next, y = y->next) {
        if (!same_item(x, y)) {
            return false;
        }
    }
    return !x && !y;
}
