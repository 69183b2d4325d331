// Attention, backward; see attention.h. For one pair, P being the probabilities, K the keep values, dO d_out:
//
//   dV = (K P)^T dO         dP = K (dO V^T)         dS = P (dP - rowsum(P dP))
//   dQ = scale dS K         dK = scale dS^T Q
//
// and d_bias is dS summed over whatever shares the bias. Pairs are grouped into items, each a head and a
// range of the batch; an item adds up the dS of its pairs in order, and the items are then added in order.
// The ranges are a function of the shapes alone.
#include "runtime/device/attention.h"

#include "runtime/device/attention_head.h"
#include "runtime/device/scratch.h"

enum {
    BLOCK_SCORES = 16384,    // scores held at once; there are two such blocks
    BIAS_ITEMS = 64,         // items wanted when a bias gradient is summed over the batch
    SMALL_PRODUCTS = 20000,  // below this, starting threads costs more than it saves
};

typedef struct HeadGrad {
    Head head;
    const XvAttentionGrad *grad;
    int64_t dim_lanes, value_lanes;
    float *key_rows;    // [n_key][dim_lanes]
    float *query_rows;  // [n_query][dim_lanes], times scale
    float *values;      // transposed: [value_dim][key_lanes]
    float *out_rows;    // d_out: [n_query][value_lanes]
    float *d_scores;    // [block rows][key_lanes]: dP, then dS
    // Where gradients are not of floats: those of a pair, [n_query] and [n_key] rows of head_dim and value_dim.
    float *dq, *dk, *dv;  // else NULL
} HeadGrad;

static int64_t result_floats(const XvAttention *attention)
{
    int64_t floats = (attention->n_query + attention->n_key) * attention->head_dim +
                     attention->n_key * attention->value_dim;
    return attention->type == XV_F32 ? 0 : floats;
}

static int64_t grad_floats(const HeadGrad *work)
{
    const XvAttention *attention = work->head.attention;
    return xv_head_floats(&work->head) + (attention->n_key + attention->n_query) * work->dim_lanes +
           attention->value_dim * work->head.key_lanes + attention->n_query * work->value_lanes +
           xv_head_block_rows(&work->head) * work->head.key_lanes + result_floats(attention);
}

static HeadGrad grad_init(const XvAttentionGrad *grad)
{
    HeadGrad work = {.grad = grad,
                     .dim_lanes = whole_vectors(grad->forward->head_dim),
                     .value_lanes = whole_vectors(grad->forward->value_dim)};
    xv_head_init(&work.head, grad->forward, BLOCK_SCORES);
    return work;
}

static void grad_place(HeadGrad *work, float *memory)
{
    const XvAttention *attention = work->head.attention;
    xv_head_place(&work->head, memory);
    work->key_rows = memory + xv_head_floats(&work->head);
    work->query_rows = work->key_rows + attention->n_key * work->dim_lanes;
    work->values = work->query_rows + attention->n_query * work->dim_lanes;
    work->out_rows = work->values + attention->value_dim * work->head.key_lanes;
    work->d_scores = work->out_rows + attention->n_query * work->value_lanes;
    if (attention->type != XV_F32) {
        work->dq = work->d_scores + xv_head_block_rows(&work->head) * work->head.key_lanes;
        work->dk = work->dq + attention->n_query * attention->head_dim;
        work->dv = work->dk + attention->n_key * attention->head_dim;
    }
}

// What is read of one pair.
typedef struct PairRows {
    Rows q, k, v, d_out;
} PairRows;

static PairRows pair_rows(const HeadGrad *work, int64_t b, int64_t h)
{
    const XvAttention *attention = work->head.attention;
    return (PairRows){
        .q = rows_of(attention, &attention->q, b, h, (Extent){attention->n_query, attention->head_dim}),
        .k = rows_of(attention, &attention->k, b, h, (Extent){attention->n_key, attention->head_dim}),
        .v = rows_of(attention, &attention->v, b, h, (Extent){attention->n_key, attention->value_dim}),
        .d_out =
            rows_of(attention, &work->grad->d_out, b, h, (Extent){attention->n_query, attention->value_dim}),
    };
}

static void grad_load(HeadGrad *work, int64_t b, int64_t h)
{
    const XvAttention *attention = work->head.attention;
    xv_head_load(&work->head, b, h);
    PairRows rows = pair_rows(work, b, h);
    Rows q = xv_head_rows(&work->head, &rows.q);
    xv_head_copy(work->query_rows, work->dim_lanes, &q, attention->scale);
    Rows k = xv_head_rows(&work->head, &rows.k);
    xv_head_copy(work->key_rows, work->dim_lanes, &k, 1.0f);
    Rows v = xv_head_rows(&work->head, &rows.v);
    xv_head_transpose(work->values, work->head.key_lanes, &v);
    Rows d_out = xv_head_rows(&work->head, &rows.d_out);
    xv_head_copy(work->out_rows, work->value_lanes, &d_out, 1.0f);
}

// sum over a row of p d, d having been multiplied by `keep` (which may be NULL) and lessened by `less`.
static float weighted_sum(const float *p, float *d, const float *keep, XvVec less, int64_t lanes)
{
    XvVec sum = {0};
    for (int64_t j = 0; j < lanes; j += XV_LANES) {
        XvVec d_p = xv_vec_load(d + j);
        d_p = (keep == NULL ? d_p : d_p * xv_vec_load(keep + j)) - less;
        xv_vec_store(d + j, d_p);
        sum = xv_vec_fma(xv_vec_load(p + j), d_p, sum);
    }
    return xv_vec_sum(sum);
}

// In place, for one row: p becomes K P, d (dO V^T) becomes dS. `keep` may be NULL. Padding of p is zero.
//
// The mean is taken off in two steps. Where the tokens are nearly alike, dP hardly differs from its mean and dQ = dS K
// lives on differences of keys: what the first step's rounding leaves in the sum of dS (it should be zero) times the
// common part of the keys would be thousands of times the rounding error of the rest.
static void score_gradient(float *p, float *d, const float *keep, int64_t lanes)
{
    float mean = weighted_sum(p, d, keep, (XvVec){0}, lanes);
    XvVec rest = xv_vec_all(weighted_sum(p, d, NULL, xv_vec_all(mean), lanes));
    for (int64_t j = 0; j < lanes; j += XV_LANES) {
        XvVec probability = xv_vec_load(p + j);
        xv_vec_store(d + j, probability * (xv_vec_load(d + j) - rest));
        if (keep != NULL) {
            xv_vec_store(p + j, probability * xv_vec_load(keep + j));
        }
    }
}

// scores = K P and d_scores = dS of a block of rows.
static void block_gradient(const HeadGrad *work, int64_t first, int64_t rows)
{
    const Head *head = &work->head;
    const XvAttention *attention = head->attention;
    int64_t lanes = head->key_lanes;
    xv_head_softmax(head, first, rows, NULL);
    if (head->keep != NULL) {
        xv_head_keep(head, first, rows);
    }
    Product product = {.a = work->out_rows + first * work->value_lanes,
                       .a_row = work->value_lanes,
                       .a_step = 1,
                       .b = work->values,
                       .b_step = lanes,
                       .c = work->d_scores,
                       .c_row = lanes,
                       .n_rows = rows,
                       .cols = lanes,
                       .depth = attention->value_dim,
                       .alpha = 1.0f};
    xv_head_multiply(&product);
    for (int64_t r = 0; r < rows; r++) {
        const float *keep = head->keep == NULL ? NULL : head->keep + r * attention->n_key;
        score_gradient(head->scores + r * lanes, work->d_scores + r * lanes, keep, lanes);
    }
}

// Where products leave the rows of the current pair in a view, and how far they are apart: in `results`, dense, unless
// that is NULL.
typedef struct Target {
    float *at;
    int64_t row;
} Target;

static Target target_of(const Head *head, const XvHeadsOut *view, float *results, int64_t dim)
{
    if (results != NULL) {
        return (Target){results, dim};
    }
    return (Target){(float *)view->at + head->b * view->batch + head->h * view->head, view->row};
}

static void block_products(const HeadGrad *work, int64_t first, int64_t rows)
{
    const Head *head = &work->head;
    const XvAttention *attention = head->attention;
    Target dq = target_of(head, &work->grad->dq, work->dq, attention->head_dim);
    Target dk = target_of(head, &work->grad->dk, work->dk, attention->head_dim);
    Target dv = target_of(head, &work->grad->dv, work->dv, attention->value_dim);
    int64_t lanes = head->key_lanes;
    Product to_values = {.a = head->scores,
                         .a_row = 1,
                         .a_step = lanes,
                         .b = work->out_rows + first * work->value_lanes,
                         .b_step = work->value_lanes,
                         .c = dv.at,
                         .c_row = dv.row,
                         .n_rows = attention->n_key,
                         .cols = attention->value_dim,
                         .depth = rows,
                         .alpha = 1.0f,
                         .accumulate = first > 0};
    xv_head_multiply(&to_values);
    Product to_queries = {.a = work->d_scores,
                          .a_row = lanes,
                          .a_step = 1,
                          .b = work->key_rows,
                          .b_step = work->dim_lanes,
                          .c_row = dq.row,
                          .n_rows = rows,
                          .cols = attention->head_dim,
                          .c = dq.at + first * dq.row,
                          .depth = attention->n_key,
                          .alpha = attention->scale};
    xv_head_multiply(&to_queries);
    Product to_keys = {.a = work->d_scores,
                       .a_row = 1,
                       .a_step = lanes,
                       .b = work->query_rows + first * work->dim_lanes,
                       .b_step = work->dim_lanes,
                       .c = dk.at,
                       .c_row = dk.row,
                       .n_rows = attention->n_key,
                       .cols = attention->head_dim,
                       .depth = rows,
                       .alpha = 1.0f,
                       .accumulate = first > 0};
    xv_head_multiply(&to_keys);
}

static void store_pair(const HeadGrad *work)
{
    const XvAttention *a = work->head.attention;
    const XvAttentionGrad *grad = work->grad;
    xv_head_store(&work->head, &grad->dq, &(Results){work->dq, a->head_dim, 0, a->n_query, a->head_dim});
    xv_head_store(&work->head, &grad->dk, &(Results){work->dk, a->head_dim, 0, a->n_key, a->head_dim});
    xv_head_store(&work->head, &grad->dv, &(Results){work->dv, a->value_dim, 0, a->n_key, a->value_dim});
}

// Gradients of the current pair; its dS is added to sum [n_query][n_key] unless that is NULL.
static void pair_gradient(const HeadGrad *work, float *sum)
{
    const Head *head = &work->head;
    const XvAttention *attention = head->attention;
    for (int64_t s = 0; s < head->query_strips; s += head->block_strips) {
        int64_t end =
            s + head->block_strips < head->query_strips ? s + head->block_strips : head->query_strips;
        int64_t first = strip_row(s, attention->n_query, head->query_strips);
        int64_t rows = strip_row(end, attention->n_query, head->query_strips) - first;
        block_gradient(work, first, rows);
        block_products(work, first, rows);
        for (int64_t r = 0; sum != NULL && r < rows; r++) {
            float *to = sum + (first + r) * attention->n_key;
            const float *from = work->d_scores + r * head->key_lanes;
#pragma omp simd
            for (int64_t j = 0; j < attention->n_key; j++) {
                to[j] += from[j];
            }
        }
    }
    if (work->dq != NULL) {
        store_pair(work);
    }
}

// The pairs of an item: head i % heads, batch entries [i / heads * range, + range).
typedef struct Items {
    int64_t count, range;
    int64_t square;  // n_query * n_key
    float *sums;     // [count][n_query][n_key], or NULL
} Items;

static Items make_items(const XvAttentionGrad *grad)
{
    const XvAttention *attention = grad->forward;
    Items items = {.range = 1, .square = attention->n_query * attention->n_key};
    bool has_bias = false, is_shared = true;  // shared: no wanted bias differs within the batch
    for (int i = 0; i < attention->n_biases; i++) {
        has_bias |= grad->d_bias[i] != NULL;
        is_shared &=
            grad->d_bias[i] == NULL || attention->bias[i].batch == 0 || attention->bias[i].modulus == 1;
    }
    if (has_bias && is_shared) {
        int64_t ranges = (BIAS_ITEMS + attention->heads - 1) / attention->heads;
        items.range = (attention->batch + ranges - 1) / ranges;
    }
    items.count = (attention->batch + items.range - 1) / items.range * attention->heads;
    if (has_bias) {
        items.sums = xv_scratch(items.count * items.square);
    }
    return items;
}

static void prefetch_pair(const HeadGrad *work, int64_t b, int64_t h)
{
    PairRows rows = pair_rows(work, b, h);
    xv_head_prefetch(&rows.q);
    xv_head_prefetch(&rows.k);
    xv_head_prefetch(&rows.v);
    xv_head_prefetch(&rows.d_out);
}

static void run_item(HeadGrad *work, const Items *items, int64_t item)
{
    const XvAttention *attention = work->head.attention;
    int64_t first = item / attention->heads * items->range, end = first + items->range;
    float *sum = items->sums == NULL ? NULL : items->sums + item * items->square;
    if (sum != NULL) {
        memset(sum, 0, (size_t)items->square * sizeof *sum);
    }
    end = end < attention->batch ? end : attention->batch;
    for (int64_t b = first; b < end; b++) {
        grad_load(work, b, item % attention->heads);
        if (b + 1 < end) {
            prefetch_pair(work, b + 1, item % attention->heads);
        } else if (item + 1 < items->count) {
            prefetch_pair(work, (item + 1) / attention->heads * items->range, (item + 1) % attention->heads);
        }
        pair_gradient(work, sum);
    }
}

// A bias gradient: the bias with the strides of a dense array.
typedef struct BiasGrad {
    float *at;
    int64_t entries, owners;          // distinct batch entries and heads
    int64_t batch, head, query, key;  // strides
} BiasGrad;

static BiasGrad bias_grad(const XvAttentionGrad *grad, int which)
{
    const XvAttention *attention = grad->forward;
    const XvAttentionBias *bias = &attention->bias[which];
    BiasGrad to = {.at = grad->d_bias[which],
                   .entries = bias->batch == 0 ? 1 : bias->modulus,
                   .owners = bias->head == 0 ? 1 : attention->heads};
    int64_t keys = bias->key == 0 ? 1 : attention->n_key, queries = bias->query == 0 ? 1 : attention->n_query;
    to.key = bias->key == 0 ? 0 : 1;
    to.query = bias->query == 0 ? 0 : keys;
    to.head = bias->head == 0 ? 0 : queries * keys;
    to.batch = bias->batch == 0 ? 0 : to.owners * queries * keys;
    memset(to.at, 0, (size_t)(to.entries * to.owners * queries * keys) * sizeof *to.at);
    return to;
}

// Adds the sums of all items of head h, in order.
static void reduce_head(const BiasGrad *to, const XvAttentionGrad *grad, const Items *items, int which,
                        int64_t h)
{
    const XvAttention *attention = grad->forward;
    const XvAttentionBias *bias = &attention->bias[which];
    for (int64_t item = h; item < items->count; item += attention->heads) {
        int64_t b = item / attention->heads * items->range;
        float *at = to->at + b / bias->divisor % bias->modulus * to->batch + h * to->head;
        const float *sum = items->sums + item * items->square;
        for (int64_t i = 0; i < attention->n_query; i++) {
            for (int64_t j = 0; j < attention->n_key; j++) {
                at[i * to->query + j * to->key] += sum[i * attention->n_key + j];
            }
        }
    }
}

static void reduce_bias(const XvAttentionGrad *grad, const Items *items, int which)
{
    const BiasGrad to = bias_grad(grad, which);
    int64_t heads = grad->forward->heads;
#pragma omp parallel for schedule(static) if (to.owners > 1)
    for (int64_t h = 0; h < heads; h++) {
        reduce_head(&to, grad, items, which, h);
    }
}

void xv_attention_grad(const XvAttentionGrad *grad)
{
    const XvAttention *attention = grad->forward;
    Items items = make_items(grad);
    bool is_small = attention->batch * attention->heads * items.square * attention->head_dim < SMALL_PRODUCTS;
#pragma omp parallel if (!is_small)
    {
        HeadGrad work = grad_init(grad);
        float *memory = xv_scratch(grad_floats(&work));
        grad_place(&work, memory);
#pragma omp for schedule(static)
        for (int64_t item = 0; item < items.count; item++) {
            run_item(&work, &items, item);
        }
        xv_scratch_free(memory);
    }
    for (int i = 0; i < attention->n_biases; i++) {
        if (grad->d_bias[i] != NULL) {
            reduce_bias(grad, &items, i);
        }
    }
    if (items.sums != NULL) {
        xv_scratch_free(items.sums);
    }
}
