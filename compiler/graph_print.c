// The printer. Attributes are shown only where the op uses them; ORDER OP: an op without a case in print_attr
// has no attributes to show.
#include "compiler/graph_print.h"

#include "compiler/base/out.h"

#include <stdarg.h>

enum { LINE_BYTES = 1200 };

// A line under construction; what does not fit is dropped.
typedef struct Line {
    char text[LINE_BYTES];
    size_t length;
} Line;

__attribute__((format(printf, 2, 3))) static void put(Line *line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(line->text + line->length, LINE_BYTES - line->length, format, arguments);
    va_end(arguments);
    line->length += (size_t)n;
    if (line->length >= LINE_BYTES) {
        line->length = LINE_BYTES - 1;
    }
}

static void put_axes(Line *line, uint32_t axes)
{
    put(line, " axes=[");
    const char *comma = "";
    for (int i = 0; i < 32; i++) {
        if (axes >> i & 1) {
            put(line, "%s%d", comma, i);
            comma = ", ";
        }
    }
    put(line, "]");
}

static void put_list(Line *line, const char *name, const int64_t *numbers, int n)
{
    put(line, " %s=[", name);
    for (int i = 0; i < n; i++) {
        put(line, "%s%lld", i > 0 ? ", " : "", (long long)numbers[i]);
    }
    put(line, "]");
}

static void put_dims(Line *line, const Node *node)
{
    int64_t dims[MAX_RANK];
    for (int i = 0; i < node->shape.rank; i++) {
        dims[i] = node->attr.dims[i];
    }
    put_list(line, "dims", dims, node->shape.rank);
}

static void put_window(Line *line, const Node *node)
{
    put_list(line, "start", node->attr.start, node->shape.rank);
    for (int i = 0; i < node->shape.rank; i++) {
        if (node->attr.step[i] != 1) {
            put_list(line, "step", node->attr.step, node->shape.rank);
            return;
        }
    }
}

static void put_draw(Line *line, const Graph *graph, int index)
{
    if (index >= 0 && index < graph->n_draws) {
        put(line, " draw=%s", graph->draws[index].name);
    } else if (index >= 0) {
        put(line, " draw=%d", index);
    }
}

static const char *entry_name(const Graph *graph, const Node *node)
{
    int index = node->attr.index;
    if (node->op == OP_INPUT) {
        return index < graph->n_inputs ? graph->inputs[index].name : "?";
    }
    return index < graph->n_parameters ? graph->parameters[index].name : "?";
}

static void put_attr(Line *line, const Graph *graph, const Node *node)
{
    switch (node->op) {
    case OP_INPUT:
    case OP_PARAM: put(line, " %s", entry_name(graph, node)); break;
    case OP_CONST: put(line, " %.9g", node->attr.number); break;
    case OP_IOTA:
    case OP_CONCAT:
    case OP_ARGMAX: put(line, " axis=%d", node->attr.axis); break;
    case OP_SUM:
    case OP_REDUCE_MAX: put_axes(line, node->attr.axes); break;
    case OP_PERMUTE: put_dims(line, node); break;
    case OP_SLICE:
    case OP_PAD: put_window(line, node); break;
    case OP_ROLL: put_list(line, "shift", node->attr.start, node->shape.rank); break;
    case OP_LAYER_NORM: put(line, " epsilon=%.9g", node->attr.number); break;
    case OP_ATTENTION:
    case OP_ATTENTION_GRAD:
        put(line, " scale=%.9g", node->attr.number);
        put_draw(line, graph, node->attr.index);
        if (node->op == OP_ATTENTION_GRAD && node->attr.axes != 0) {
            put(line, " biases");
            put_axes(line, node->attr.axes);
        }
        break;
    case OP_RESULT: put(line, " index=%d", node->attr.index); break;
    case OP_KEEP:
    case OP_SAMPLE: put_draw(line, graph, node->attr.index); break;
    default: break;
    }
}

static void put_place(Line *line, const Node *node)
{
    bool has_path = node->path != NULL && node->path[0] != '\0';
    if (has_path || node->name != NULL) {
        put(line, "  # %s%s%s", has_path ? node->path : "", has_path && node->name != NULL ? " " : "",
            node->name != NULL ? node->name : "");
    }
}

const char *graph_print_node(Arena *arena, const Graph *graph, NodeId id)
{
    const Node *node = &graph->nodes[id];
    Line line = {.length = 0};
    put(&line, "%%%d = %s", id, op_info(node->op)->name);
    for (int i = 0; i < node->n_inputs; i++) {
        put(&line, " %%%d", node->inputs[i]);
    }
    put_attr(&line, graph, node);
    put(&line, " : %s%s", dtype_name(node->dtype), shape_text(arena, &node->shape));
    put_place(&line, node);
    return arena_copy(arena, line.text, line.length);
}

const char *output_kind_name(OutputKind kind)
{
    switch (kind) {
    case OUTPUT_VALUE: return "value";
    case OUTPUT_LOSS: return "loss";
    case OUTPUT_METRIC: return "metric";
    case OUTPUT_TRACE: return "trace";
    case OUTPUT_GRADIENT: return "gradient";
    }
    XV_BUG("no output kind %d", (int)kind);
}

const char *graph_print(Arena *arena, const Graph *graph)
{
    Out *out = out_new(arena);
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        out_line(out, "%s", graph_print_node(arena, graph, id));
    }
    for (int i = 0; i < graph->n_outputs; i++) {
        const Output *output = &graph->outputs[i];
        out_line(out, "output %s %s %%%d", output_kind_name(output->kind), output->name, output->node);
    }
    return out_text(out);
}
