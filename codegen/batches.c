// Steps that are launched together; see batches.h.
#include "codegen/batches.h"

#include "codegen/names.h"

enum { MAX_TABLES = 16 };  // XV_SCATTER_MAX of runtime/cuda/tasks.h

static bool is_table(const Step *step)
{
    return step->kind == STEP_SCATTER_ADD && !step->accumulates;
}

static bool touches(const Program *program, const Step *step, NodeId storage)
{
    for (int i = 0; i < step->n_reads + step->n_writes; i++) {
        const View *view = i < step->n_reads ? &step->reads[i] : &step->writes[i - step->n_reads];
        if (storage_root(program, view->node) == storage) {
            return true;
        }
    }
    return false;
}

int batch_of_steps(const Program *program, int first)
{
    int n = 1;
    while (is_table(&program->steps[first]) && n < MAX_TABLES && first + n < program->n_steps) {
        const Step *next = &program->steps[first + n];
        bool is_good = is_table(next);
        for (int i = first; i < first + n && is_good; i++) {
            const Step *step = &program->steps[i];
            is_good = !touches(program, next, storage_root(program, step->writes[0].node)) &&
                      !touches(program, step, storage_root(program, next->writes[0].node));
        }
        if (!is_good) {
            break;
        }
        n++;
    }
    return n;
}
