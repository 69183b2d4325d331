// The `source` blocks of a task: under which names its parameters are found in checkpoints of other kinds.
#include "compiler/base/vec.h"
#include "compiler/elaborate_entry.h"

#include <string.h>

static const char *part_text(Elab *elab, const Scope *scope, Sym name, Span span)
{
    const Value *value = scope_find(scope, name);
    if (value && value->kind == VALUE_INT) {
        return arena_format(elab->arena, "%lld", (long long)value->integer);
    }
    if (value && value->kind == VALUE_STRING) {
        return value->text;
    }
    if (value && value->kind != VALUE_ERROR) {
        diag_error(elab->diag, span, "'%s' inside braces must be an integer or text, it is %s", name,
                   value_kind_name(value->kind));
    } else if (!value) {
        elab_unknown_name(elab, scope, name, span);
    }
    return NULL;
}

Sym elab_filled(Elab *elab, const Scope *scope, const char *text, Span span)
{
    const char *filled = "";
    for (const char *p = text; *p;) {
        size_t plain = strcspn(p, "{}");
        filled = arena_format(elab->arena, "%s%.*s", filled, (int)plain, p);
        p += plain;
        const char *end = *p == '{' ? strchr(p, '}') : NULL;
        if (*p && !end) {
            diag_error(elab->diag, span, "braces in a name enclose another name, as in \"block{i}\"");
            return NULL;
        }
        if (end) {
            const char *part =
                part_text(elab, scope, intern_length(elab->names, p + 1, (size_t)(end - p - 1)), span);
            if (!part) {
                return NULL;
            }
            filled = arena_format(elab->arena, "%s%s", filled, part);
            p = end + 1;
        }
    }
    return intern(elab->names, filled);
}

// Rules --------------------------------------------------------------------------------------------------------------

typedef struct SourceBuilder {
    Elaboration *e;
    Sym source;
    Scope *scope;
} SourceBuilder;

static const char *after_star(const char *pattern)
{
    const char *star = strchr(pattern, '*');
    return star ? star + 1 : NULL;
}

// Names go into the program's tables between quotes.
static bool check_letters(Elab *elab, const char *name, const char *more, Span span)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    for (const char *p = name; *p; p++) {
        if (!strchr(letters, *p) && !strchr(more, *p)) {
            diag_error(elab->diag, span, "'%s' may consist of letters, digits and . _ - %s", name, more);
            return false;
        }
    }
    return true;
}

// One star at most; a star on the right needs one on the left to stand for.
static bool check_stars(Elab *elab, const AstItem *item, const LoadRule *rule)
{
    const char *left = after_star(rule->destination), *right = rule->from ? after_star(rule->from) : NULL;
    if ((left && strchr(left, '*')) || (right && strchr(right, '*'))) {
        diag_error(elab->diag, item->span, "a name of load has one '*' at most");
        return false;
    }
    if (right && !left) {
        diag_error(elab->diag, item->value->span,
                   "the '*' stands for what that of the first name does, but there is none");
        return false;
    }
    return true;
}

static void run_load(SourceBuilder *builder, const AstItem *item)
{
    Elaboration *e = builder->e;
    Elab *elab = &e->elab;
    LoadRule rule = {.source = builder->source,
                     .destination = elab_filled(elab, builder->scope, item->text, item->text_span)};
    Value value = elab_expr(elab, builder->scope, item->value);
    if (value.kind == VALUE_STRING) {
        rule.from = elab_filled(elab, builder->scope, value.text, item->value->span);
    } else if (value.kind != VALUE_NONE) {
        if (value.kind != VALUE_ERROR) {
            diag_error(elab->diag, item->value->span, "load takes the name of a tensor or none, not %s",
                       value_kind_name(value.kind));
        }
        return;
    }
    bool is_named =
        rule.destination && check_letters(elab, rule.destination, "*", item->text_span) &&
        (value.kind == VALUE_NONE || (rule.from && check_letters(elab, rule.from, "*", item->value->span)));
    if (is_named && check_stars(elab, item, &rule)) {
        VEC_PUSH(elab->arena, e->load_rules, e->n_load_rules, e->load_rule_capacity, rule);
    }
}

static void run_items(SourceBuilder *builder, const AstItems *items);

static void run_loop(SourceBuilder *builder, const AstItem *item)
{
    Value over;
    if (!elab_loop_values(&builder->e->elab, builder->scope, item->value, item->end, &over)) {
        return;
    }
    for (int i = 0; i < over.list->n_items; i++) {
        scope_set(builder->scope, item->name.text, over.list->items[i]);
        run_items(builder, &item->items);
    }
}

static void run_item(SourceBuilder *builder, const AstItem *item)
{
    Elab *elab = &builder->e->elab;
    bool truth;
    switch (item->kind) {
    case AST_LOAD: run_load(builder, item); break;
    case AST_IF:
        if (elab_truth(elab, builder->scope, item->value, &truth)) {
            run_items(builder, truth ? &item->items : &item->otherwise);
        }
        break;
    case AST_LOOP: run_loop(builder, item); break;
    default: {
        AstItem alone = *item;
        alone.next = NULL;
        AstItems one = {.first = &alone, .last = &alone};
        Value ignored;
        elab_statements(elab, builder->scope, &one, &ignored);
    }
    }
}

static void run_items(SourceBuilder *builder, const AstItems *items)
{
    const Diag *diag = builder->e->elab.diag;
    for (const AstItem *item = items->first; item && diag->n_errors <= DIAG_MAX_ERRORS; item = item->next) {
        run_item(builder, item);
    }
}

void elaborate_source(Elaboration *e, const AstItem *item)
{
    for (int i = 0; i < e->n_load_rules; i++) {
        if (e->load_rules[i].source == item->text) {
            diag_error(e->elab.diag, item->head, "source \"%s\" is declared twice", item->text);
            return;
        }
    }
    if (!check_letters(&e->elab, item->text, " ,()/+", item->text_span)) {
        return;
    }
    SourceBuilder builder = {.e = e, .source = item->text, .scope = scope_new(e->elab.arena, e->task_scope)};
    run_items(&builder, &item->items);
}
