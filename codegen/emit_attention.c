// Kernels of attention for the target cuda: made by the library's templates for the shapes and types of each call, a
// line of kernels.cu each, with a table by which the runtime finds them.
#include "codegen/cuda_shape.h"
#include "codegen/emit_internal.h"

#include <string.h>

enum { MAX_DIM = 128 };  // XV_ATTENTION_MAX_DIM of runtime/cuda/tasks.h

typedef struct AttentionKernel {
    const char *type, *kind, *label;  // of the runtime, of kernels, in names
    bool is_tf32;
    long long queries, keys, dim, value_dim;
    int biases;
    bool has_keep, is_grad, has_parts;
} AttentionKernel;

static AttentionKernel kernel_of(const Program *program, const Step *step)
{
    const Node *node = &program->graph->nodes[step->node];
    Dtype dtype = program->graph->nodes[step->reads[0].node].dtype;
    bool is_grad = step->kind == STEP_ATTENTION_GRAD, is_tf32 = node->attr.is_tf32;
    bool is_bf16 = dtype == DTYPE_BF16, is_f16 = dtype == DTYPE_F16;
    return (AttentionKernel){.type = is_bf16  ? "XV_BF16"
                                     : is_f16 ? "XV_F16"
                                              : "XV_F32",
                             .kind = is_bf16   ? "XvBf16"
                                     : is_f16  ? "XvF16"
                                     : is_tf32 ? "XvTf32"
                                               : "XvExact",
                             .label = is_bf16   ? "bf16"
                                      : is_f16  ? "f16"
                                      : is_tf32 ? "tf32"
                                                : "f32",
                             .is_tf32 = is_tf32,
                             .queries = (long long)step->reads[0].dim[2],
                             .keys = (long long)step->reads[1].dim[2],
                             .dim = (long long)step->reads[0].dim[3],
                             .value_dim = (long long)step->reads[2].dim[3],
                             .biases = step->n_reads - (is_grad ? 6 : 3),
                             .has_keep = node->attr.index >= 0,
                             .is_grad = is_grad,
                             .has_parts = is_grad && node->attr.axes != 0};
}

static const char *name_of(Arena *arena, const AttentionKernel *k)
{
    const char *values = k->value_dim == k->dim ? "" : arena_format(arena, "_%lld", k->value_dim);
    const char *biases = k->biases ? arena_format(arena, "_b%d", k->biases) : "";
    return arena_format(arena, "xv_attention%s_%s_%lldx%lld_%lld%s%s%s%s", k->is_grad ? "_grad" : "",
                        k->label, k->queries, k->keys, k->dim, values, biases, k->has_keep ? "_keep" : "",
                        k->has_parts ? "_parts" : "");
}

void emit_cuda_attention(Emission *emission, const Program *program, const Step *step)
{
    AttentionKernel k = kernel_of(program, step);
    const char *name = name_of(emission->arena, &k);
    if (is_kernel_emitted(emission, name) || k.dim > MAX_DIM || k.value_dim > MAX_DIM) {
        return;
    }
    remember_kernel(emission, name, name);
    Out *out = emission->kernel_sources;
    const char *keep = k.has_keep ? "true" : "false", *parts = k.has_parts ? "true" : "false";
    out_line(out, "XV_ATTENTION%s(%s, %s, %lld, %lld, %lld, %lld, %d, %s%s%s)", k.is_grad ? "_GRAD" : "",
             name, k.kind, k.queries, k.keys, k.dim, k.value_dim, k.biases, keep, k.is_grad ? ", " : "",
             k.is_grad ? parts : "");
    out_line(out, "XV_ENTRY(%s)", name);
    out_line(out, "");
    out_line(emission->attentions, "    {%s, %s, %lld, %lld, %lld, %lld, %d, %s, %s, %s, %d},", k.type,
             k.is_tf32 ? "true" : "false", k.queries, k.keys, k.dim, k.value_dim, k.biases, keep,
             k.is_grad ? "true" : "false", parts, emission->n_kernels - 1);
    emission->n_attentions++;
}
