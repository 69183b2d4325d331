// The gradient of attention in one launch; see attention.cuh for the formulas. Its blocks are of three kinds that need
// nothing of each other: the first own queries, the next keys, the last elements of biases.

// A warp owns a query: dQ. Tiles hold 32 rows, own arrays a row for each warp, scores 32 for each warp.
XV_FN void xv_attention_grad_query(const XvAttentionTask &task, int64_t block, XV_SHARED_REF(float) keys,
                                   XV_SHARED_REF(float) values, XV_SHARED_REF(float) queries,
                                   XV_SHARED_REF(float) d_outs, XV_SHARED_REF(float) d_scores)
{
    const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
    const int head_dim = (int)task.head_dim, value_dim = (int)task.value_dim;
    const XvAttentionRow at = xv_attention_row(task, block, task.n_query);
    const int64_t row = (at.b * task.heads + at.h) * task.n_query + at.row;
    const int64_t out_at = xv_heads_at(task.out, at.b, at.h, at.row);
    const int64_t d_out_at = xv_heads_at(task.d_out, at.b, at.h, at.row);
    xv_attention_own(queries, task.q, xv_heads_at(task.q, at.b, at.h, at.row), at.is_inside, head_dim, task.scale);
    xv_attention_own(d_outs, task.d_out, d_out_at, at.is_inside, value_dim, 1.0f);
    float delta = 0;
    for (int d = lane; at.is_inside && d < value_dim; d += 32) {
        delta = xv_fma(task.d_out.data[d_out_at + d], task.out.data[out_at + d], delta);
    }
    delta = xv_team_reduce<32, XvSum>(delta);
    const float lse = at.is_inside ? task.lse[row] : 0.0f;
    float sum[XV_ATTENTION_PARTS] = {};
    for (int64_t first = 0; first < task.n_key; first += XV_ATTENTION_TILE) {
        xv_attention_load(keys, task.k, at.b, at.h, first, task.n_key, head_dim);
        xv_attention_load(values, task.v, at.b, at.h, first, task.n_key, value_dim);
        xv_sync_block();
        const int64_t j = first + lane;
        float d_score = 0;
        if (at.is_inside && j < task.n_key) {
            const float score = xv_attention_dot(queries, warp, keys, lane, head_dim)
                + xv_attention_biases(task, at.b, at.h, at.row, j);
            const float d_p = xv_attention_dot(d_outs, warp, values, lane, value_dim)
                * xv_attention_keep(task, at.b, at.h, at.row, j);
            d_score = xv_exp(score - lse) * (d_p - delta);
        }
        d_scores[warp * XV_ATTENTION_TILE + lane] = d_score;
        xv_sync_warp();
#pragma unroll
        for (int u = 0; u < XV_ATTENTION_PARTS; u++) {
            const int d = lane + 32 * u;
            for (int key = 0; d < head_dim && key < XV_ATTENTION_TILE; key++) {
                sum[u] = xv_fma(d_scores[warp * XV_ATTENTION_TILE + key], keys[key * XV_ATTENTION_PITCH + d], sum[u]);
            }
        }
        xv_sync_block();
    }
    if (!at.is_inside) {
        return;
    }
#pragma unroll
    for (int u = 0; u < XV_ATTENTION_PARTS; u++) {
        if (lane + 32 * u < head_dim) {
            task.dq.data[xv_heads_at(task.dq, at.b, at.h, at.row) + lane + 32 * u] = sum[u] * task.scale;
        }
    }
}

// deltas[0..31] of the queries first..first+31: four neighbouring threads share a row.
XV_FN void xv_attention_deltas(XV_SHARED_REF(float) deltas, const XvAttentionTask &task, const XvAttentionRow &at,
                               int64_t first)
{
    constexpr int team = XV_ATTENTION_THREADS / XV_ATTENTION_TILE;
    const int row = (int)threadIdx.x / team, part = (int)threadIdx.x % team;
    float delta = 0;
    if (first + row < task.n_query) {
        const int64_t out_at = xv_heads_at(task.out, at.b, at.h, first + row);
        const int64_t d_out_at = xv_heads_at(task.d_out, at.b, at.h, first + row);
        for (int d = part; d < (int)task.value_dim; d += team) {
            delta = xv_fma(task.d_out.data[d_out_at + d], task.out.data[out_at + d], delta);
        }
    }
    delta = xv_team_reduce<team, XvSum>(delta);
    if (part == 0) {
        deltas[row] = delta;
    }
}

// A warp owns a key: dK and dV.
XV_FN void xv_attention_grad_key(const XvAttentionTask &task, int64_t block, XV_SHARED_REF(float) queries,
                                 XV_SHARED_REF(float) d_outs, XV_SHARED_REF(float) keys, XV_SHARED_REF(float) values,
                                 XV_SHARED_REF(float) d_scores, XV_SHARED_REF(float) weights,
                                 XV_SHARED_REF(float) deltas)
{
    const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
    const int head_dim = (int)task.head_dim, value_dim = (int)task.value_dim;
    const XvAttentionRow at = xv_attention_row(task, block, task.n_key);
    xv_attention_own(keys, task.k, xv_heads_at(task.k, at.b, at.h, at.row), at.is_inside, head_dim, task.scale);
    xv_attention_own(values, task.v, xv_heads_at(task.v, at.b, at.h, at.row), at.is_inside, value_dim, 1.0f);
    float d_key[XV_ATTENTION_PARTS] = {}, d_value[XV_ATTENTION_PARTS] = {};
    for (int64_t first = 0; first < task.n_query; first += XV_ATTENTION_TILE) {
        xv_attention_load(queries, task.q, at.b, at.h, first, task.n_query, head_dim);
        xv_attention_load(d_outs, task.d_out, at.b, at.h, first, task.n_query, value_dim);
        xv_attention_deltas(deltas, task, at, first);
        xv_sync_block();
        const int64_t i = first + lane, row = (at.b * task.heads + at.h) * task.n_query + i;
        float weight = 0, d_score = 0;
        if (at.is_inside && i < task.n_query) {
            const float score = xv_attention_dot(keys, warp, queries, lane, head_dim)
                + xv_attention_biases(task, at.b, at.h, i, at.row);
            const float p = xv_exp(score - task.lse[row]), keep = xv_attention_keep(task, at.b, at.h, i, at.row);
            weight = p * keep;
            d_score = p * (xv_attention_dot(values, warp, d_outs, lane, value_dim) * keep - deltas[lane]);
        }
        weights[warp * XV_ATTENTION_TILE + lane] = weight;
        d_scores[warp * XV_ATTENTION_TILE + lane] = d_score;
        xv_sync_warp();
#pragma unroll
        for (int u = 0; u < XV_ATTENTION_PARTS; u++) {
            const int d = lane + 32 * u;
            for (int query = 0; d < head_dim && query < XV_ATTENTION_TILE; query++) {
                const float d_score_of = d_scores[warp * XV_ATTENTION_TILE + query];
                d_key[u] = xv_fma(d_score_of, queries[query * XV_ATTENTION_PITCH + d], d_key[u]);
            }
            for (int query = 0; d < value_dim && query < XV_ATTENTION_TILE; query++) {
                const float weight_of = weights[warp * XV_ATTENTION_TILE + query];
                d_value[u] = xv_fma(weight_of, d_outs[query * XV_ATTENTION_PITCH + d], d_value[u]);
            }
        }
        xv_sync_block();
    }
    if (!at.is_inside) {
        return;
    }
#pragma unroll
    for (int u = 0; u < XV_ATTENTION_PARTS; u++) {
        const int d = lane + 32 * u;
        if (d < head_dim) {
            task.dk.data[xv_heads_at(task.dk, at.b, at.h, at.row) + d] = d_key[u] * task.scale;
        }
        if (d < value_dim) {
            task.dv.data[xv_heads_at(task.dv, at.b, at.h, at.row) + d] = d_value[u];
        }
    }
}

// dS of one score, from memory.
XV_FN float xv_attention_d_score(const XvAttentionTask &task, int64_t b, int64_t h, int64_t i, int64_t j)
{
    const int64_t row = (b * task.heads + h) * task.n_query + i;
    const int64_t q = xv_heads_at(task.q, b, h, i), k = xv_heads_at(task.k, b, h, j);
    const int64_t v = xv_heads_at(task.v, b, h, j), d_out = xv_heads_at(task.d_out, b, h, i);
    const int64_t out = xv_heads_at(task.out, b, h, i);
    float score = 0, d_p = 0, delta = 0;
    for (int64_t d = 0; d < task.head_dim; d++) {
        score = xv_fma(task.q.data[q + d] * task.scale, task.k.data[k + d], score);
    }
    for (int64_t d = 0; d < task.value_dim; d++) {
        d_p = xv_fma(task.d_out.data[d_out + d], task.v.data[v + d], d_p);
        delta = xv_fma(task.d_out.data[d_out + d], task.out.data[out + d], delta);
    }
    score += xv_attention_biases(task, b, h, i, j);
    return xv_exp(score - task.lse[row]) * (d_p * xv_attention_keep(task, b, h, i, j) - delta);
}

// A warp owns an element of the bias: its lanes share the scores that the element was added to.
XV_FN void xv_attention_grad_bias(const XvAttentionTask &task, int64_t block, const XvBiasTask &bias,
                                  const XvBiasGradTask &grad)
{
    const int lane = (int)threadIdx.x % 32;
    const int64_t element = block * XV_ATTENTION_ROWS + threadIdx.x / 32;
    if (element >= grad.entries * grad.heads * grad.queries * grad.keys) {
        return;
    }
    const int64_t key = element % grad.keys, query = element / grad.keys % grad.queries;
    const int64_t head = element / grad.keys / grad.queries % grad.heads;
    const int64_t entry = element / grad.keys / grad.queries / grad.heads;
    const int64_t heads = task.heads / grad.heads, queries = task.n_query / grad.queries, keys = task.n_key / grad.keys;
    float sum = 0;
    for (int64_t n = lane; n < task.batch * heads * queries * keys; n += 32) {
        const int64_t b = n / keys / queries / heads;
        if (grad.entries > 1 && b / bias.divisor % bias.modulus != entry) {
            continue;
        }
        const int64_t h = head + n / keys / queries % heads, i = query + n / keys % queries;
        sum += xv_attention_d_score(task, b, h, i, key + n % keys);
    }
    sum = xv_team_reduce<32, XvSum>(sum);
    if (lane == 0) {
        grad.d[element] = sum;
    }
}

XV_KERNEL(XV_ATTENTION_THREADS) xv_attention_grad(XvAttentionTask task, XvAttentionGradTask grad)
{
    XV_SHARED(float, tile, XV_ATTENTION_TILE * XV_ATTENTION_PITCH);
    XV_SHARED(float, other_tile, XV_ATTENTION_TILE * XV_ATTENTION_PITCH);
    XV_SHARED(float, own, XV_ATTENTION_ROWS * XV_ATTENTION_PITCH);
    XV_SHARED(float, other_own, XV_ATTENTION_ROWS * XV_ATTENTION_PITCH);
    XV_SHARED(float, d_scores, XV_ATTENTION_ROWS * XV_ATTENTION_TILE);
    XV_SHARED(float, weights, XV_ATTENTION_ROWS * XV_ATTENTION_TILE);
    XV_SHARED(float, deltas, XV_ATTENTION_TILE);
    int64_t block = blockIdx.x;
    if (block < grad.query_blocks) {
        xv_attention_grad_query(task, block, tile, other_tile, own, other_own, d_scores);
        return;
    }
    block -= grad.query_blocks;
    if (block < grad.key_blocks) {
        xv_attention_grad_key(task, block, tile, other_tile, own, other_own, d_scores, weights, deltas);
        return;
    }
    block -= grad.key_blocks;
    if (block < grad.bias[0].blocks) {
        xv_attention_grad_bias(task, block, task.bias[0], grad.bias[0]);
    } else {
        xv_attention_grad_bias(task, block - grad.bias[0].blocks, task.bias[1], grad.bias[1]);
    }
}
XV_ENTRY(xv_attention_grad)
