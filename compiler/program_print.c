// One line per step; see program_print.h.
#include "compiler/program_print.h"

#include "compiler/base/out.h"

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

static void print_kernel(Out *out, Arena *arena, const Program *program, const Step *step)
{
    const Kernel *kernel = step->kernel;
    const char *reads = "";
    for (int i = 0; i < kernel->n_buffers; i++) {
        if (kernel->buffers[i].kind == BUFFER_READ) {
            reads = arena_format(arena, "%s %%%d", reads, kernel->buffers[i].node);
        }
    }
    const char *ops = "";
    for (int i = 0; i < kernel->n_nodes; i++) {
        ops = arena_format(arena, "%s %s", ops, op_info(program->graph->nodes[kernel->nodes[i]].op)->name);
    }
    out_line(out, "%%%d = kernel %s, %lld rows of %lld, reads%s:%s", step->node, kernel->name,
             (long long)kernel->row_dims[0], (long long)kernel->lanes, reads, ops);
}

static void print_step(Out *out, Arena *arena, const Program *program, const Step *step)
{
    if (step->kind == STEP_KERNEL) {
        print_kernel(out, arena, program, step);
        return;
    }
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

const char *program_print(Arena *arena, const Program *program)
{
    Out *out = out_new(arena);
    out_line(out, "program %s, %d steps", program->graph->name, program->n_steps);
    for (int i = 0; i < program->n_steps; i++) {
        print_step(out, arena, program, &program->steps[i]);
    }
    return out_text(out);
}
