// Attention, forward; see attention.h.
#include "runtime/device/attention.h"

#include "runtime/device/attention_head.h"
#include "runtime/device/scratch.h"

enum {
    BLOCK_SCORES = 4096,  // scores held at once, 16 kB: they share the first-level cache with keys and values
    SMALL_PRODUCTS = 50000,  // below this, starting threads costs more than it saves
};

static void apply_keep(const Head *head, int64_t rows)
{
    for (int64_t r = 0; r < rows; r++) {
        float *p = head->scores + r * head->key_lanes;
        const float *keep = head->keep + r * head->attention->n_key;
        for (int64_t j = 0; j < head->key_lanes; j += XV_LANES) {
            xv_vec_store(p + j, xv_vec_load(p + j) * xv_vec_load(keep + j));
        }
    }
}

static void prefetch_pair(const XvAttention *attention, int64_t pair)
{
    int64_t b = pair / attention->heads, h = pair % attention->heads;
    Rows q = rows_of(attention, &attention->q, b, h, (Extent){attention->n_query, attention->head_dim});
    Rows k = rows_of(attention, &attention->k, b, h, (Extent){attention->n_key, attention->head_dim});
    Rows v = rows_of(attention, &attention->v, b, h, (Extent){attention->n_key, attention->value_dim});
    xv_head_prefetch(&q);
    xv_head_prefetch(&k);
    xv_head_prefetch(&v);
}

// Output of the current pair; `values` is [n_key][value_lanes], `results` [block rows][value_dim] where the output is
// not of floats, else NULL.
static void attend(const Head *head, const float *values, float *results)
{
    const XvAttention *attention = head->attention;
    const XvHeadsOut *out = &attention->out;
    int64_t pair = head->b * attention->heads + head->h;
    for (int64_t s = 0; s < head->query_strips; s += head->block_strips) {
        int64_t end =
            s + head->block_strips < head->query_strips ? s + head->block_strips : head->query_strips;
        int64_t first = strip_row(s, attention->n_query, head->query_strips);
        int64_t rows = strip_row(end, attention->n_query, head->query_strips) - first;
        xv_head_softmax(head, first, rows,
                        attention->lse ? attention->lse + pair * attention->n_query + first : NULL);
        if (head->keep != NULL) {
            xv_head_keep(head, first, rows);
            apply_keep(head, rows);
        }
        float *at = out->at;
        Product product = {.a = head->scores,
                           .a_row = head->key_lanes,
                           .a_step = 1,
                           .b = values,
                           .b_step = whole_vectors(attention->value_dim),
                           .c_row = results ? attention->value_dim : out->row,
                           .n_rows = rows,
                           .c = results ? results
                                        : at + head->b * out->batch + head->h * out->head + first * out->row,
                           .cols = attention->value_dim,
                           .depth = attention->n_key,
                           .alpha = 1.0f};
        xv_head_multiply(&product);
        if (results != NULL) {
            xv_head_store(head, out, &(Results){results, product.c_row, first, rows, attention->value_dim});
        }
    }
}

void xv_attention(const XvAttention *attention)
{
    int64_t value_lanes = whole_vectors(attention->value_dim), pairs = attention->batch * attention->heads;
    bool is_small = pairs * attention->n_query * attention->n_key * attention->head_dim < SMALL_PRODUCTS;
#pragma omp parallel if (!is_small)
    {
        Head head;
        xv_head_init(&head, attention, BLOCK_SCORES);
        int64_t value_floats = attention->n_key * value_lanes;
        int64_t result_floats =
            attention->type == XV_F32 ? 0 : xv_head_block_rows(&head) * attention->value_dim;
        float *memory = xv_scratch(xv_head_floats(&head) + value_floats + result_floats);
        float *values = memory + xv_head_floats(&head);
        float *results = result_floats > 0 ? values + value_floats : NULL;
        xv_head_place(&head, memory);
#pragma omp for schedule(static)
        for (int64_t pair = 0; pair < pairs; pair++) {
            int64_t b = pair / attention->heads, h = pair % attention->heads;
            xv_head_load(&head, b, h);
            Rows v =
                rows_of(attention, &attention->v, b, h, (Extent){attention->n_key, attention->value_dim});
            v = xv_head_rows(&head, &v);
            xv_head_copy(values, value_lanes, &v, 1.0f);
            if (pair + 1 < pairs) {
                prefetch_pair(attention, pair + 1);
            }
            attend(&head, values, results);
        }
        xv_scratch_free(memory);
    }
}
