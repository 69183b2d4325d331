// Configuration, globals, tasks and entry points; see elaborate.h.
#include "compiler/elaborate.h"

#include "compiler/elaborate_entry.h"

#include <string.h>

// Globals -------------------------------------------------------------------------------------------------------

static bool define_once(Elab *elab, const AstItem *item, Value value)
{
    const Value *known = map_get(elab->globals->values, item->name.text);
    if (known) {
        diag_error(elab->diag, item->name.span, "'%s' is declared twice", item->name.text);
        diag_note(elab->diag, known->span, "the first declaration is here");
        return false;
    }
    scope_set(elab->globals, item->name.text, value);
    return true;
}

static void define_module(Elab *elab, const AstItem *item)
{
    ClassValue *class = arena_alloc(elab->arena, sizeof *class);
    class->module = item;
    define_once(elab, item, (Value){.kind = VALUE_CLASS, .span = item->name.span, .class = class});
}

static void define_function(Elab *elab, const AstItem *item)
{
    if (!item->name.text) {
        diag_error(elab->diag, item->head, "a function outside a module needs a name");
        return;
    }
    if (builtin_find(item->name.text)) {
        diag_error(elab->diag, item->name.span, "'%s' is a built-in function", item->name.text);
        return;
    }
    FunctionValue *function = arena_alloc(elab->arena, sizeof *function);
    function->item = item;
    define_once(elab, item, (Value){.kind = VALUE_FUNCTION, .span = item->name.span, .function = function});
}

static void define_globals(Elaboration *e, const AstFile *files)
{
    Elab *elab = &e->elab;
    for (const AstFile *file = files; file; file = file->next) {
        for (const AstItem *item = file->items.first; item; item = item->next) {
            if (item->kind == AST_MODULE) {
                define_module(elab, item);
            } else if (item->kind == AST_FUNCTION) {
                define_function(elab, item);
            }
        }
    }
    for (const AstFile *file = files; file; file = file->next) {
        for (const AstItem *item = file->items.first; item; item = item->next) {
            if (item->kind == AST_LET) {
                define_once(elab, item, elab_expr(elab, elab->globals, item->value));
            }
        }
    }
}

// Tasks ---------------------------------------------------------------------------------------------------------

static double optimizer_number(Elaboration *e, Scope *scope, const AstItem *item, const char *name)
{
    for (const AstItem *setting = item->items.first; setting; setting = setting->next) {
        if (strcmp(setting->name.text, name) == 0 && setting->value) {
            Value value = elab_expr(&e->elab, scope, setting->value);
            if (value_is_number(&value)) {
                return value_number(&value);
            }
            if (value.kind != VALUE_ERROR) {
                diag_error(e->elab.diag, setting->value->span, "'%s' must be a number", name);
            }
            return 0;
        }
    }
    diag_error(e->elab.diag, item->head, "optimizer '%s' needs a value for '%s'", item->name.text, name);
    return 0;
}

static void read_optimizer(Elaboration *e, const AstItem *item)
{
    if (strcmp(item->name.text, "adamw") != 0) {
        diag_error(e->elab.diag, item->name.span, "unknown optimizer '%s'; there is adamw", item->name.text);
        return;
    }
    static const char *const known[] = {"lr", "weight_decay", "lr_mult", "beta1", "beta2", "epsilon", "clip"};
    enum { N_KNOWN = sizeof known / sizeof *known };
    for (const AstItem *setting = item->items.first; setting; setting = setting->next) {
        bool is_known = false;
        for (int i = 0; i < N_KNOWN; i++) {
            is_known |= strcmp(known[i], setting->name.text) == 0;
        }
        if (!is_known) {
            const char *nearest = diag_nearest(setting->name.text, known, N_KNOWN);
            diag_error(e->elab.diag, setting->name.span, "adamw has no setting '%s'%s%s%s",
                       setting->name.text, nearest ? "; did you mean '" : "", nearest ? nearest : "",
                       nearest ? "'?" : "");
        }
    }
    e->optimizer.beta1 = optimizer_number(e, e->task_scope, item, "beta1");
    e->optimizer.beta2 = optimizer_number(e, e->task_scope, item, "beta2");
    e->optimizer.epsilon = optimizer_number(e, e->task_scope, item, "epsilon");
    e->is_optimizer_known = true;
}

static void mark_decay(Elaboration *e)
{
    for (int i = 0; e->no_decay.kind == VALUE_LIST && i < e->elab.n_parameters; i++) {
        Parameter *parameter = &e->elab.parameters[i];
        for (int j = 0; j < e->no_decay.list->n_items; j++) {
            const Value *part = &e->no_decay.list->items[j];
            if (part->kind == VALUE_STRING && strstr(parameter->name, part->text)) {
                parameter->has_decay = false;
            }
        }
    }
}

static void run_task_declarations(Elaboration *e, const AstItem *task)
{
    Elab *elab = &e->elab;
    Instance *root = arena_alloc(elab->arena, sizeof *root);
    *root = (Instance){
        .module = task, .path = intern(elab->names, ""), .scope = e->task_scope, .span = task->head};
    for (const AstItem *item = task->items.first; item; item = item->next) {
        switch (item->kind) {
        case AST_OPTIMIZER: read_optimizer(e, item); break;
        case AST_NO_DECAY: e->no_decay = elab_expr(elab, e->task_scope, item->value); break;
        case AST_SOURCE: elaborate_source(e, item); break;
        case AST_CONFIG:
        case AST_SET:
        case AST_DIM:
        case AST_LET:
        case AST_ASSERT:
        case AST_ENTRY:
        case AST_DECODER: break;
        default: {
            AstItem alone = *item;
            alone.next = NULL;
            AstItems one = {.first = &alone, .last = &alone};
            elab_members(elab, root, &one, (Marks){0});
        }
        }
    }
    mark_decay(e);
}

// Several blocks may speak of a task: one that defines it, and others that only set its configuration.
static bool is_definition(const AstItem *task)
{
    for (const AstItem *item = task->items.first; item; item = item->next) {
        if (item->kind != AST_CONFIG && item->kind != AST_SET) {
            return true;
        }
    }
    return false;
}

static void append_items(Arena *arena, AstItems *to, const AstItems *from)
{
    for (const AstItem *item = from->first; item; item = item->next) {
        AstItem *copy = arena_alloc(arena, sizeof *copy);
        *copy = *item;
        copy->next = NULL;
        if (to->last) {
            to->last->next = copy;
        } else {
            to->first = copy;
        }
        to->last = copy;
    }
}

// The task with the items of all its blocks in the order of the files; NULL when there is none of that name.
static AstItem *task_named(Elab *elab, const AstFile *files, const char *name)
{
    AstItem *task = NULL;
    const AstItem *definition = NULL;
    for (const AstFile *file = files; file; file = file->next) {
        for (const AstItem *item = file->items.first; item; item = item->next) {
            if (item->kind != AST_TASK || strcmp(item->name.text, name) != 0) {
                continue;
            }
            if (!task) {
                task = arena_alloc(elab->arena, sizeof *task);
                *task = *item;
                task->items = (AstItems){0};
            }
            append_items(elab->arena, &task->items, &item->items);
            if (!is_definition(item)) {
                continue;
            }
            if (definition) {
                diag_error(elab->diag, item->head,
                           "task '%s' is declared twice; a second block may only hold config and set", name);
                diag_note(elab->diag, definition->head, "the first declaration is here");
            }
            definition = item;
            task->head = item->head;
        }
    }
    return task;
}

int elaborate_task_names(const AstFile *files, Sym *names, int capacity)
{
    int n_names = 0;
    for (const AstFile *file = files; file; file = file->next) {
        for (const AstItem *item = file->items.first; item; item = item->next) {
            bool is_new = item->kind == AST_TASK && n_names < capacity;
            for (int i = 0; i < n_names && is_new; i++) {
                is_new = names[i] != item->name.text;
            }
            if (is_new) {
                names[n_names++] = item->name.text;
            }
        }
    }
    return n_names;
}

// The training entry that always runs comes last; the others keep their order.
static void order_entries(Elaboration *e)
{
    for (int i = 0; i + 1 < e->n_entries; i++) {
        if (e->entries[i].total && e->entries[i].probability == 1 && e->entries[i].advances_schedule) {
            Entry main_entry = e->entries[i];
            memmove(&e->entries[i], &e->entries[i + 1], (size_t)(e->n_entries - i - 1) * sizeof(Entry));
            e->entries[e->n_entries - 1] = main_entry;
            return;
        }
    }
}

// Offsets of the parameters in their region: 64-byte aligned, in order.
static void place_parameters(Elab *elab, Task *task)
{
    int64_t *offsets = arena_alloc(elab->arena, ((size_t)elab->n_parameters + 1) * sizeof *offsets);
    int64_t at = 0;
    for (int i = 0; i < elab->n_parameters; i++) {
        offsets[i] = at;
        at += (shape_count(&elab->parameters[i].shape) + 15) / 16 * 16;
    }
    task->offsets = offsets;
    task->parameter_count = at;
}

static Task *finished_task(Elaboration *e, const char *config)
{
    Elab *elab = &e->elab;
    Task *task = arena_alloc(elab->arena, sizeof *task);
    *task = (Task){.model = intern(elab->names, e->options->model),
                   .name = e->task->name.text,
                   .config = config,
                   .parameters = elab->parameters,
                   .n_parameters = elab->n_parameters,
                   .aliases = elab->aliases,
                   .n_aliases = elab->n_aliases,
                   .buffers = elab->buffers,
                   .n_buffers = elab->n_buffers,
                   .load_rules = e->load_rules,
                   .n_load_rules = e->n_load_rules,
                   .entries = e->entries,
                   .n_entries = e->n_entries,
                   .decoders = e->decoders,
                   .n_decoders = e->n_decoders,
                   .optimizer = e->optimizer,
                   .ranks = elab->is_world_used ? (int)elab->world : 0};
    place_parameters(elab, task);
    return task;
}

static void report_no_task(Elab *elab, const AstFile *files, const char *name)
{
    Sym known[32];
    int n_known = elaborate_task_names(files, known, 32);
    const char *nearest = diag_nearest(name, known, n_known);
    diag_error(elab->diag, (Span){0}, "no task is called '%s'%s%s%s", name, nearest ? "; did you mean '" : "",
               nearest ? nearest : "", nearest ? "'?" : "");
}

static bool has_training(const Elaboration *e)
{
    for (int i = 0; i < e->n_entries; i++) {
        if (e->entries[i].total) {
            return true;
        }
    }
    return false;
}

static void build_task(Elaboration *e)
{
    Diag *diag = e->elab.diag;
    const AstItem *task = e->task;
    e->task_scope = scope_new(e->elab.arena, e->elab.globals);
    run_task_declarations(e, task);
    for (const AstItem *item = task->items.first; item && diag->n_errors == 0; item = item->next) {
        if (item->kind == AST_ENTRY) {
            elaborate_entry(e, item);
        }
    }
    bool has_entries = diag->n_errors == 0;
    for (const AstItem *item = task->items.first; item && has_entries; item = item->next) {
        if (item->kind == AST_DECODER) {
            elaborate_decoder(e, item);
        }
    }
    if (diag->n_errors == 0 && e->n_entries == 0) {
        diag_error(diag, task->head, "task '%s' has no entry point", task->name.text);
    }
    if (diag->n_errors == 0 && e->n_fitting == 0 && e->misfit_text) {
        diag_error(diag, e->misfit, "the given shapes fit no entry point: %s", e->misfit_text);
    }
    if (diag->n_errors == 0 && !e->is_optimizer_known && has_training(e)) {
        diag_error(diag, task->head, "task '%s' names no optimizer", task->name.text);
    }
    order_entries(e);
}

// Names that no file declares, below the globals, which may hide them.
static Scope *given_by_compiler(Elab *elab, const ElaborateOptions *options)
{
    Scope *scope = scope_new(elab->arena, NULL);
    Sym world = intern(elab->names, "world");
    elab->world = options->ranks > 0 ? options->ranks : 1;
    scope_set(scope, world, value_int(elab->world, (Span){0}));
    elab->world_value = scope_find(scope, world);
    return scope;
}

Task *elaborate(Arena *arena, Interner *names, Diag *diag, const AstFile *files,
                const ElaborateOptions *options)
{
    Elaboration e = {.elab = {.arena = arena, .names = names, .diag = diag}, .options = options};
    e.elab.globals = scope_new(arena, given_by_compiler(&e.elab, options));
    e.elab.path = intern(names, "");
    e.task = options->task ? task_named(&e.elab, files, options->task) : NULL;
    if (options->task && !e.task) {
        report_no_task(&e.elab, files, options->task);
        return NULL;
    }
    elab_configuration(&e.elab, files, e.task, options);
    const char *config = elab_json(&e.elab, e.elab.globals->values);
    define_globals(&e, files);
    if (diag->n_errors > 0 || !e.task) {
        return NULL;
    }
    build_task(&e);
    return diag->n_errors == 0 ? finished_task(&e, config) : NULL;
}

bool elaborate_knows(Arena *arena, Interner *names, const AstFile *files, const char *task, const char *path)
{
    Diag quiet = {.stream = fopen("/dev/null", "w")};
    if (!quiet.stream) {
        return true;
    }
    Elab elab = {.arena = arena, .names = names, .diag = &quiet, .globals = scope_new(arena, NULL)};
    const ElaborateOptions options = {.task = task};
    elab_configuration(&elab, files, task_named(&elab, files, task), &options);
    fclose(quiet.stream);
    return elab_constant(&elab, path) != NULL;
}
