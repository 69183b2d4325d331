// Entry points: dimensions, inputs, outputs, metrics, what is minimised; see elaborate_entry.h.
#include "compiler/elaborate_entry.h"

#include "compiler/base/vec.h"

#include <string.h>

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
    bool is_training;  // minimises something
    bool has_total;
} EntryBuilder;

static void run_entry_items(EntryBuilder *builder, const AstItems *items);

// What an input is called outside.
static Sym input_name(const AstParam *param)
{
    return param->text ? param->text : param->name.text;
}

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
static bool bind_given(EntryBuilder *builder, const Map *dims, Map *bound, const AstParam *param,
                       const GivenShape *given)
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
            builder->e->misfit_text =
                arena_format(elab->arena, "dimension %s is %lld elsewhere and %lld in the given '%s' %s",
                             symbol, (long long)known->integer, (long long)given->shape.dim[i], given->name,
                             shape_text(elab->arena, &given->shape));
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

static bool declares_dim(const AstItems *items, Sym symbol)
{
    for (const AstItem *item = items->first; item; item = item->next) {
        if (item->kind == AST_DIM && item->name.text == symbol) {
            return true;
        }
    }
    return false;
}

// The extent that a given tensor of an entry's inputs has along a dimension; 0 when none is given.
static int64_t given_extent(const Elaboration *e, const AstItem *entry, Sym symbol)
{
    for (const AstParam *param = entry->params; param; param = param->next) {
        const GivenShape *given = param->type ? given_shape(e->options, input_name(param)) : NULL;
        int i = 0;
        for (const AstArg *dim = given ? param->type->dims : NULL; dim && i < given->shape.rank;
             dim = dim->next, i++) {
            if (dim->value->kind == AST_NAME && dim->value->text == symbol) {
                return given->shape.dim[i];
            }
        }
    }
    return 0;
}

// A dimension of the task is the same in all entries that do not declare it anew: where no given tensor tells this
// entry, one of another entry does.
static void bind_shared(EntryBuilder *builder, const Map *bound)
{
    const AstItems *items = &builder->e->task->items;
    for (const AstItem *dim = items->first; dim; dim = dim->next) {
        Sym symbol = dim->name.text;
        if (dim->kind != AST_DIM || map_has(bound, symbol) || declares_dim(&builder->item->items, symbol)) {
            continue;
        }
        int64_t extent = 0;
        for (const AstItem *other = items->first; other && extent == 0; other = other->next) {
            bool is_sharing = other->kind == AST_ENTRY && !declares_dim(&other->items, symbol);
            extent = is_sharing ? given_extent(builder->e, other, symbol) : 0;
        }
        if (extent > 0) {
            scope_set(builder->scope, symbol, value_int(extent, dim->name.span));
        }
    }
}

// Dimensions: the task's, then the entry's, then the command line's, then those of the tensors given.
static void bind_dims(EntryBuilder *builder)
{
    Elab *elab = &builder->e->elab;
    Map *dims = map_new(elab->arena);
    for (const AstItem *item = builder->e->task->items.first; item; item = item->next) {
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
        const GivenShape *given = param->type ? given_shape(builder->e->options, input_name(param)) : NULL;
        fits = !given || param->type->has_ellipsis || bind_given(builder, dims, bound, param, given);
    }
    for (int i = 0; fits && i < bound->n_entries; i++) {
        scope_set(builder->scope, bound->entries[i].key, *(const Value *)bound->entries[i].value);
    }
    bind_shared(builder, bound);
    builder->e->n_fitting += fits;
}

// Names that programs and files know: what a state dict's names consist of.
static bool is_name_plain(EntryBuilder *builder, const char *name, Span span)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    if (*name && !name[strspn(name, letters)]) {
        return true;
    }
    diag_error(builder->e->elab.diag, span,
               "a name outside consists of letters, digits and . _ -, this is '%s'", name);
    return false;
}

static void declare_input(EntryBuilder *builder, const AstParam *param)
{
    Elab *elab = &builder->e->elab;
    GraphInput input = {.name = input_name(param), .span = param->name.span};
    if (param->text && !is_name_plain(builder, param->text, param->text_span)) {
        return;
    }
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

// The name of an output outside: `as` a text in which {name} stands for an integer or a text known here.
static Sym outside_name(EntryBuilder *builder, const AstItem *item)
{
    if (!item->text) {
        return item->name.text;
    }
    Elab *elab = &builder->e->elab;
    Sym name = elab_filled(elab, builder->scope, item->text, item->text_span);
    return name && is_name_plain(builder, name, item->text_span) ? name : NULL;
}

static bool is_output_new(const EntryBuilder *builder, Sym name, const AstItem *item)
{
    for (int i = 0; i < builder->graph->n_outputs; i++) {
        if (builder->graph->outputs[i].name == name) {
            diag_error(builder->e->elab.diag, item->head, "a second output would be called '%s'%s", name,
                       item->text ? "" : "; give it a name of its own: `output x as \"name\" = ...`");
            return false;
        }
    }
    return true;
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
    Sym name = outside_name(builder, item);
    if (node != NO_NODE && name && is_output_new(builder, name, item)) {
        graph_output(builder->graph, name, OUTPUT_VALUE, node, -1);
    }
}

static NodeId scalar_as_vector(Elab *elab, const Value *value, Span span)
{
    NodeId node = elab_operand(elab, value, DTYPE_F32, span);
    if (node == NO_NODE) {
        return NO_NODE;
    }
    if (shape_count(&elab->graph->nodes[node].shape) != 1 || elab->graph->nodes[node].dtype != DTYPE_F32) {
        diag_error(elab->diag, span, "a metric is two float scalars, a sum and a count; got %s",
                   elab_shape(elab, node));
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
        diag_error(elab->diag, item->value->span,
                   "a metric is a sum and a count: `metric name = sum, count`");
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
    if (!is_output_new(builder, item->name.text, item)) {
        return;
    }
    graph_output(builder->graph, item->name.text, OUTPUT_METRIC, both, -1);
    VEC_PUSH(elab->arena, builder->metrics, builder->n_metrics, builder->metric_capacity, item->name.text);
}

// `number * losses`, or what would be that but for an error.
static bool is_weighted(EntryBuilder *builder, const AstExpr *expr)
{
    if (expr->kind != AST_BINARY || expr->sign != AST_MUL) {
        return false;
    }
    Value weight = elab_expr(&builder->e->elab, builder->scope, expr->a);
    return value_is_number(&weight) || weight.kind == VALUE_ERROR;
}

static void collect_losses(EntryBuilder *builder, const AstExpr *expr)
{
    Elab *elab = &builder->e->elab;
    if (expr->kind == AST_BINARY && expr->sign == AST_ADD) {
        collect_losses(builder, expr->a);
        collect_losses(builder, expr->b);
        return;
    }
    if (is_weighted(builder, expr)) {
        collect_losses(builder, expr->b);
        return;
    }
    if (expr->kind != AST_NAME) {
        diag_error(
            elab->diag, expr->span,
            "minimise takes a sum of names bound by `output`, each with a number before it (`2 * loss`) or not");
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
    diag_error(elab->diag, expr->span, "'%s' is not an output; write `output %s = ...`", expr->text,
               expr->text);
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
        diag_error(elab->diag, item->value->span, "what is minimised must be a float scalar, got %s",
                   elab_shape(elab, node));
        return;
    }
    bool is_one_loss = item->value->kind == AST_NAME;
    builder->entry.total = intern(elab->names, is_one_loss ? item->value->text : "loss_total");
    if (!is_one_loss && is_output_new(builder, builder->entry.total, item)) {
        graph_output(builder->graph, builder->entry.total, OUTPUT_LOSS, node, -1);
    }
    builder->has_total = true;
}

static void run_number(EntryBuilder *builder, const AstItem *item)
{
    Elab *elab = &builder->e->elab;
    bool is_probability = item->kind == AST_PROBABILITY;
    Value value = elab_expr(elab, builder->scope, item->value);
    bool is_share = value_is_number(&value) && value_number(&value) >= 0 && value_number(&value) <= 1;
    if (!builder->is_training) {
        diag_error(elab->diag, item->head,
                   "entry '%s' minimises nothing, so training never runs it: it has no %s",
                   builder->entry.name, is_probability ? "probability" : "schedule");
    } else if (is_probability && is_share) {
        builder->entry.probability = value_number(&value);
    } else if (!is_probability && value.kind == VALUE_BOOL) {
        builder->entry.advances_schedule = value.truth;
    } else if (value.kind != VALUE_ERROR) {
        diag_error(elab->diag, item->value->span, "%s",
                   is_probability ? "a probability is a number from 0 to 1" : "advances is true or false");
    }
}

static void run_if(EntryBuilder *builder, const AstItem *item)
{
    bool truth;
    if (elab_truth(&builder->e->elab, builder->scope, item->value, &truth)) {
        run_entry_items(builder, truth ? &item->items : &item->otherwise);
    }
}

static void run_loop(EntryBuilder *builder, const AstItem *item)
{
    Value over;
    if (!elab_loop_values(&builder->e->elab, builder->scope, item->value, item->end, &over)) {
        return;
    }
    for (int i = 0; i < over.list->n_items; i++) {
        scope_set(builder->scope, item->name.text, over.list->items[i]);
        run_entry_items(builder, &item->items);
    }
}

static void run_entry_item(EntryBuilder *builder, const AstItem *item)
{
    Value ignored;
    switch (item->kind) {
    case AST_DIM: break;
    case AST_DATA: builder->entry.data = item->text; break;
    case AST_PROBABILITY:
    case AST_ADVANCES: run_number(builder, item); break;
    case AST_OUTPUT: run_output(builder, item); break;
    case AST_METRIC: run_metric(builder, item); break;
    case AST_MINIMISE: run_minimise(builder, item); break;
    case AST_IF: run_if(builder, item); break;
    case AST_LOOP: run_loop(builder, item); break;
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
    elab->traces = builder->is_training ? map_new(elab->arena) : NULL;
}

static void run_entry_items(EntryBuilder *builder, const AstItems *items)
{
    const Diag *diag = builder->e->elab.diag;
    for (const AstItem *item = items->first; item && diag->n_errors <= DIAG_MAX_ERRORS; item = item->next) {
        run_entry_item(builder, item);
    }
}

// Constants of the task may depend on dimensions, so they are evaluated in every entry's scope.
static void run_task_constants(EntryBuilder *builder)
{
    Value ignored;
    for (const AstItem *item = builder->e->task->items.first; item; item = item->next) {
        if (item->kind == AST_LET || item->kind == AST_ASSERT) {
            AstItem alone = *item;
            alone.next = NULL;
            AstItems one = {.first = &alone, .last = &alone};
            elab_statements(&builder->e->elab, builder->scope, &one, &ignored);
        }
    }
}

static bool minimises(const AstItems *items)
{
    for (const AstItem *item = items->first; item; item = item->next) {
        if (item->kind == AST_MINIMISE || minimises(&item->items) || minimises(&item->otherwise)) {
            return true;
        }
    }
    return false;
}

void elaborate_entry(Elaboration *e, const AstItem *item)
{
    Elab *elab = &e->elab;
    EntryBuilder builder = {.e = e, .item = item, .scope = scope_new(elab->arena, e->task_scope)};
    builder.is_training = minimises(&item->items);
    builder.entry = (Entry){.name = item->name.text,
                            .data = "",
                            .probability = builder.is_training,
                            .advances_schedule = builder.is_training,
                            .span = item->head};
    start_graph(&builder);
    bind_dims(&builder);
    run_task_constants(&builder);
    for (const AstParam *param = item->params; param; param = param->next) {
        declare_input(&builder, param);
    }
    run_entry_items(&builder, &item->items);
    if (builder.is_training && !builder.has_total && elab->diag->n_errors == 0) {
        diag_error(elab->diag, item->head, "entry '%s' minimises nothing with these constants",
                   item->name.text);
    }
    if (builder.graph->n_outputs == 0 && elab->diag->n_errors == 0) {
        diag_error(elab->diag, item->head, "entry '%s' has no output", item->name.text);
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
