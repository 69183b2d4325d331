// Which items may stand where: the grammar takes every item everywhere, this walk reports those whose kind
// has no meaning in their place and says where they belong.
#include "dsl/parse_state.h"

enum { IN_FILE = 1, IN_MODULE = 2, IN_FUNCTION = 4, IN_TASK = 8, IN_ENTRY = 16, IN_SOURCE = 32 };

enum {
    MEMBERS = IN_MODULE | IN_TASK,
    STATEMENTS = IN_FUNCTION | IN_ENTRY,
    BLOCKS = MEMBERS | STATEMENTS | IN_SOURCE,
};

static const struct {
    const char *name;
    unsigned places;
} KINDS[] = {
    [AST_IMPORT] = {"an import", IN_FILE},
    [AST_CONFIG] = {"a configuration constant", IN_FILE | IN_TASK},
    [AST_SET] = {"set", IN_FILE | IN_TASK},
    [AST_LET] = {"let", IN_FILE | BLOCKS},
    [AST_MODULE] = {"a module", IN_FILE},
    [AST_FUNCTION] = {"a function", IN_FILE | IN_MODULE},
    [AST_TASK] = {"a task", IN_FILE},
    [AST_PARAMETER] = {"a parameter", MEMBERS},
    [AST_BUFFER] = {"a buffer", MEMBERS},
    [AST_CHILD] = {"a member", MEMBERS},
    [AST_ALIAS] = {"an alias", MEMBERS},
    [AST_IF] = {"if", BLOCKS},
    [AST_LOOP] = {"for", BLOCKS},
    [AST_ASSIGN] = {"an assignment", STATEMENTS},
    [AST_DRAW] = {"draw", STATEMENTS},
    [AST_RETURN] = {"return", IN_FUNCTION},
    [AST_ASSERT] = {"assert", BLOCKS},
    [AST_EXPRESSION] = {"an expression", STATEMENTS},
    [AST_DIM] = {"dim", IN_TASK | IN_ENTRY},
    [AST_OPTIMIZER] = {"the optimizer", IN_TASK},
    [AST_DECODER] = {"a decoder", IN_TASK},
    [AST_NO_DECAY] = {"no_decay", IN_TASK},
    [AST_SOURCE] = {"a source", IN_TASK},
    [AST_LOAD] = {"load", IN_SOURCE},
    [AST_ENTRY] = {"an entry", IN_TASK},
    [AST_DATA] = {"data", IN_ENTRY},
    [AST_PROBABILITY] = {"probability", IN_ENTRY},
    [AST_ADVANCES] = {"advances", IN_ENTRY},
    [AST_OUTPUT] = {"output", IN_ENTRY},
    [AST_METRIC] = {"metric", IN_ENTRY},
    [AST_MINIMISE] = {"minimise", IN_ENTRY},
};

static const struct {
    unsigned place;
    const char *name;
} PLACES[] = {
    {IN_FILE, "outside all blocks"}, {IN_MODULE, "in a module"}, {IN_FUNCTION, "in a function"},
    {IN_TASK, "in a task"},          {IN_ENTRY, "in an entry"},  {IN_SOURCE, "in a source"},
};

enum { N_PLACES = sizeof PLACES / sizeof *PLACES };

static const char *place_name(unsigned place)
{
    for (int i = 0; i < N_PLACES; i++) {
        if (PLACES[i].place == place) {
            return PLACES[i].name;
        }
    }
    return "here";
}

static const char *places_text(Arena *arena, unsigned places)
{
    const char *text = NULL;
    for (int i = 0; i < N_PLACES; i++) {
        if (places & PLACES[i].place) {
            text = text ? arena_format(arena, "%s or %s", text, PLACES[i].name) : PLACES[i].name;
        }
    }
    return text;
}

static void report(const ParseContext *context, const AstItem *item, unsigned allowed, unsigned place,
                   const AstItem *around)
{
    const char *hint = item->kind == AST_ASSIGN ? "; a constant is written `let name = value`" : "";
    diag_error(context->diag, item->head, "%s cannot stand %s, only %s%s", KINDS[item->kind].name,
               place_name(place), places_text(context->arena, allowed), hint);
    if (around && (allowed & ~(unsigned)IN_TASK) == IN_FILE) {
        diag_note(context->diag, around->head,
                  "the block that starts here is not closed before; is a '}' missing?");
    }
}

// Only an entry's inputs are known outside, so only they have a second name.
static void check_params(const ParseContext *context, const AstItem *item)
{
    for (const AstParam *param = item->params; param; param = param->next) {
        if (param->text && item->kind != AST_ENTRY) {
            diag_error(context->diag, param->text_span, "only the input of an entry has a name outside: `%s`",
                       param->name.text);
        }
    }
}

static void check(const ParseContext *context, const AstItems *items, unsigned place, const AstItem *around)
{
    for (const AstItem *item = items->first; item; item = item->next) {
        unsigned allowed = KINDS[item->kind].places;
        if (item->kind == AST_FUNCTION && (item->is_loss || !item->name.text)) {
            allowed = item->is_loss ? IN_FILE : IN_MODULE;
        }
        if (!(allowed & place)) {
            report(context, item, allowed, place, around);
            continue;
        }
        check_params(context, item);
        switch (item->kind) {
        case AST_MODULE: check(context, &item->items, IN_MODULE, item); break;
        case AST_FUNCTION: check(context, &item->items, IN_FUNCTION, item); break;
        case AST_TASK: check(context, &item->items, IN_TASK, item); break;
        case AST_ENTRY: check(context, &item->items, IN_ENTRY, item); break;
        case AST_SOURCE: check(context, &item->items, IN_SOURCE, item); break;
        case AST_IF:
        case AST_LOOP:
            check(context, &item->items, place, item);
            check(context, &item->otherwise, place, item);
            break;
        default: break;
        }
    }
}

void check_places(const ParseContext *context, const AstFile *file)
{
    check(context, &file->items, IN_FILE, NULL);
}
