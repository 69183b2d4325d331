// Steps as text; see program_print.h.
#include "compiler/program_print.h"

#include "compiler/kernel_print.h"

static const char *view_text(Arena *arena, const View *view)
{
    const char *text = arena_format(arena, "%%%d", view->node);
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
        text = arena_format(arena, "%s %s", text, view_text(arena, &step->reads[i]));
    }
    text = arena_format(arena, "%s %s", text, step->accumulates ? "+->" : "->");
    for (int i = 0; i < step->n_writes; i++) {
        text = arena_format(arena, "%s %s", text, view_text(arena, &step->writes[i]));
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
