// The formatter: a file's items in canonical form; see format_source in parse.h and print.h for the rules of
// breaking. Indentation is four columns, blocks stand on lines of their own, single blank lines are kept,
// others dropped.
#include "dsl/print.h"

#include <string.h>

static void print_items(Printer *printer, const AstItems *items, uint32_t end, bool is_group);

// `keyword name`; either may be missing.
static void print_words(Printer *printer, const char *keyword, Sym name)
{
    print_text(printer, keyword);
    print_text(printer, *keyword && name ? " " : "");
    print_text(printer, name ? name : "");
}

// Blocks ----------------------------------------------------------------------------------------------------

// `{`, the items, `}`, without what ends the line.
static void print_block(Printer *printer, const AstItems *items, Span body, bool is_group)
{
    if (!items->first && !comment_within(printer, 0, body.end)) {
        print_text(printer, " {}");
        return;
    }
    print_text(printer, " {");
    printer->indent += PRINT_INDENT;
    comments_end_line(printer, body.begin + 1);
    print_items(printer, items, body.end - 1, is_group);
    printer->indent -= PRINT_INDENT;
    print_text(printer, "}");
}

static void print_if(Printer *printer, const AstItem *item)
{
    for (;;) {
        print_text(printer, "if ");
        print_expr(printer, item->value, 2);
        print_block(printer, &item->items, item->body, false);
        printer->printed = item->body.end;
        if (!item->otherwise_body.source) {
            return;
        }
        print_text(printer, " else");
        const AstItem *inner = item->otherwise.first;
        if (!inner || inner->span.begin != item->otherwise_body.begin) {
            print_block(printer, &item->otherwise, item->otherwise_body, false);
            return;
        }
        print_text(printer, " ");
        item = inner;
    }
}

static void print_function(Printer *printer, const AstItem *item)
{
    const char *keyword = item->kind == AST_MODULE  ? "module"
                          : item->kind == AST_ENTRY ? "entry"
                          : item->is_loss           ? "loss"
                                                    : "fn";
    print_words(printer, keyword, item->name.text);
    print_text(printer, item->name.text ? "" : " ");
    int after =
        (int)strlen(" {") + (item->type ? (int)strlen(" -> ") + print_type_width(printer, item->type) : 0);
    Span params = {item->span.source, item->head.end, item->type ? item->type->span.begin : item->body.begin};
    print_params(printer, item->params, params, after);
    if (item->type) {
        print_text(printer, " -> ");
        print_type(printer, item->type, 2);
    }
    print_block(printer, &item->items, item->body, false);
}

// Members ---------------------------------------------------------------------------------------------------

static void print_attributes(Printer *printer, const AstAttribute *attributes)
{
    for (const AstAttribute *attribute = attributes; attribute; attribute = attribute->next) {
        bool is_init = strcmp(attribute->name.text, "init") == 0;
        if (is_init || !attribute->value) {
            print_text(printer, " ");
            print_text(printer, attribute->name.text);
        }
        if (attribute->value) {
            print_text(printer, " ");
            print_expr(printer, attribute->value, 0);
        }
    }
}

static void print_member(Printer *printer, const AstItem *item, const char *keyword)
{
    print_words(printer, keyword, item->name.text);
    if (item->target) {
        print_text(printer, "[");
        print_expr(printer, item->target, 2);
        print_text(printer, "]");
    }
    if (item->text) {
        print_text(printer, " as ");
        print_string(printer, item->text);
    }
    print_text(printer, ": ");
    if (item->type) {
        print_type(printer, item->type, 0);
    } else {
        print_expr(printer, item->value, 0);
    }
    print_attributes(printer, item->attributes);
}

// Statements ------------------------------------------------------------------------------------------------

// `keyword name = value`; any part may be missing.
static void print_binding(Printer *printer, const char *keyword, const AstItem *item)
{
    print_words(printer, keyword, item->name.text);
    print_text(printer, " = ");
    print_bare(printer, item->value, 0);
}

static void print_assignment(Printer *printer, const AstItem *item)
{
    if (!item->names) {
        print_binding(printer, "", item);
        return;
    }
    bool is_single = !item->names->next;
    print_text(printer, is_single ? "(" : "");
    for (const AstArg *name = item->names; name; name = name->next) {
        print_text(printer, name->value->text);
        print_text(printer, name->next ? ", " : is_single ? ",) = " : " = ");
    }
    print_bare(printer, item->value, 0);
}

static void print_output(Printer *printer, const AstItem *item)
{
    if (!item->text) {
        print_binding(printer, "output", item);
        return;
    }
    print_words(printer, "output", item->name.text);
    print_text(printer, " as ");
    print_string(printer, item->text);
    print_text(printer, " = ");
    print_bare(printer, item->value, 0);
}

// `keyword value`.
static void print_clause(Printer *printer, const char *keyword, const AstExpr *value)
{
    print_text(printer, keyword);
    if (value) {
        print_text(printer, " ");
        print_expr(printer, value, 0);
    }
}

static void print_quoted(Printer *printer, const char *keyword, Sym text)
{
    print_text(printer, keyword);
    print_text(printer, " ");
    print_string(printer, text);
}

static void print_assert(Printer *printer, const AstItem *item)
{
    print_clause(printer, "assert", item->value);
    if (item->text) {
        print_quoted(printer, ",", item->text);
    }
}

static void print_group(Printer *printer, const char *keyword, const AstItem *item)
{
    if (item->text) {
        print_quoted(printer, keyword, item->text);
    } else {
        print_words(printer, keyword, item->name.text);
    }
    if (item->is_group) {
        print_block(printer, &item->items, item->body, true);
    }
}

static void print_item(Printer *printer, const AstItem *item, bool is_entry)
{
    switch (item->kind) {
    case AST_IMPORT: print_quoted(printer, "import", item->text); break;
    case AST_CONFIG:
        if (item->is_group) {
            print_group(printer, is_entry ? "" : "config", item);
        } else {
            print_binding(printer, is_entry ? "" : "config", item);
        }
        break;
    case AST_SET:
        print_clause(printer, "set", item->target);
        print_clause(printer, " =", item->value);
        break;
    case AST_LET: print_binding(printer, "let", item); break;
    case AST_MODULE:
    case AST_FUNCTION:
    case AST_ENTRY: print_function(printer, item); break;
    case AST_TASK:
        print_words(printer, "task", item->name.text);
        print_block(printer, &item->items, item->body, false);
        break;
    case AST_PARAMETER: print_member(printer, item, "param"); break;
    case AST_BUFFER: print_member(printer, item, "buffer"); break;
    case AST_CHILD: print_member(printer, item, ""); break;
    case AST_ALIAS:
        print_quoted(printer, "alias", item->text);
        print_clause(printer, " =", item->value);
        break;
    case AST_IF: print_if(printer, item); break;
    case AST_LOOP:
        print_words(printer, "for", item->name.text);
        print_text(printer, " in ");
        print_range(printer, item->value, item->end, 2);
        print_block(printer, &item->items, item->body, false);
        break;
    case AST_ASSIGN: print_assignment(printer, item); break;
    case AST_DRAW: print_binding(printer, "draw", item); break;
    case AST_RETURN:
        print_text(printer, item->value ? "return " : "return");
        if (item->value) {
            print_bare(printer, item->value, 0);
        }
        break;
    case AST_ASSERT: print_assert(printer, item); break;
    case AST_EXPRESSION: print_expr(printer, item->value, 0); break;
    case AST_DIM: print_binding(printer, "dim", item); break;
    case AST_OPTIMIZER: print_group(printer, "optimizer", item); break;
    case AST_DECODER: print_group(printer, "decoder", item); break;
    case AST_SOURCE:
        print_quoted(printer, "source", item->text);
        print_block(printer, &item->items, item->body, false);
        break;
    case AST_LOAD:
        print_quoted(printer, "load", item->text);
        print_clause(printer, " =", item->value);
        break;
    case AST_NO_DECAY: print_clause(printer, "no_decay", item->value); break;
    case AST_DATA: print_group(printer, "data", item); break;
    case AST_PROBABILITY: print_clause(printer, "probability", item->value); break;
    case AST_ADVANCES: print_clause(printer, "advances", item->value); break;
    case AST_OUTPUT: print_output(printer, item); break;
    case AST_METRIC: print_binding(printer, "metric", item); break;
    case AST_MINIMISE: print_clause(printer, "minimise", item->value); break;
    }
}

// The items of a block whose closing brace (or the end of the text) is at `end`.
static void print_items(Printer *printer, const AstItems *items, uint32_t end, bool is_group)
{
    bool is_first = true;
    for (const AstItem *item = items->first; item; item = item->next) {
        is_first = comments_before(printer, item->span.begin, is_first);
        blank_before(printer, item->span.begin, is_first);
        print_item(printer, item, is_group);
        comments_end_line(printer, item->span.end);
        is_first = false;
    }
    comments_before(printer, end, is_first);
}

bool format_source(const ParseContext *context, const Source *source, Out *out)
{
    int n_errors = context->diag->n_errors;
    const AstFile *file = parse_source(context, source);
    if (context->diag->n_errors > n_errors) {
        return false;
    }
    Printer printer = {.out = out, .source = source, .comments = file->comments, .width = PRINT_WIDTH};
    print_items(&printer, &file->items, (uint32_t)source->length, false);
    return true;
}
