// Attention as parameter structures and launches of the kernels that the program has for its shapes; see library.h.
#include "runtime/cuda/library.h"

#include "runtime/cuda/library_internal.h"

#include <inttypes.h>

static XvHeadsTask heads_task(const XvAttention *a, const void *at, const int64_t stride[3], int64_t rows,
                              int64_t dim)
{
    int64_t bytes = a->type == XV_F32 ? 4 : 2, all = 0, count = dim;
    const int64_t size[3] = {a->batch, a->heads, rows};
    for (int i = 0; i < 3; i++) {
        count += (size[i] - 1) * stride[i];
        all |= stride[i] * bytes;
    }
    return (XvHeadsTask){.data = xv_result(at, a->type, count),
                         .batch = stride[0],
                         .head = stride[1],
                         .row = stride[2],
                         .is_wide = ((intptr_t)at | all) % 16 == 0};
}

static XvHeadsTask input_heads(const XvHeads *view, const XvAttention *a, int64_t rows, int64_t dim)
{
    return heads_task(a, view->at, (int64_t[]){view->batch, view->head, view->row}, rows, dim);
}

static XvHeadsTask output_heads(const XvHeadsOut *view, const XvAttention *a, int64_t rows, int64_t dim)
{
    return heads_task(a, view->at, (int64_t[]){view->batch, view->head, view->row}, rows, dim);
}

static XvBiasTask bias_task(const XvAttentionBias *bias, const XvAttention *a)
{
    int64_t used = xv_pieces(a->batch, bias->divisor);
    int64_t entries = used < bias->modulus ? used : bias->modulus;
    int64_t count = (entries - 1) * bias->batch + (a->heads - 1) * bias->head +
                    (a->n_query - 1) * bias->query + (a->n_key - 1) * bias->key + 1;
    return (XvBiasTask){.data = xv_span_of(bias->at, count),
                        .batch = bias->batch,
                        .head = bias->head,
                        .query = bias->query,
                        .key = bias->key,
                        .divisor = bias->divisor,
                        .modulus = bias->modulus};
}

static XvAttentionTask attention_task(const XvAttention *a)
{
    XvAttentionTask task = {
        .batch = a->batch,
        .heads = a->heads,
        .scale = a->scale,
        .q = input_heads(&a->q, a, a->n_query, a->head_dim),
        .k = input_heads(&a->k, a, a->n_key, a->head_dim),
        .v = input_heads(&a->v, a, a->n_key, a->value_dim),
        .out = output_heads(&a->out, a, a->n_query, a->value_dim),
        .lse = xv_span_of(a->lse, a->batch * a->heads * a->n_query),
        .keep = xv_span_of(a->keep, 1),
    };
    for (int i = 0; i < a->n_biases; i++) {
        task.bias[i] = bias_task(&a->bias[i], a);
    }
    return task;
}

// The number of the program's kernel for a problem; -1 after a message when it has none.
static int kernel_of(const XvRun *run, const XvAttention *a, bool is_grad, bool has_parts)
{
    const XvCudaProgram *program = run->device->program;
    for (int i = 0; i < program->n_attentions; i++) {
        const XvCudaAttention *k = &program->attentions[i];
        if (k->type == a->type && k->is_tf32 == a->is_tf32 && k->n_query == a->n_query &&
            k->n_key == a->n_key && k->head_dim == a->head_dim && k->value_dim == a->value_dim &&
            k->n_biases == a->n_biases && k->has_keep == (a->keep != NULL) && k->is_grad == is_grad &&
            k->has_parts == has_parts) {
            return XV_N_LIBRARY_KERNELS + k->kernel;
        }
    }
    run->device->has_failed = !xv_fail(&run->device->failure,
                                       "the program has no kernel for attention of %" PRId64 " x %" PRId64
                                       ", heads of %" PRId64 " and %" PRId64 " (at most %d)",
                                       a->n_query, a->n_key, a->head_dim, a->value_dim, XV_ATTENTION_MAX_DIM);
    return -1;
}

typedef struct Tiles {
    int query_rows, key_rows;
} Tiles;

static Tiles tiles_of(const XvAttention *a, bool is_grad)
{
    int limit = xv_attention_limit(a->type == XV_F32 ? 4 : 2, (int)a->head_dim, (int)a->value_dim,
                                   is_grad ? (int)a->n_query : 0);
    return (Tiles){xv_attention_rows((int)a->n_query, limit), xv_attention_rows((int)a->n_key, limit)};
}

void xv_cuda_attention(const XvRun *run, const XvAttention *attention)
{
    const XvAttention *a = attention;
    int kernel = kernel_of(run, a, false, false);
    if (kernel >= 0) {
        XvAttentionTask task = attention_task(a);
        int rows = tiles_of(a, false).query_rows;
        xv_launch_library(run, kernel, a->batch * a->heads * xv_pieces(a->n_query, rows), 2 * rows,
                          (void *[]){&task});
    }
}

static XvBiasGradTask bias_gradient(const XvAttentionGrad *grad, int which)
{
    const XvAttention *a = grad->forward;
    const XvAttentionBias *bias = &a->bias[which];
    XvBiasGradTask task = {.entries = bias->batch ? bias->modulus : 1,
                           .heads = bias->head ? a->heads : 1,
                           .queries = bias->query ? a->n_query : 1,
                           .keys = bias->key ? a->n_key : 1,
                           .divisor = bias->divisor,
                           .modulus = bias->modulus};
    int64_t count = task.entries * task.heads * task.queries * task.keys;
    task.d = xv_span_of(grad->d_bias[which], count);
    task.blocks = grad->d_bias[which] ? xv_pieces(count, XV_ATTENTION_BIAS_THREADS) : 0;
    return task;
}

static void add_parts(const XvRun *run, const XvAttentionGrad *grad, XvSpan parts)
{
    const XvAttention *a = grad->forward;
    XvAttentionBiasTask task = {.parts = parts,
                                .chunks = grad->n_chunks,
                                .heads = a->heads,
                                .n_query = a->n_query,
                                .n_key = a->n_key};
    int64_t blocks = 0;
    for (int i = 0; i < a->n_biases; i++) {
        task.bias[i] = bias_gradient(grad, i);
        blocks += task.bias[i].blocks;
    }
    if (blocks == 0) {
        return;  // the caller adds them up
    }
    xv_launch_library(run, XV_KERNEL_ATTENTION_BIAS, blocks, XV_ATTENTION_BIAS_THREADS, (void *[]){&task});
}

void xv_cuda_attention_grad(const XvRun *run, const XvAttentionGrad *grad)
{
    const XvAttention *a = grad->forward;
    bool has_parts = grad->parts != NULL;
    int kernel = kernel_of(run, a, true, has_parts);
    if (kernel < 0) {
        return;
    }
    XvAttentionTask task = attention_task(a);
    int64_t chunks = has_parts ? grad->n_chunks : a->batch;
    task.d_out = input_heads(&grad->d_out, a, a->n_query, a->value_dim);
    task.dq = output_heads(&grad->dq, a, a->n_query, a->head_dim);
    task.dk = output_heads(&grad->dk, a, a->n_key, a->head_dim);
    task.dv = output_heads(&grad->dv, a, a->n_key, a->value_dim);
    task.parts = xv_span_of(grad->parts, chunks * a->heads * a->n_query * a->n_key);
    task.per_chunk = xv_pieces(a->batch, chunks);
    Tiles tiles = tiles_of(a, true);
    int rows = tiles.query_rows > tiles.key_rows ? tiles.query_rows : tiles.key_rows;
    xv_launch_library(run, kernel, chunks * a->heads, 2 * rows, (void *[]){&task});
    if (has_parts) {
        add_parts(run, grad, task.parts);
    }
}
