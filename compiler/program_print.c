// Steps as text; see program_print.h.
#include "compiler/program_print.h"

#include "compiler/kernel_print.h"

// "%12.bf16+64(3:8 8:1)": what is no float is said.
static const char *view_text(Arena *arena, const Program *program, const View *view)
{
    Dtype dtype = program->graph->nodes[view->node].dtype;
    const char *text = arena_format(arena, "%%%d%s%s", view->node, dtype == DTYPE_F32 ? "" : ".",
                                    dtype == DTYPE_F32 ? "" : dtype_name(dtype));
    if (view->offset) {
        text = arena_format(arena, "%s+%lld", text, (long long)view->offset);
    }
    for (int i = 0; i < view->rank; i++) {
        text = arena_format(arena, "%s%s%lld:%lld", text, i ? " " : "(", (long long)view->dim[i],
                            (long long)view->stride[i]);
    }
    return arena_format(arena, "%s%s", text, view->rank ? ")" : "");
}

static void print_call(Out *out, Arena *arena, const Program *program, const Step *step)
{
    const char *text = op_info(program->graph->nodes[step->node].op)->name;
    for (int i = 0; i < step->n_reads; i++) {
        text = arena_format(arena, "%s %s", text, view_text(arena, program, &step->reads[i]));
    }
    text = arena_format(arena, "%s %s", text, step->accumulates ? "+->" : "->");
    for (int i = 0; i < step->n_writes; i++) {
        text = arena_format(arena, "%s %s", text, view_text(arena, program, &step->writes[i]));
    }
    out_line(out, "%s", text);
}

// The ops of a kernel and where they come from, as a remark.
static void print_ops(Out *out, Arena *arena, const Program *program, const Kernel *kernel)
{
    const char *text = "";
    for (int i = 0; i < kernel->n_nodes; i++) {
        text = arena_format(arena, "%s %s", text, op_info(program->graph->nodes[kernel->nodes[i]].op)->name);
    }
    out_line(out, "  #%s", text);
}

const char *program_print(Arena *arena, const Program *program)
{
    Out *out = out_new(arena);
    out_line(out, "program %s, %d steps", program->graph->name, program->n_steps);
    for (int i = 0; i < program->n_steps; i++) {
        const Step *step = &program->steps[i];
        if (step->kind != STEP_KERNEL) {
            print_call(out, arena, program, step);
            continue;
        }
        kernel_print(out, arena, step->kernel);
        print_ops(out, arena, program, step->kernel);
    }
    return out_text(out);
}
