// What a kernel declares: names of buffers and values, from the DSL, unique and free of reserved words, and the
// coordinates of its rows; see render.h.
#include "codegen/dialect.h"
#include "codegen/render.h"

#include <string.h>

// The last part of a dotted name as an identifier: "attn.qkv.weight" -> "weight".
static const char *short_name(Rendering *rendering, const char *name)
{
    const char *dot = strrchr(name, '.');
    const char *start = dot ? dot + 1 : name;
    char text[64];
    int length = 0;
    for (const char *p = start; *p && length < (int)sizeof text - 1; p++) {
        bool is_word =
            (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '_';
        text[length++] = is_word ? *p : '_';
    }
    text[length] = 0;
    bool is_digit = text[0] >= '0' && text[0] <= '9';
    return render_format(rendering, "%s%s", is_digit || !length ? "x" : "", text);
}

static const char *node_short_name(Rendering *rendering, NodeId id)
{
    const Graph *graph = rendering->graph;
    const Node *node = &graph->nodes[id];
    if (node->op == OP_PARAM) {
        return short_name(rendering, graph->parameters[node->attr.index].name);
    }
    if (node->op == OP_INPUT) {
        return short_name(rendering, graph->inputs[node->attr.index].name);
    }
    return short_name(rendering, node->name ? node->name : op_info(node->op)->name);
}

static bool is_reserved(const Dialect *dialect, const char *name)
{
    static const char *const words[] = {
        "c",        "row",    "float",  "long",  "int",    "double",  "auto",     "return",   "if",
        "else",     "for",    "while",  "do",    "const",  "static",  "register", "volatile", "signed",
        "unsigned", "char",   "short",  "void",  "switch", "case",    "default",  "break",    "continue",
        "goto",     "sizeof", "struct", "union", "enum",   "typedef", "extern",   "inline",   "restrict",
        "exp",      "log",    "sqrt",   "max",   "min",    "abs",     "chunk",    "scratch"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(name, words[i]) == 0) {
            return true;
        }
    }
    for (const char *const *word = dialect->reserved; word && *word; word++) {
        if (strcmp(name, *word) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_name_taken(const Rendering *rendering, const char *name, int buffers, int ids)
{
    for (int i = 0; i < buffers; i++) {
        if (strcmp(rendering->buffer_names[i], name) == 0) {
            return true;
        }
    }
    for (int i = 0; i < ids; i++) {
        if (rendering->id_names[i] && strcmp(rendering->id_names[i], name) == 0) {
            return true;
        }
    }
    return is_reserved(rendering->dialect, name);
}

static const char *unique_name(Rendering *rendering, const char *base, int buffers, int ids)
{
    const char *name = base;
    for (int i = 2; is_name_taken(rendering, name, buffers, ids); i++) {
        name = render_format(rendering, "%s_%d", base, i);
    }
    return name;
}

static void name_ids(Rendering *rendering)
{
    const Kernel *kernel = rendering->kernel;
    for (int s = 0; s < kernel->n_stages; s++) {
        for (int i = 0; i < kernel->stages[s].n_statements; i++) {
            const Statement *statement = &kernel->stages[s].statements[i];
            bool is_named = statement->kind == STATEMENT_LET || statement->kind == STATEMENT_ACCUMULATE ||
                            statement->kind == STATEMENT_LANE_ACCUMULATE;
            if (!is_named) {
                continue;
            }
            bool is_sum = statement->kind != STATEMENT_LET;
            const char *base =
                is_sum ? op_info(statement->op)->name : node_short_name(rendering, statement->node);
            rendering->id_names[statement->id] =
                unique_name(rendering, base, kernel->n_buffers, kernel->n_ids);
            bool is_array = statement->kind == STATEMENT_LANE_ACCUMULATE ||
                            (statement->kind == STATEMENT_LET && statement->is_buffered);
            rendering->is_array_id[statement->id] = is_array;
            bool in_lanes = kernel->stages[s].kind == STAGE_LANES && statement->kind == STATEMENT_LET;
            rendering->is_lane_id[statement->id] = is_array || in_lanes;
        }
    }
}

void render_names(Rendering *rendering)
{
    const Kernel *kernel = rendering->kernel;
    size_t ids = (size_t)kernel->n_ids + 1;
    rendering->buffer_names = arena_alloc(rendering->arena, ((size_t)kernel->n_buffers + 1) * sizeof(char *));
    rendering->id_names = arena_alloc(rendering->arena, ids * sizeof(char *));
    rendering->is_lane_id = arena_alloc(rendering->arena, ids);
    rendering->is_array_id = arena_alloc(rendering->arena, ids);
    memset(rendering->id_names, 0, ids * sizeof(char *));
    memset(rendering->is_lane_id, 0, ids);
    memset(rendering->is_array_id, 0, ids);
    for (int i = 0; i < kernel->n_buffers; i++) {
        const char *base = node_short_name(rendering, kernel->buffers[i].node);
        rendering->buffer_names[i] = unique_name(rendering, base, i, 0);
    }
    name_ids(rendering);
}

void render_row_coordinates(Rendering *rendering)
{
    const Kernel *kernel = rendering->kernel;
    if (kernel->n_row_dims == 1) {
        return;
    }
    int64_t stride = 1;
    for (int i = kernel->n_row_dims - 1; i >= 0; i--) {
        const char *divided = stride == 1 ? "row" : render_format(rendering, "row / %lld", (long long)stride);
        if (rendering->row_used[i]) {
            if (i == 0) {
                out_line(rendering->out, "const %s i%d = %s;", rendering->index_type, i, divided);
            } else {
                out_line(rendering->out, "const %s i%d = %s %% %lld;", rendering->index_type, i, divided,
                         (long long)kernel->row_dims[i]);
            }
        }
        stride *= kernel->row_dims[i];
    }
}
