// Configuration, globals, tasks and entry points; see elaborate.h.
#include "compiler/elaborate.h"

#include "compiler/base/vec.h"
#include "compiler/elab.h"

#include <string.h>

typedef struct Elaboration {
    Elab elab;
    const ElaborateOptions *options;
    Scope *task_scope;
    Entry *entries;
    int n_entries, entry_capacity;
    Value no_decay;
    bool is_optimizer_known;
    Optimizer optimizer;
    int n_fitting;                      // entry points that the given shapes fit
    Span misfit;                        // why one does not
    const char *misfit_text;
} Elaboration;

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

// Entry points --------------------------------------------------------------------------------------------------

typedef struct EntryBuilder {
    Elaboration *e;
    const AstItem *item;
    Scope *scope;
    Graph *graph;
    Entry entry;
    GraphInput *inputs;
    int n_inputs, input_capacity;
    Sym *losses;
    int n_losses, loss_capacity;
    Sym *metrics;
    int n_metrics, metric_capacity;
    bool has_total;
} EntryBuilder;

static const GivenShape *given_shape(const ElaborateOptions *options, Sym name)
{
    for (int i = 0; i < options->n_shapes; i++) {
        if (strcmp(options->shapes[i].name, name) == 0) {
            return &options->shapes[i];
        }
    }
    return NULL;
}

// Dimensions declared by `dim` take the extents of the tensors given, if any. A file made for another entry point
// contradicts itself here: then the entry keeps its own dimensions, and false comes back with the place.
static bool bind_given(EntryBuilder *builder, const Map *dims, Map *bound, const AstParam *param, const GivenShape *given)
{
    Elab *elab = &builder->e->elab;
    int i = 0;
    for (const AstArg *dim = param->type->dims; dim && i < given->shape.rank; dim = dim->next, i++) {
        if (dim->value->kind != AST_NAME || !map_has(dims, dim->value->text)) {
            continue;
        }
        Sym symbol = dim->value->text;
        const Value *known = map_get(bound, symbol);
        if (known && known->integer != given->shape.dim[i]) {
            builder->e->misfit = dim->span;
            builder->e->misfit_text = arena_format(elab->arena, "dimension %s is %lld elsewhere and %lld in the given '%s' %s",
                                                   symbol, (long long)known->integer, (long long)given->shape.dim[i],
                                                   given->name, shape_text(elab->arena, &given->shape));
            return false;
        }
        Value *value = arena_alloc(elab->arena, sizeof *value);
        *value = value_int(given->shape.dim[i], dim->span);
        map_set(bound, symbol, value);
    }
    return true;
}

static void declare_dim(Elab *elab, Scope *scope, Map *dims, const AstItem *item)
{
    Value extent = elab_expr(elab, scope, item->value);
    if (extent.kind != VALUE_INT || extent.integer < 1) {
        if (extent.kind != VALUE_ERROR) {
            diag_error(elab->diag, item->value->span, "a dimension must be an integer of at least 1");
        }
        extent = value_error();
    }
    extent.span = item->name.span;
    map_set(dims, item->name.text, elab);
    scope_set(scope, item->name.text, extent);
}

// Dimensions: the task's, then the entry's, then the command line's, then those of the tensors given.
static void bind_dims(EntryBuilder *builder, const AstItem *task)
{
    Elab *elab = &builder->e->elab;
    Map *dims = map_new(elab->arena);
    for (const AstItem *item = task->items.first; item; item = item->next) {
        if (item->kind == AST_DIM) {
            declare_dim(elab, builder->scope, dims, item);
        }
    }
    for (const AstItem *item = builder->item->items.first; item; item = item->next) {
        if (item->kind == AST_DIM) {
            declare_dim(elab, builder->scope, dims, item);
        }
    }
    Sym batch = intern(elab->names, "B");
    if (builder->e->options->batch > 0 && map_has(dims, batch)) {
        scope_set(builder->scope, batch, value_int(builder->e->options->batch, builder->item->head));
    }
    Map *bound = map_new(elab->arena);
    bool fits = true;
    for (const AstParam *param = builder->item->params; param && fits; param = param->next) {
        const GivenShape *given = param->type ? given_shape(builder->e->options, param->name.text) : NULL;
        fits = !given || param->type->has_ellipsis || bind_given(builder, dims, bound, param, given);
    }
    for (int i = 0; fits && i < bound->n_entries; i++) {
        scope_set(builder->scope, bound->entries[i].key, *(const Value *)bound->entries[i].value);
    }
    builder->e->n_fitting += fits;
}

static void declare_input(EntryBuilder *builder, const AstParam *param)
{
    Elab *elab = &builder->e->elab;
    GraphInput input = {.name = param->name.text, .span = param->name.span};
    if (!param->type) {
        diag_error(elab->diag, param->name.span, "input '%s' needs a type", param->name.text);
        return;
    }
    if (!elab_shape_of_type(elab, builder->scope, param->type, &input.shape, &input.dtype)) {
        scope_set(builder->scope, param->name.text, value_error());
        return;
    }
    input.dtype = input.dtype == DTYPE_BOOL ? DTYPE_I32 : input.dtype;
    Attr attr = {.index = builder->n_inputs};
    Origin origin = {param->name.span, elab->path, param->name.text};
    NodeId node = graph_add(builder->graph, OP_INPUT, input.dtype, &input.shape, NULL, 0, &attr, &origin);
    VEC_PUSH(elab->arena, builder->inputs, builder->n_inputs, builder->input_capacity, input);
    scope_set(builder->scope, param->name.text, value_tensor(node, param->name.span));
}

static void run_output(EntryBuilder *builder, const AstItem *item)
{
    Elab *elab = &builder->e->elab;
    elab->variable = item->name.text;
    Value value = elab_expr(elab, builder->scope, item->value);
    elab->variable = NULL;
    scope_set(builder->scope, item->name.text, value);
    if (value.kind == VALUE_ERROR) {
        return;
    }
    NodeId node = elab_node(elab, &value, item->value->span);
    if (node != NO_NODE) {
        graph_output(builder->graph, item->name.text, OUTPUT_VALUE, node, -1);
    }
}

static NodeId scalar_as_vector(Elab *elab, const Value *value, Span span)
{
    NodeId node = elab_operand(elab, value, DTYPE_F32, span);
    if (node == NO_NODE) {
        return NO_NODE;
    }
    if (shape_count(&elab->graph->nodes[node].shape) != 1 || elab->graph->nodes[node].dtype != DTYPE_F32) {
        diag_error(elab->diag, span, "a metric is two float scalars, a sum and a count; got %s", elab_shape(elab, node));
        return NO_NODE;
    }
    Shape one = shape_of(1, (int64_t[]){1});
    Origin origin = elab_origin(elab, span);
    return graph_reshape(elab->graph, node, &one, &origin);
}

static void run_metric(EntryBuilder *builder, const AstItem *item)
{
    Elab *elab = &builder->e->elab;
    Value value = elab_expr(elab, builder->scope, item->value);
    if (value.kind == VALUE_ERROR) {
        return;
    }
    if (value.kind != VALUE_LIST || value.list->n_items != 2) {
        diag_error(elab->diag, item->value->span, "a metric is a sum and a count: `metric name = sum, count`");
        return;
    }
    NodeId parts[2];
    for (int i = 0; i < 2; i++) {
        if (value.list->items[i].kind == VALUE_ERROR) {
            return;
        }
        parts[i] = scalar_as_vector(elab, &value.list->items[i], item->value->span);
        if (parts[i] == NO_NODE) {
            return;
        }
    }
    Origin origin = elab_origin(elab, item->span);
    NodeId both = graph_concat(builder->graph, parts, 2, 0, &origin);
    graph_output(builder->graph, item->name.text, OUTPUT_METRIC, both, -1);
    VEC_PUSH(elab->arena, builder->metrics, builder->n_metrics, builder->metric_capacity, item->name.text);
}

static void collect_losses(EntryBuilder *builder, const AstExpr *expr)
{
    Elab *elab = &builder->e->elab;
    if (expr->kind == AST_BINARY && expr->operator == AST_ADD) {
        collect_losses(builder, expr->a);
        collect_losses(builder, expr->b);
        return;
    }
    if (expr->kind != AST_NAME) {
        diag_error(elab->diag, expr->span, "minimise takes a sum of names bound by `output`");
        return;
    }
    for (int i = 0; i < builder->graph->n_outputs; i++) {
        if (builder->graph->outputs[i].name == expr->text) {
            builder->graph->outputs[i].kind = OUTPUT_LOSS;
            VEC_PUSH(elab->arena, builder->losses, builder->n_losses, builder->loss_capacity, expr->text);
            return;
        }
    }
    const Value *value = scope_find(builder->scope, expr->text);
    if (value && value->kind == VALUE_ERROR) {
        return;
    }
    diag_error(elab->diag, expr->span, "'%s' is not an output; write `output %s = ...`", expr->text, expr->text);
}

static void run_minimise(EntryBuilder *builder, const AstItem *item)
{
    Elab *elab = &builder->e->elab;
    collect_losses(builder, item->value);
    Value total = elab_expr(elab, builder->scope, item->value);
    if (total.kind == VALUE_ERROR) {
        return;
    }
    NodeId node = elab_node(elab, &total, item->value->span);
    if (node == NO_NODE) {
        return;
    }
    if (builder->graph->nodes[node].shape.rank != 0 || builder->graph->nodes[node].dtype != DTYPE_F32) {
        diag_error(elab->diag, item->value->span, "what is minimised must be a float scalar, got %s", elab_shape(elab, node));
        return;
    }
    builder->entry.total = intern(elab->names, builder->n_losses == 1 ? builder->losses[0] : "loss_total");
    if (builder->n_losses != 1) {
        graph_output(builder->graph, builder->entry.total, OUTPUT_LOSS, node, -1);
    }
    builder->has_total = true;
}

static void run_number(EntryBuilder *builder, const AstItem *item)
{
    Elab *elab = &builder->e->elab;
    Value value = elab_expr(elab, builder->scope, item->value);
    if (item->kind == AST_PROBABILITY && value_is_number(&value) && value_number(&value) >= 0 && value_number(&value) <= 1) {
        builder->entry.probability = value_number(&value);
    } else if (item->kind == AST_ADVANCES && value.kind == VALUE_BOOL) {
        builder->entry.advances_schedule = value.truth;
    } else if (value.kind != VALUE_ERROR) {
        diag_error(elab->diag, item->value->span, "%s", item->kind == AST_PROBABILITY ? "a probability is a number from 0 to 1"
                                                                                       : "advances is true or false");
    }
}

static void run_entry_item(EntryBuilder *builder, const AstItem *item)
{
    Value ignored;
    switch (item->kind) {
    case AST_DIM:
        break;
    case AST_DATA:
        builder->entry.data = item->text;
        break;
    case AST_PROBABILITY:
    case AST_ADVANCES:
        run_number(builder, item);
        break;
    case AST_OUTPUT:
        run_output(builder, item);
        break;
    case AST_METRIC:
        run_metric(builder, item);
        break;
    case AST_MINIMISE:
        run_minimise(builder, item);
        break;
    default: {
        AstItem alone = *item;
        alone.next = NULL;
        AstItems one = {.first = &alone, .last = &alone};
        elab_statements(&builder->e->elab, builder->scope, &one, &ignored);
    }
    }
}

static void start_graph(EntryBuilder *builder)
{
    Elab *elab = &builder->e->elab;
    builder->graph = graph_new(elab->arena, NULL);
    builder->graph->name = builder->item->name.text;
    builder->graph->parameters = elab->parameters;
    builder->graph->n_parameters = elab->n_parameters;
    elab->graph = builder->graph;
    elab->parameter_nodes = arena_alloc(elab->arena, ((size_t)elab->n_parameters + 1) * sizeof(NodeId));
    for (int i = 0; i < elab->n_parameters; i++) {
        elab->parameter_nodes[i] = NO_NODE;
    }
    elab->draws = NULL;
    elab->n_draws = elab->draw_capacity = 0;
    elab->draw_counts = map_new(elab->arena);
    elab->traces = map_new(elab->arena);
}

static void build_entry(Elaboration *e, const AstItem *task, const AstItem *item)
{
    Elab *elab = &e->elab;
    EntryBuilder builder = {.e = e, .item = item, .scope = scope_new(elab->arena, e->task_scope)};
    builder.entry = (Entry){.name = item->name.text, .data = "", .probability = 1, .advances_schedule = true, .span = item->head};
    start_graph(&builder);
    bind_dims(&builder, task);
    // Constants of the task may depend on dimensions, so they are evaluated in every entry's scope.
    Value ignored;
    for (const AstItem *let = task->items.first; let; let = let->next) {
        if (let->kind == AST_LET || let->kind == AST_ASSERT) {
            AstItem alone = *let;
            alone.next = NULL;
            AstItems one = {.first = &alone, .last = &alone};
            elab_statements(elab, builder.scope, &one, &ignored);
        }
    }
    for (const AstParam *param = item->params; param; param = param->next) {
        declare_input(&builder, param);
    }
    for (const AstItem *inner = item->items.first; inner && elab->diag->n_errors <= DIAG_MAX_ERRORS; inner = inner->next) {
        run_entry_item(&builder, inner);
    }
    if (!builder.has_total && elab->diag->n_errors == 0) {
        diag_error(elab->diag, item->head, "entry '%s' minimises nothing; write `minimise loss`", item->name.text);
    }
    builder.graph->inputs = builder.inputs;
    builder.graph->n_inputs = builder.n_inputs;
    builder.graph->draws = elab->draws;
    builder.graph->n_draws = elab->n_draws;
    builder.entry.forward = builder.graph;
    builder.entry.losses = builder.losses;
    builder.entry.n_losses = builder.n_losses;
    builder.entry.metrics = builder.metrics;
    builder.entry.n_metrics = builder.n_metrics;
    elab->graph = NULL;
    VEC_PUSH(elab->arena, e->entries, e->n_entries, e->entry_capacity, builder.entry);
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
            diag_error(e->elab.diag, setting->name.span, "adamw has no setting '%s'%s%s%s", setting->name.text,
                       nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
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
    *root = (Instance){.module = task, .path = intern(elab->names, ""), .scope = e->task_scope, .span = task->head};
    for (const AstItem *item = task->items.first; item; item = item->next) {
        switch (item->kind) {
        case AST_OPTIMIZER:
            read_optimizer(e, item);
            break;
        case AST_NO_DECAY:
            e->no_decay = elab_expr(elab, e->task_scope, item->value);
            break;
        case AST_DIM:
        case AST_LET:
        case AST_ASSERT:
        case AST_ENTRY:
            break;
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

static const AstItem *task_named(const AstFile *files, const char *name)
{
    for (const AstFile *file = files; file; file = file->next) {
        for (const AstItem *item = file->items.first; item; item = item->next) {
            if (item->kind == AST_TASK && strcmp(item->name.text, name) == 0) {
                return item;
            }
        }
    }
    return NULL;
}

int elaborate_task_names(const AstFile *files, Sym *names, int capacity)
{
    int n_names = 0;
    for (const AstFile *file = files; file; file = file->next) {
        for (const AstItem *item = file->items.first; item; item = item->next) {
            if (item->kind == AST_TASK && n_names < capacity) {
                names[n_names++] = item->name.text;
            }
        }
    }
    return n_names;
}

// The entry that always runs comes last; the others keep their order.
static void order_entries(Elaboration *e)
{
    for (int i = 0; i + 1 < e->n_entries; i++) {
        if (e->entries[i].probability == 1 && e->entries[i].advances_schedule) {
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

static Task *finished_task(Elaboration *e, const AstItem *item, const char *config)
{
    Elab *elab = &e->elab;
    Task *task = arena_alloc(elab->arena, sizeof *task);
    *task = (Task){.model = intern(elab->names, e->options->model), .name = item->name.text, .config = config,
                   .parameters = elab->parameters, .n_parameters = elab->n_parameters, .aliases = elab->aliases,
                   .n_aliases = elab->n_aliases, .buffers = elab->buffers, .n_buffers = elab->n_buffers,
                   .entries = e->entries, .n_entries = e->n_entries, .optimizer = e->optimizer};
    place_parameters(elab, task);
    return task;
}

Task *elaborate(Arena *arena, Interner *names, Diag *diag, const AstFile *files, const ElaborateOptions *options)
{
    Elaboration e = {.elab = {.arena = arena, .names = names, .diag = diag, .world = 1}, .options = options};
    e.elab.globals = scope_new(arena, NULL);
    e.elab.path = intern(names, "");
    elab_configuration(&e.elab, files, options);
    const char *config = elab_json(&e.elab, e.elab.globals->values);
    define_globals(&e, files);
    const AstItem *task = options->task ? task_named(files, options->task) : NULL;
    if (options->task && !task) {
        Sym known[32];
        int n_known = elaborate_task_names(files, known, 32);
        const char *nearest = diag_nearest(options->task, known, n_known);
        diag_error(diag, (Span){0}, "no task is called '%s'%s%s%s", options->task, nearest ? "; did you mean '" : "",
                   nearest ? nearest : "", nearest ? "'?" : "");
    }
    if (diag->n_errors > 0 || !task) {
        return NULL;
    }
    e.task_scope = scope_new(arena, e.elab.globals);
    run_task_declarations(&e, task);
    for (const AstItem *item = task->items.first; item && diag->n_errors == 0; item = item->next) {
        if (item->kind == AST_ENTRY) {
            build_entry(&e, task, item);
        }
    }
    if (diag->n_errors == 0 && e.n_entries == 0) {
        diag_error(diag, task->head, "task '%s' has no entry point", task->name.text);
    }
    if (diag->n_errors == 0 && e.n_fitting == 0 && e.misfit_text) {
        diag_error(diag, e.misfit, "the given shapes fit no entry point: %s", e.misfit_text);
    }
    if (diag->n_errors == 0 && !e.is_optimizer_known) {
        diag_error(diag, task->head, "task '%s' names no optimizer", task->name.text);
    }
    order_entries(&e);
    return diag->n_errors == 0 ? finished_task(&e, task, config) : NULL;
}
