// Configuration of a model: `config` declarations and `set` statements, those of the task, then configuration files and
// `--set`; and its text as JSON, which the program carries.
//
// A default is an expression, and what it says of other constants holds for their last values: with
// `config window = image_res // 32`, `--set image_res=384` makes the window 12 as well, unless it is set itself.
#include "compiler/base/vec.h"
#include "compiler/elab.h"
#include "compiler/elaborate.h"

#include <math.h>
#include <string.h>

// A declared constant and where its value comes from: its default until something else sets it.
typedef struct Default {
    Value *slot;
    const AstExpr *value;
    bool is_overruled;
} Default;

typedef struct Configuration {
    Elab *elab;
    Default *defaults;  // in the order of declaration
    int n_defaults, capacity;
} Configuration;

static void overrule(Configuration *configuration, const Value *slot)
{
    for (int i = 0; i < configuration->n_defaults; i++) {
        Default *item = &configuration->defaults[i];
        item->is_overruled = item->is_overruled || item->slot == slot;
    }
}

// Declarations --------------------------------------------------------------------------------------------------

static Value *config_slot(Elab *elab, const char *path, bool creates)
{
    Map *map = elab->globals->values;
    for (;;) {
        const char *dot = strchr(path, '.');
        Sym name = dot ? intern_length(elab->names, path, (size_t)(dot - path)) : intern(elab->names, path);
        Value *value = map_get(map, name);
        if (!dot) {
            if (!value && creates) {
                value = arena_alloc(elab->arena, sizeof *value);
                map_set(map, name, value);
            }
            return value;
        }
        if (!value || value->kind != VALUE_GROUP) {
            return NULL;
        }
        map = value->group;
        path = dot + 1;
    }
}

static void define_config(Configuration *configuration, Map *map, const AstItem *item)
{
    Elab *elab = configuration->elab;
    Value *known = map_get(map, item->name.text);
    if (item->is_group) {
        if (!known || known->kind != VALUE_GROUP) {
            known = arena_alloc(elab->arena, sizeof *known);
            *known = (Value){.kind = VALUE_GROUP, .span = item->head, .group = map_new(elab->arena)};
            map_set(map, item->name.text, known);
        }
        for (const AstItem *inner = item->items.first; inner; inner = inner->next) {
            define_config(configuration, known->group, inner);
        }
        return;
    }
    if (known) {
        diag_error(elab->diag, item->name.span, "configuration '%s' is declared twice", item->name.text);
        diag_note(elab->diag, known->span, "the first declaration is here; use `set` to change a value");
        return;
    }
    Value *value = arena_alloc(elab->arena, sizeof *value);
    *value = elab_expr(elab, elab->globals, item->value);
    value->span = item->name.span;
    map_set(map, item->name.text, value);
    VEC_PUSH(elab->arena, configuration->defaults, configuration->n_defaults, configuration->capacity,
             ((Default){.slot = value, .value = item->value}));
}

static const char *path_text(Elab *elab, const AstExpr *path)
{
    if (path->kind == AST_NAME) {
        return path->text;
    }
    const char *base = path->kind == AST_MEMBER ? path_text(elab, path->a) : NULL;
    return base ? arena_format(elab->arena, "%s.%s", base, path->text) : NULL;
}

static void collect_paths(Elab *elab, const Map *map, const char *prefix, const char **paths, int *n_paths,
                          int capacity)
{
    for (int i = 0; i < map->n_entries; i++) {
        const Value *value = map->entries[i].value;
        const char *path = arena_format(elab->arena, "%s%s%s", prefix, *prefix ? "." : "",
                                        (const char *)map->entries[i].key);
        if (value->kind == VALUE_GROUP) {
            collect_paths(elab, value->group, path, paths, n_paths, capacity);
        } else if (*n_paths < capacity) {
            paths[(*n_paths)++] = path;
        }
    }
}

static const char *nearest_path(Elab *elab, const char *path)
{
    enum { MOST = 1024 };
    const char *paths[MOST];
    int n_paths = 0;
    collect_paths(elab, elab->globals->values, "", paths, &n_paths, MOST);
    return diag_nearest(path, paths, n_paths);
}

// One encoder's key may be a list (heads per stage) where another's is a number: a declared list takes both, and the
// module that uses the key says what it needs.
static bool same_kind(const Value *declared, const Value *given)
{
    if (declared->kind == VALUE_LIST && value_is_number(given)) {
        return true;
    }
    if (declared->kind == given->kind || declared->kind == VALUE_NONE || declared->kind == VALUE_ERROR) {
        return true;
    }
    return value_is_number(declared) && value_is_number(given);
}

static void run_set(Configuration *configuration, const AstItem *item)
{
    Elab *elab = configuration->elab;
    const char *path = path_text(elab, item->target);
    Value *slot = path ? config_slot(elab, path, false) : NULL;
    if (!slot || slot->kind == VALUE_GROUP) {
        const char *nearest = path ? nearest_path(elab, path) : NULL;
        diag_error(elab->diag, item->target->span, "no configuration is called '%s'%s%s%s", path ? path : "?",
                   nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
        return;
    }
    Value value = elab_expr(elab, elab->globals, item->value);
    if (!same_kind(slot, &value) && value.kind != VALUE_ERROR) {
        diag_error(elab->diag, item->value->span, "'%s' is %s, this is %s", path, value_kind_name(slot->kind),
                   value_kind_name(value.kind));
        diag_note(elab->diag, slot->span, "it is declared here");
        return;
    }
    Span declared = slot->span;
    *slot = value;
    slot->span = declared;
    overrule(configuration, slot);
}

static void apply_override(Configuration *configuration, Override *override)
{
    Elab *elab = configuration->elab;
    Value *slot = config_slot(elab, override->path, false);
    Span none = {0};
    if (!slot || slot->kind == VALUE_GROUP) {
        if (override->is_strict) {
            const char *nearest = nearest_path(elab, override->path);
            diag_error(elab->diag, none, "%s: no configuration is called '%s'%s%s%s", override->origin,
                       override->path, nearest ? "; did you mean '" : "", nearest ? nearest : "",
                       nearest ? "'?" : "");
        }
        return;
    }
    if (!same_kind(slot, &override->value)) {
        diag_error(elab->diag, none, "%s: '%s' must be %s, got %s", override->origin, override->path,
                   value_kind_name(slot->kind), value_kind_name(override->value.kind));
        diag_note(elab->diag, slot->span, "it is declared here");
        return;
    }
    Span declared = slot->span;
    *slot = override->value;
    slot->span = declared;
    override->is_used = true;
    overrule(configuration, slot);
}

// One line for all keys of configuration files that mean nothing here.
static void name_unused(Elab *elab, const ElaborateOptions *options)
{
    const char *text = NULL;
    int n_unused = 0;
    for (int i = 0; i < options->n_overrides; i++) {
        const Override *override = &options->overrides[i];
        if (!override->is_used && !override->is_strict && !override->is_optional) {
            text = text ? arena_format(elab->arena, "%s, %s", text, override->path) : override->path;
            n_unused++;
        }
    }
    if (n_unused > 0) {
        fprintf(elab->diag->stream, "note: %d configuration key%s without meaning here: %s\n", n_unused,
                n_unused == 1 ? "" : "s", text);
    }
}

static void run_items(Configuration *configuration, const AstItems *items)
{
    for (const AstItem *item = items->first; item; item = item->next) {
        if (item->kind == AST_CONFIG) {
            define_config(configuration, configuration->elab->globals->values, item);
        } else if (item->kind == AST_SET) {
            run_set(configuration, item);
        }
    }
}

// Once more, now that everything else has its last value.
static void settle_defaults(Configuration *configuration)
{
    Elab *elab = configuration->elab;
    for (int i = 0; i < configuration->n_defaults && elab->diag->n_errors == 0; i++) {
        const Default *item = &configuration->defaults[i];
        if (!item->is_overruled) {
            Span declared = item->slot->span;
            *item->slot = elab_expr(elab, elab->globals, item->value);
            item->slot->span = declared;
        }
    }
}

void elab_configuration(Elab *elab, const AstFile *files, const AstItem *task,
                        const ElaborateOptions *options)
{
    Configuration configuration = {.elab = elab};
    for (const AstFile *file = files; file; file = file->next) {
        run_items(&configuration, &file->items);
    }
    if (task) {
        run_items(&configuration, &task->items);
    }
    for (int i = 0; i < options->n_overrides; i++) {
        options->overrides[i].is_used = false;
        apply_override(&configuration, &options->overrides[i]);
    }
    settle_defaults(&configuration);
    name_unused(elab, options);
}

const Value *elab_constant(Elab *elab, const char *path)
{
    const Value *value = config_slot(elab, path, false);
    return value && value->kind != VALUE_GROUP ? value : NULL;
}

// Configuration as JSON -------------------------------------------------------------------------------------------

static char *append(Elab *elab, char *text, const char *more)
{
    return arena_format(elab->arena, "%s%s", text, more);
}

static char *json_text(Elab *elab, const char *text)
{
    char *out = arena_alloc(elab->arena, 6 * strlen(text) + 3);
    size_t used = 0;
    out[used++] = '"';
    for (const char *p = text; *p; p++) {
        if (*p == '"' || *p == '\\') {
            out[used++] = '\\';
            out[used++] = *p;
        } else if ((unsigned char)*p < 32) {
            used += (size_t)snprintf(out + used, 7, "\\u%04x", (unsigned)*p);
        } else {
            out[used++] = *p;
        }
    }
    out[used++] = '"';
    out[used] = 0;
    return out;
}

static const char *json_value(Elab *elab, const Value *value);

const char *elab_json(Elab *elab, const Map *map)
{
    char *text = arena_format(elab->arena, "{");
    bool is_first = true;
    for (int i = 0; i < map->n_entries; i++) {
        const char *item = json_value(elab, map->entries[i].value);
        if (item) {
            text = append(elab, text,
                          arena_format(elab->arena, "%s%s: %s", is_first ? "" : ", ",
                                       json_text(elab, map->entries[i].key), item));
            is_first = false;
        }
    }
    return append(elab, text, "}");
}

static const char *json_value(Elab *elab, const Value *value)
{
    switch (value->kind) {
    case VALUE_NONE: return "null";
    case VALUE_INT: return arena_format(elab->arena, "%lld", (long long)value->integer);
    case VALUE_FLOAT:
        return isfinite(value->number) ? arena_format(elab->arena, "%.17g", value->number) : "null";
    case VALUE_BOOL: return value->truth ? "true" : "false";
    case VALUE_STRING: return json_text(elab, value->text);
    case VALUE_GROUP: return elab_json(elab, value->group);
    case VALUE_LIST: {
        char *text = arena_format(elab->arena, "[");
        for (int i = 0; i < value->list->n_items; i++) {
            const char *item = json_value(elab, &value->list->items[i]);
            text = append(elab, text, arena_format(elab->arena, "%s%s", i ? ", " : "", item ? item : "null"));
        }
        return append(elab, text, "]");
    }
    default: return NULL;
    }
}
