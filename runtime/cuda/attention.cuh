// Attention for short sequences: a warp owns a row, keys and values pass through shared memory 32 at a time, softmax is
// computed on the fly, probabilities never reach memory. The backward pass computes them again from lse:
//
//   P = exp(scale Q K^T + bias - lse)    delta = rowsum(dO * O)    dS = P (keep * (dO V^T) - delta)
//   dQ = scale dS K     dK = scale dS^T Q     dV = (keep P)^T dO     d_bias = dS summed over what shares an element
//
// Every sum has a fixed order and a single writer.

constexpr int XV_ATTENTION_TILE = 32;
constexpr int XV_ATTENTION_PITCH = XV_ATTENTION_MAX_DIM + 1;  // odd: lanes that read a column meet different banks
constexpr int XV_ATTENTION_PARTS = XV_ATTENTION_MAX_DIM / 32;  // dimensions of a lane

XV_FN int64_t xv_heads_at(const XvHeadsTask &view, int64_t b, int64_t h, int64_t row)
{
    return b * view.batch + h * view.head + row * view.row;
}

// Rows first..first+31 of a view into tile[row][d], zero beyond `count`.
XV_FN void xv_attention_load(XV_SHARED_REF(float) tile, const XvHeadsTask &view, int64_t b, int64_t h, int64_t first,
                             int64_t count, int dim)
{
    for (int e = (int)threadIdx.x; e < XV_ATTENTION_TILE * dim; e += XV_ATTENTION_THREADS) {
        int row = e / dim, d = e % dim;
        const bool is_inside = first + row < count;
        tile[row * XV_ATTENTION_PITCH + d] = is_inside ? view.data[xv_heads_at(view, b, h, first + row) + d] : 0.0f;
    }
}

// The warp's own row times `factor` into row[warp][d].
XV_FN void xv_attention_own(XV_SHARED_REF(float) rows, const XvHeadsTask &view, int64_t at, bool is_row, int dim,
                            float factor)
{
    int warp = (int)threadIdx.x / 32;
    for (int d = (int)threadIdx.x % 32; d < dim; d += 32) {
        rows[warp * XV_ATTENTION_PITCH + d] = is_row ? view.data[at + d] * factor : 0.0f;
    }
}

XV_FN float xv_attention_dot(XV_SHARED_REF(float) a, int a_row, XV_SHARED_REF(float) b, int b_row, int dim)
{
    float sum = 0;
    for (int d = 0; d < dim; d++) {
        sum = xv_fma(a[a_row * XV_ATTENTION_PITCH + d], b[b_row * XV_ATTENTION_PITCH + d], sum);
    }
    return sum;
}

XV_FN float xv_attention_biases(const XvAttentionTask &task, int64_t b, int64_t h, int64_t i, int64_t j)
{
    float sum = 0;
    for (int n = 0; n < task.n_biases; n++) {
        const XvBiasTask &bias = task.bias[n];
        sum += bias.data[b / bias.divisor % bias.modulus * bias.batch + h * bias.head + i * bias.query + j * bias.key];
    }
    return sum;
}

XV_FN float xv_attention_keep(const XvAttentionTask &task, int64_t b, int64_t h, int64_t i, int64_t j)
{
    uint64_t index = (uint64_t)(((b * task.heads + h) * task.n_query + i) * task.n_key + j);
    return task.keep ? xv_keep(task.keep[0], index) : 1.0f;
}

// Which (batch, head) pair and row the calling warp of the block owns, of `count` rows a pair.
struct XvAttentionRow {
    int64_t b, h, row;
    bool is_inside;
};

XV_FN XvAttentionRow xv_attention_row(const XvAttentionTask &task, int64_t block, int64_t count)
{
    int64_t tiles = (count + XV_ATTENTION_ROWS - 1) / XV_ATTENTION_ROWS;
    int64_t pair = block / tiles, row = block % tiles * XV_ATTENTION_ROWS + threadIdx.x / 32;
    return XvAttentionRow{pair / task.heads, pair % task.heads, row, row < count};
}

XV_KERNEL(XV_ATTENTION_THREADS) xv_attention_forward(XvAttentionTask task)
{
    XV_SHARED(float, keys, XV_ATTENTION_TILE * XV_ATTENTION_PITCH);
    XV_SHARED(float, values, XV_ATTENTION_TILE * XV_ATTENTION_PITCH);
    XV_SHARED(float, queries, XV_ATTENTION_ROWS * XV_ATTENTION_PITCH);
    XV_SHARED(float, weights, XV_ATTENTION_ROWS * XV_ATTENTION_TILE);
    const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
    const int head_dim = (int)task.head_dim, value_dim = (int)task.value_dim;
    const XvAttentionRow at = xv_attention_row(task, blockIdx.x, task.n_query);
    xv_attention_own(queries, task.q, xv_heads_at(task.q, at.b, at.h, at.row), at.is_inside, head_dim, task.scale);
    float largest = -INFINITY, total = 0, sum[XV_ATTENTION_PARTS] = {};
    for (int64_t first = 0; first < task.n_key; first += XV_ATTENTION_TILE) {
        xv_attention_load(keys, task.k, at.b, at.h, first, task.n_key, head_dim);
        xv_attention_load(values, task.v, at.b, at.h, first, task.n_key, value_dim);
        xv_sync_block();
        const int64_t j = first + lane;
        const bool is_score = at.is_inside && j < task.n_key;
        float score = -INFINITY;
        if (is_score) {
            score = xv_attention_dot(queries, warp, keys, lane, head_dim)
                + xv_attention_biases(task, at.b, at.h, at.row, j);
        }
        const float larger = xv_max(largest, xv_team_reduce<32, XvMaximum>(score));
        const float shift = larger == -INFINITY ? 0.0f : larger;
        const float weight = xv_exp(score - shift), correction = xv_exp(largest - shift);
        total = total * correction + xv_team_reduce<32, XvSum>(weight);
        weights[warp * XV_ATTENTION_TILE + lane] =
            is_score ? weight * xv_attention_keep(task, at.b, at.h, at.row, j) : 0.0f;
        xv_sync_warp();
#pragma unroll
        for (int u = 0; u < XV_ATTENTION_PARTS; u++) {
            const int d = lane + 32 * u;
            sum[u] *= correction;
            for (int key = 0; d < value_dim && key < XV_ATTENTION_TILE; key++) {
                sum[u] = xv_fma(weights[warp * XV_ATTENTION_TILE + key], values[key * XV_ATTENTION_PITCH + d], sum[u]);
            }
        }
        largest = larger;
        xv_sync_block();
    }
    if (!at.is_inside) {
        return;
    }
#pragma unroll
    for (int u = 0; u < XV_ATTENTION_PARTS; u++) {
        if (lane + 32 * u < value_dim) {
            task.out.data[xv_heads_at(task.out, at.b, at.h, at.row) + lane + 32 * u] = sum[u] / total;
        }
    }
    if (task.lse && lane == 0) {
        task.lse[(at.b * task.heads + at.h) * task.n_query + at.row] = largest + xv_log(total);
    }
}
XV_ENTRY(xv_attention_forward)
