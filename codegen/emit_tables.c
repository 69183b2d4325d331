// The constant tables of a program: parameters, entry points, inputs, outputs, draws. See runtime/program.h.
#include "codegen/emit_internal.h"

#include <stdio.h>
#include <string.h>

static const char *const INIT_NAMES[] = {
    [INIT_CONSTANT] = "XV_INIT_CONSTANT",   [INIT_NORMAL] = "XV_INIT_NORMAL",
    [INIT_TRUNCATED] = "XV_INIT_TRUNCATED", [INIT_UNIFORM] = "XV_INIT_UNIFORM",
    [INIT_SINCOS_2D] = "XV_INIT_SINCOS_2D",
};

static const char *dims_text(Arena *arena, const Shape *shape)
{
    char *text = arena_alloc(arena, 24 * MAX_RANK + 8);
    int used = sprintf(text, "{");
    for (int i = 0; i < shape->rank; i++) {
        used += sprintf(text + used, "%s%lld", i ? ", " : "", (long long)shape->dim[i]);
    }
    sprintf(text + used, "%s}", shape->rank ? "" : "0");
    return text;
}

static void emit_parameters(Out *out, Arena *arena, const Task *task)
{
    out_line(out, "static const XvParameter parameters[] = {");
    for (int i = 0; i < task->n_parameters; i++) {
        const Parameter *p = &task->parameters[i];
        out_line(out, "    {.name = \"%s\", .rank = %d, .shape = %s, .offset = %lld, .count = %lld,", p->name,
                 p->shape.rank, dims_text(arena, &p->shape), (long long)task->offsets[i],
                 (long long)shape_count(&p->shape));
        out_line(out,
                 "     .init = %s, .init_a = %.17g, .init_b = %.17g, .is_trainable = %s, .has_decay = %s,",
                 INIT_NAMES[p->init], p->init_a, p->init_b, p->is_trainable ? "true" : "false",
                 p->has_decay ? "true" : "false");
        if (task->has_copy[i]) {
            out_line(out, "     .has_copy = true,");
        }
        if (p->has_zero_row) {
            out_line(out, "     .has_zero_row = true, .zero_row = %lld,", (long long)p->zero_row);
        }
        out_line(
            out,
            "     .is_fresh = %s, .has_clamp = %s, .clamp_low = %.17g, .clamp_high = %.17g, .source = \"%s\"},",
            p->is_fresh ? "true" : "false", p->has_clamp ? "true" : "false", p->clamp_low, p->clamp_high,
            diag_place(arena, p->span));
    }
    out_line(out, "};");
    out_line(out, "");
}

static void emit_names_of_state(Out *out, Arena *arena, const Task *task)
{
    if (task->n_aliases > 0) {
        out_line(out, "static const XvAlias aliases[] = {");
        for (int i = 0; i < task->n_aliases; i++) {
            out_line(out, "    {.name = \"%s\", .parameter = %d},", task->aliases[i].name,
                     task->aliases[i].parameter);
        }
        out_line(out, "};");
        out_line(out, "");
    }
    static const char *const fills[] = {// ORDER FILL
                                        "XV_FILL_NONE", "XV_FILL_POSITIONS", "XV_FILL_WINDOW_INDEX",
                                        "XV_FILL_SHIFT_MASK"};
    if (task->n_buffers > 0) {
        out_line(out, "static const XvBuffer buffers[] = {");
        for (int i = 0; i < task->n_buffers; i++) {
            const Buffer *buffer = &task->buffers[i];
            out_line(out, "    {.name = \"%s\", .dtype = %s, .rank = %d, .shape = %s, .fill = %s},",
                     buffer->name, buffer->dtype == DTYPE_F32 ? "XV_F32" : "XV_I64", buffer->shape.rank,
                     dims_text(arena, &buffer->shape), fills[buffer->fill]);
        }
        out_line(out, "};");
        out_line(out, "");
    }
}

static void emit_load_rules(Out *out, const Task *task)
{
    if (task->n_load_rules == 0) {
        return;
    }
    out_line(out, "static const XvLoadRule load_rules[] = {");
    for (int i = 0; i < task->n_load_rules; i++) {
        const LoadRule *rule = &task->load_rules[i];
        const char *quote = rule->from ? "\"" : "";
        out_line(out, "    {.source = \"%s\", .destination = \"%s\",", rule->source, rule->destination);
        out_line(out, "     .from = %s%s%s},", quote, rule->from ? rule->from : "NULL", quote);
    }
    out_line(out, "};");
    out_line(out, "");
}

static void emit_value(Out *out, Arena *arena, const Program *program, const char *name, NodeId node)
{
    const Node *value = &program->graph->nodes[node];
    out_line(out, "    {.name = \"%s\", .dtype = %s, .rank = %d, .shape = %s, .offset = %lldu},", name,
             value->dtype == DTYPE_F32 ? "XV_F32" : "XV_I32", value->shape.rank,
             dims_text(arena, &value->shape),
             (long long)program->storage[storage_root(program, node)].offset);
}

static int emit_inputs(Out *out, Arena *arena, const Program *program, const char *prefix)
{
    const Graph *graph = program->graph;
    int n_inputs = 0;
    out_line(out, "static const XvValue %s_inputs[] = {", prefix);
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        if (graph->nodes[id].op == OP_INPUT && program->storage[id].is_stored) {
            emit_value(out, arena, program, graph->inputs[graph->nodes[id].attr.index].name, id);
            n_inputs++;
        }
    }
    out_line(out, "};");
    return n_inputs;
}

static int emit_outputs(Out *out, Arena *arena, const Program *program, const char *prefix)
{
    int n_outputs = 0;
    out_line(out, "static const XvValue %s_outputs[] = {", prefix);
    for (int i = 0; i < program->graph->n_outputs; i++) {
        const Output *output = &program->graph->outputs[i];
        if (output->kind != OUTPUT_GRADIENT) {
            emit_value(out, arena, program, output->name, output->node);
            n_outputs++;
        }
    }
    out_line(out, "};");
    return n_outputs;
}

static void emit_draws(Out *out, Arena *arena, const Graph *graph, const char *prefix)
{
    if (graph->n_draws == 0) {
        return;
    }
    static const char *const kinds[] = {
        [DRAW_KEEP] = "XV_DRAW_KEEP", [DRAW_SAMPLE] = "XV_DRAW_SAMPLE", [DRAW_SCALE] = "XV_DRAW_SCALE"};
    out_line(out, "static const XvDrawInfo %s_draws[] = {", prefix);
    for (int i = 0; i < graph->n_draws; i++) {
        const Draw *draw = &graph->draws[i];
        out_line(out, "    {.name = \"%s\", .kind = %s, .rate = %.17g, .rank = %d, .shape = %s},", draw->name,
                 kinds[draw->kind], draw->rate, draw->shape.rank, dims_text(arena, &draw->shape));
    }
    out_line(out, "};");
}

typedef struct TableWriter {
    Out *out;
    Arena *arena;
    const Task *task;
    const Target *target;
} TableWriter;

static const char *graph_initializer(const TableWriter *writer, const Program *program, const char *prefix,
                                     int inputs, int outputs)
{
    const Target *target = writer->target;
    double flops = 0;
    double bytes = 0;
    for (int i = 0; i < program->n_steps; i++) {
        flops += program->steps[i].flops;
        bytes += (double)program->steps[i].bytes;
    }
    char *text = arena_alloc(writer->arena, 1024);
    snprintf(
        text, 1024,
        "{.arena_bytes = %lldu, .run = %s, .inputs = %s_inputs, .n_inputs = %d, .outputs = %s_outputs, "
        ".n_outputs = %d,\n               .draws = %s%s, .n_draws = %d, .matmul_flops = %.0f, .bytes = %.0f, "
        ".n_kernels = %d}",
        (long long)(program->arena_bytes + 4 * target->scratch_floats(writer->arena, program)), prefix,
        prefix, inputs, prefix, outputs, program->graph->n_draws ? prefix : "NULL",
        program->graph->n_draws ? "_draws" : "", program->graph->n_draws, flops, bytes,
        target->launches(writer->arena, program));
    return text;
}

static void emit_name_list(Out *out, const char *entry, const char *what, const Sym *names, int n_names)
{
    out_line(out, "static const char *const %s_%s[] = {", entry, what);
    for (int i = 0; i < n_names; i++) {
        out_line(out, "    \"%s\",", names[i]);
    }
    out_line(out, "    NULL,");
    out_line(out, "};");
}

static const char *graph_tables(const TableWriter *writer, const Program *program, const char *prefix)
{
    Out *out = writer->out;
    Arena *arena = writer->arena;
    int inputs = emit_inputs(out, arena, program, prefix);
    int outputs = emit_outputs(out, arena, program, prefix);
    emit_draws(out, arena, program->graph, prefix);
    return graph_initializer(writer, program, prefix, inputs, outputs);
}

static void emit_has_gradient(Out *out, const Task *task, const Entry *entry)
{
    out_line(out, "static const uint8_t %s_has_gradient[] = {", entry->name);
    for (int i = 0; i < task->n_parameters; i += 32) {
        char line[128];
        int used = 0;
        for (int j = i; j < i + 32 && j < task->n_parameters; j++) {
            used += sprintf(line + used, "%d,", entry->has_gradient[j]);
        }
        out_line(out, "    %s", line);
    }
    out_line(out, "};");
}

static void emit_entry_tables(const TableWriter *writer, const Entry *entry, const char **graphs)
{
    Out *out = writer->out;
    char train[256];
    char observe[256];
    snprintf(train, sizeof train, "%s_train", entry->name);
    snprintf(observe, sizeof observe, "%s_observe", entry->name);
    graphs[0] = entry->train ? graph_tables(writer, entry->train, train) : "{0}";
    graphs[1] = graph_tables(writer, entry->observe, observe);
    emit_name_list(out, entry->name, "losses", entry->losses, entry->n_losses);
    emit_name_list(out, entry->name, "metrics", entry->metrics, entry->n_metrics);
    emit_has_gradient(out, writer->task, entry);
    out_line(out, "");
}

static void emit_entries(const TableWriter *writer)
{
    Out *out = writer->out;
    Arena *arena = writer->arena;
    const Task *task = writer->task;
    const char **graphs = arena_alloc(arena, 2 * (size_t)task->n_entries * sizeof *graphs + 1);
    for (int i = 0; i < task->n_entries; i++) {
        emit_entry_tables(writer, &task->entries[i], graphs + 2 * i);
    }
    out_line(out, "static const XvEntry entries[] = {");
    for (int i = 0; i < task->n_entries; i++) {
        const Entry *entry = &task->entries[i];
        out_line(out, "    {.name = \"%s\", .data = \"%s\", .probability = %.17g, .advances_schedule = %s,",
                 entry->name, entry->data, entry->probability, entry->advances_schedule ? "true" : "false");
        const char *loss = entry->total ? arena_format(arena, "\"%s\"", entry->total) : "NULL";
        out_line(out, "     .loss = %s, .losses = %s_losses, .n_losses = %d,", loss, entry->name,
                 entry->n_losses);
        out_line(out, "     .train = %s,", graphs[2 * i]);
        out_line(out, "     .observe = %s,", graphs[2 * i + 1]);
        out_line(out, "     .has_gradient = %s_has_gradient, .metrics = %s_metrics, .n_metrics = %d},",
                 entry->name, entry->name, entry->n_metrics);
    }
    out_line(out, "};");
    out_line(out, "");
}

static int entry_index(const Task *task, Sym name)
{
    for (int i = 0; i < task->n_entries; i++) {
        if (task->entries[i].name == name) {
            return i;
        }
    }
    XV_BUG("there is no entry '%s'", name);
}

static void emit_decoders(Out *out, const Task *task)
{
    static const char *const methods[] = {[DECODE_GREEDY] = "XV_DECODE_GREEDY",
                                          [DECODE_SAMPLE] = "XV_DECODE_SAMPLE",
                                          [DECODE_BEAM] = "XV_DECODE_BEAM"};
    if (task->n_decoders == 0) {
        return;
    }
    out_line(out, "static const XvDecoder decoders[] = {");
    for (int i = 0; i < task->n_decoders; i++) {
        const Decoder *decoder = &task->decoders[i];
        out_line(out, "    {.name = \"%s\", .method = %s, .prefill = %d, .step = %d, .max_length = %lld,",
                 decoder->name, methods[decoder->method], entry_index(task, decoder->prefill),
                 entry_index(task, decoder->step), (long long)decoder->max_length);
        out_line(out, "     .min_length = %lld, .end_id = %lld, .pad_id = %lld},",
                 (long long)decoder->min_length, (long long)decoder->end_id, (long long)decoder->pad_id);
    }
    out_line(out, "};");
    out_line(out, "");
}

// A C string literal of any text, in pieces of at most 90 characters.
static void emit_text(Out *out, const char *text)
{
    size_t length = strlen(text);
    for (size_t i = 0; i < length;) {
        char line[256];
        size_t used = 0;
        size_t end = i + 90 < length ? i + 90 : length;
        for (; i < end; i++) {
            if (text[i] == '"' || text[i] == '\\') {
                line[used++] = '\\';
            }
            if (text[i] == '\n') {
                line[used++] = '\\';
                line[used++] = 'n';
            } else {
                line[used++] = text[i];
            }
        }
        line[used] = 0;
        out_line(out, "    \"%s\"", line);
    }
}

void emit_tables(Out *out, Arena *arena, const Task *task, const Target *target)
{
    emit_parameters(out, arena, task);
    emit_names_of_state(out, arena, task);
    emit_load_rules(out, task);
    emit_entries(&(TableWriter){out, arena, task, target});
    emit_decoders(out, task);
    out_line(out, "static const char config[] =");
    emit_text(out, task->config);
    out_line(out, "    \"\";");
    out_line(out, "");
    out_line(out, "const XvProgram xv_program = {");
    out_line(out, "    .model = \"%s\", .task = \"%s\", .target = \"%s\", .config = config, .ranks = %d,",
             task->model, task->name, target->name, task->ranks);
    out_line(out, "    .precision = \"%s\", .copy_type = %s,", precision_name(task->precision),
             task->precision == PRECISION_BF16   ? "XV_BF16"
             : task->precision == PRECISION_FP16 ? "XV_F16"
                                                 : "XV_F32");
    out_line(out, "    .parameters = parameters, .n_parameters = %d, .parameter_count = %lld,",
             task->n_parameters, (long long)task->parameter_count);
    out_line(out, "    .aliases = %s, .n_aliases = %d, .buffers = %s, .n_buffers = %d,",
             task->n_aliases ? "aliases" : "NULL", task->n_aliases, task->n_buffers ? "buffers" : "NULL",
             task->n_buffers);
    out_line(out, "    .load_rules = %s, .n_load_rules = %d,", task->n_load_rules ? "load_rules" : "NULL",
             task->n_load_rules);
    out_line(out, "    .entries = entries, .n_entries = %d, .decoders = %s, .n_decoders = %d, %s",
             task->n_entries, task->n_decoders ? "decoders" : "NULL", task->n_decoders,
             target == &target_c ? ".update = update," : ".cuda = &cuda_program,");
    out_line(out, "};");
}
