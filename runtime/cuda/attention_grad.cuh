// The gradient of attention, deterministic: every result has one writer, every sum a fixed order. The probabilities
// are computed again from lse. For one pair, P being the probabilities, K the keep values, dO d_out:
//
//   dV = (K P)^T dO        dP = K (dO V^T)        dS = P (dP - mean of dP under P)
//   dQ = scale dS K        dK = scale dS^T Q      d_bias = dS summed over what shares an element
//
// The mean is taken off in two steps, as in runtime/device/attention_grad.c, which says why: first the plain mean of
// the first tile, which leaves small numbers where the tokens are nearly alike, then the weighted mean of what is
// left.
//
// A block has a (batch, head) pair, or a head and several batch entries when a bias wants its gradient: dS of one
// entry after the other is added up, in registers where queries and keys are one tile each, else in the block's part
// of memory.

// What a warp needs of its 16 queries. A lane has two of them.
struct XvGradRows {
    float lse[2], first[2], rest[2];  // `first` and `rest`: the two steps
};

template <class S, class E> struct XvGradTiles {
    XV_SHARED_REF(E) queries;
    XV_SHARED_REF(E) keys;
    XV_SHARED_REF(E) values;
    XV_SHARED_REF(E) d_outs;
    XV_SHARED_REF(E) scores;
};

template <class S, class E>
XV_FN void xv_grad_load_queries(const XvGradTiles<S, E> &tiles, const XvAttentionTask &task,
                                const XvAttentionPlace &place)
{
    xv_attention_load<E, S::QUERY_ROWS, S::DIM, S::WIDTH, S::PITCH, S::GRAD_THREADS>(
        tiles.queries, task.q, xv_heads_at(task.q, place.b, place.h, 0), place.query, S::QUERIES);
    xv_attention_load<E, S::QUERY_ROWS, S::VALUE_DIM, S::VALUE_WIDTH, S::VALUE_PITCH, S::GRAD_THREADS>(
        tiles.d_outs, task.d_out, xv_heads_at(task.d_out, place.b, place.h, 0), place.query, S::QUERIES);
}

template <class S, class E>
XV_FN void xv_grad_load_keys(const XvGradTiles<S, E> &tiles, const XvAttentionTask &task,
                             const XvAttentionPlace &place)
{
    xv_attention_load<E, S::KEY_ROWS, S::DIM, S::WIDTH, S::PITCH, S::GRAD_THREADS>(
        tiles.keys, task.k, xv_heads_at(task.k, place.b, place.h, 0), place.key, S::KEYS);
    xv_attention_load<E, S::KEY_ROWS, S::VALUE_DIM, S::VALUE_WIDTH, S::VALUE_PITCH, S::GRAD_THREADS>(
        tiles.values, task.v, xv_heads_at(task.v, place.b, place.h, 0), place.key, S::KEYS);
}

template <int N> XV_FN void xv_arrived()
{
    xv_copy_commit();
    xv_copy_wait<N>();
    xv_sync_block();
}

XV_FN int xv_grad_row(const XvAttentionPlace &place, int r)
{
    return place.query + (int)threadIdx.x / 32 * 16 + (int)threadIdx.x % 32 / 4 + 8 * r;
}

template <class S>
XV_FN void xv_grad_lse(XvGradRows &rows, const XvAttentionTask &task, const XvAttentionPlace &place)
{
#pragma unroll
    for (int r = 0; r < 2; r++) {
        const int row = xv_grad_row(place, r);
        rows.lse[r] = row < S::QUERIES ? task.lse[(place.b * task.heads + place.h) * S::QUERIES + row] : 0.0f;
    }
}

// p = P and d = dP of the warp's queries and the keys of the tile, zero outside; K P goes to the tile of scores if
// asked.
template <class S, class E>
XV_FN void xv_grad_scores(float (&p)[1][S::COLUMNS][4], float (&d)[1][S::COLUMNS][4],
                          const XvGradTiles<S, E> &tiles, const XvAttentionTask &task,
                          const XvAttentionPlace &place, const XvGradRows &rows, bool is_kept)
{
    const int own = (int)threadIdx.x / 32 * 16;
    const uint32_t kept =
        S::HAS_KEEP ? xv_attention_kept<S>(task.keep[0], place.b * task.heads + place.h, place) : 0;
    const float keep_scale = S::HAS_KEEP ? task.keep[0].scale : 1.0f;
    xv_sync_warp();  // lanes may have drawn apart; products want them together
    xv_multiply_tiles<typename S::Kind, S::WIDTH, S::USED, false, false>(
        p, XvTile<E>{tiles.queries, own * S::PITCH, S::PITCH}, XvTile<E>{tiles.keys, 0, S::PITCH});
    xv_multiply_tiles<typename S::Kind, S::VALUE_WIDTH, S::USED, false, false>(
        d, XvTile<E>{tiles.d_outs, own * S::VALUE_PITCH, S::VALUE_PITCH},
        XvTile<E>{tiles.values, 0, S::VALUE_PITCH});
    xv_attention_scores<S>(p[0], task, place);
    float weights[S::COLUMNS][4] = {};
#pragma unroll
    for (int e = 0; e < 4 * S::USED; e++) {
        float &probability = p[0][e / 4][e % 4], &product = d[0][e / 4][e % 4];
        const bool is_row = xv_grad_row(place, e / 2 % 2) < S::QUERIES;
        const float keep = S::HAS_KEEP ? (kept >> e & 1 ? keep_scale : 0.0f) : 1.0f;
        probability = is_row ? xv_exp(probability - rows.lse[e / 2 % 2]) : 0.0f;
        product *= keep;
        weights[e / 4][e % 4] = probability * keep;
    }
    if (is_kept) {
        xv_attention_keep_tile<S, E>(tiles.scores, weights);
    }
}

// The two steps, summed over tiles: `first` is set by the first one.
template <class S>
XV_FN void xv_grad_means(XvGradRows &rows, float (&sum)[2], float (&total)[2],
                         const float (&p)[S::COLUMNS][4], const float (&d)[S::COLUMNS][4], bool is_first)
{
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float plain = 0;
#pragma unroll
        for (int n = 0; n < S::USED; n++) {
            plain += d[n][2 * r] + d[n][2 * r + 1];
        }
        if (is_first) {
            const int count = S::KEYS < S::KEY_ROWS ? S::KEYS : S::KEY_ROWS;
            rows.first[r] = xv_team_reduce<4, XvSum>(plain) * (1.0f / count);
        }
        float weighted = 0, weight = 0;
#pragma unroll
        for (int n = 0; n < S::USED; n++) {
            weighted = xv_fma(p[n][2 * r], d[n][2 * r] - rows.first[r], weighted);
            weighted = xv_fma(p[n][2 * r + 1], d[n][2 * r + 1] - rows.first[r], weighted);
            weight += p[n][2 * r] + p[n][2 * r + 1];
        }
        sum[r] += xv_team_reduce<4, XvSum>(weighted);
        total[r] += xv_team_reduce<4, XvSum>(weight);
        rows.rest[r] = total[r] > 0.0f ? sum[r] / total[r] : 0.0f;
    }
}

// d = dS.
template <class S>
XV_FN void xv_grad_finish(float (&d)[S::COLUMNS][4], const float (&p)[S::COLUMNS][4], const XvGradRows &rows)
{
#pragma unroll
    for (int e = 0; e < 4 * S::USED; e++) {
        d[e / 4][e % 4] =
            p[e / 4][e % 4] * ((d[e / 4][e % 4] - rows.first[e / 2 % 2]) - rows.rest[e / 2 % 2]);
    }
}

// dS into the block's part: stored, or added to what is there.
template <class S>
XV_FN void xv_grad_keep_part(const XvAttentionTask &task, const XvAttentionPlace &place,
                             const float (&d)[S::COLUMNS][4], bool is_added)
{
    const int key = place.key + (int)threadIdx.x % 4 * 2;
    const int64_t part = (int64_t)blockIdx.x * S::QUERIES;
#pragma unroll
    for (int e = 0; e < 4 * S::USED; e++) {
        const int row = xv_grad_row(place, e / 2 % 2), column = key + e / 4 * 8 + e % 2;
        if (row < S::QUERIES && column < S::KEYS) {
            const int64_t at = (part + row) * S::KEYS + column;
            task.parts[at] = is_added ? task.parts[at] + d[e / 4][e % 4] : d[e / 4][e % 4];
        }
    }
}

// c += X^T B for the warp's 16 keys, X being the tile of scores and B one of queries or of d_out.
template <class S, int N, class E>
XV_FN void xv_grad_keys(float (&c)[1][N][4], const XvGradTiles<S, E> &tiles, XV_SHARED_REF(E) b, int pitch)
{
    const int own = (int)threadIdx.x / 32 * 16;
    xv_multiply_tiles<typename S::Kind, S::QUERY_ROWS, N, true, true>(
        c, XvTile<E>{tiles.scores, own, S::SCORE_PITCH}, XvTile<E>{b, 0, pitch});
}

// Queries and keys are one tile each: everything is read once.
template <class S, bool HAS_PARTS, class E>
XV_FN void xv_grad_of_pair(const XvGradTiles<S, E> &tiles, const XvAttentionTask &task,
                           const XvAttentionPlace &place, float (&part)[S::COLUMNS][4])
{
    const int warp = (int)threadIdx.x / 32;
    const bool has_queries = warp < S::QUERY_WARPS, has_keys = warp < S::KEY_WARPS;
    const float one[2] = {1.0f, 1.0f}, scale[2] = {task.scale, task.scale};
    float d[1][S::COLUMNS][4] = {};
    XvGradRows rows;
    xv_grad_load_queries<S, E>(tiles, task, place);
    xv_grad_load_keys<S, E>(tiles, task, place);
    xv_arrived<0>();
    if (has_queries) {
        float p[1][S::COLUMNS][4] = {}, sum[2] = {}, total[2] = {};
        xv_grad_lse<S>(rows, task, place);
        xv_grad_scores<S, E>(p, d, tiles, task, place, rows, true);
        xv_grad_means<S>(rows, sum, total, p[0], d[0], true);
        xv_grad_finish<S>(d[0], p[0], rows);
#pragma unroll
        for (int e = 0; HAS_PARTS && e < 4 * S::USED; e++) {
            part[e / 4][e % 4] += d[0][e / 4][e % 4];
        }
    }
    xv_sync_block();
    if (has_keys) {
        float dv[1][S::VALUE_WIDTH / 8][4] = {};
        xv_grad_keys<S>(dv, tiles, tiles.d_outs, S::VALUE_PITCH);
        xv_attention_store<E, S::VALUE_DIM>(task.dv, xv_heads_at(task.dv, place.b, place.h, 0), 16 * warp,
                                            S::KEYS, dv[0], one);
    }
    xv_sync_block();
    if (has_queries) {
        float dq[1][S::WIDTH / 8][4] = {};
        xv_attention_multiply<S, S::WIDTH / 8, E>(dq, d[0], tiles.scores, tiles.keys, S::PITCH);
        if (S::IS_SHORT) {
            xv_attention_keep_tile<S, E>(tiles.scores, d[0]);
        }
        xv_attention_store<E, S::DIM>(task.dq, xv_heads_at(task.dq, place.b, place.h, 0), 16 * warp,
                                      S::QUERIES, dq[0], scale);
    }
    xv_sync_block();
    if (has_keys) {
        float dk[1][S::WIDTH / 8][4] = {};
        xv_grad_keys<S>(dk, tiles, tiles.queries, S::PITCH);
        xv_attention_store<E, S::DIM>(task.dk, xv_heads_at(task.dk, place.b, place.h, 0), 16 * warp, S::KEYS,
                                      dk[0], scale);
    }
    xv_sync_block();
}

// dQ of one tile of queries, in two passes over the keys; leaves the two steps of its rows in shared memory.
template <class S, bool HAS_PARTS, class E>
XV_FN void xv_grad_of_queries(const XvGradTiles<S, E> &tiles, XV_SHARED_REF(float) steps,
                              const XvAttentionTask &task, XvAttentionPlace place, bool is_added)
{
    const int warp = (int)threadIdx.x / 32;
    const bool has_queries = warp < S::QUERY_WARPS;
    const float scale[2] = {task.scale, task.scale};
    float dq[1][S::WIDTH / 8][4] = {}, sum[2] = {}, total[2] = {};
    XvGradRows rows = {};
    xv_grad_load_queries<S, E>(tiles, task, place);
    if (has_queries) {
        xv_grad_lse<S>(rows, task, place);
    }
#pragma unroll 1
    for (int tile = 0; tile < 2 * S::KEY_TILES; tile++) {
        place.key = tile % S::KEY_TILES * S::KEY_ROWS;
        xv_grad_load_keys<S, E>(tiles, task, place);
        xv_arrived<0>();
        if (has_queries) {
            float p[1][S::COLUMNS][4] = {}, d[1][S::COLUMNS][4] = {};
            xv_grad_scores<S, E>(p, d, tiles, task, place, rows, false);
            if (tile < S::KEY_TILES) {
                xv_grad_means<S>(rows, sum, total, p[0], d[0], tile == 0);
            } else {
                xv_grad_finish<S>(d[0], p[0], rows);
                if (HAS_PARTS) {
                    xv_grad_keep_part<S>(task, place, d[0], is_added);
                }
                xv_attention_multiply<S, S::WIDTH / 8, E>(dq, d[0], tiles.scores, tiles.keys, S::PITCH);
            }
        }
        xv_sync_block();
    }
    if (!has_queries) {
        return;
    }
    xv_attention_store<E, S::DIM>(task.dq, xv_heads_at(task.dq, place.b, place.h, 0), place.query + 16 * warp,
                                  S::QUERIES, dq[0], scale);
#pragma unroll
    for (int r = 0; r < 2; r++) {
        if (threadIdx.x % 4 == 0) {
            steps[2 * xv_grad_row(place, r)] = rows.first[r];
            steps[2 * xv_grad_row(place, r) + 1] = rows.rest[r];
        }
    }
}

// dK and dV of one tile of keys.
template <class S, class E>
XV_FN void xv_grad_of_keys(const XvGradTiles<S, E> &tiles, XV_SHARED_REF(float) steps,
                           const XvAttentionTask &task, XvAttentionPlace place)
{
    const int warp = (int)threadIdx.x / 32;
    const bool has_queries = warp < S::QUERY_WARPS, has_keys = warp < S::KEY_WARPS;
    const float one[2] = {1.0f, 1.0f}, scale[2] = {task.scale, task.scale};
    float dk[1][S::WIDTH / 8][4] = {}, dv[1][S::VALUE_WIDTH / 8][4] = {};
    xv_grad_load_keys<S, E>(tiles, task, place);
#pragma unroll 1
    for (place.query = 0; place.query < S::QUERIES; place.query += S::QUERY_ROWS) {
        float d[1][S::COLUMNS][4] = {};
        xv_grad_load_queries<S, E>(tiles, task, place);
        xv_arrived<0>();
        if (has_queries) {
            float p[1][S::COLUMNS][4] = {};
            XvGradRows rows;
            xv_grad_lse<S>(rows, task, place);
#pragma unroll
            for (int r = 0; r < 2; r++) {
                rows.first[r] = steps[2 * xv_grad_row(place, r)];
                rows.rest[r] = steps[2 * xv_grad_row(place, r) + 1];
            }
            xv_grad_scores<S, E>(p, d, tiles, task, place, rows, true);
            xv_grad_finish<S>(d[0], p[0], rows);
        }
        xv_sync_block();
        if (has_keys) {
            xv_grad_keys<S>(dv, tiles, tiles.d_outs, S::VALUE_PITCH);
        }
        xv_sync_block();
        if (has_queries) {
            xv_attention_keep_tile<S, E>(tiles.scores, d[0]);
        }
        xv_sync_block();
        if (has_keys) {
            xv_grad_keys<S>(dk, tiles, tiles.queries, S::PITCH);
        }
        xv_sync_block();
    }
    if (has_keys) {
        const int first = place.key + 16 * warp;
        xv_attention_store<E, S::VALUE_DIM>(task.dv, xv_heads_at(task.dv, place.b, place.h, 0), first,
                                            S::KEYS, dv[0], one);
        xv_attention_store<E, S::DIM>(task.dk, xv_heads_at(task.dk, place.b, place.h, 0), first, S::KEYS,
                                      dk[0], scale);
    }
}

template <class S, bool HAS_PARTS> XV_FN void xv_attention_grad(const XvAttentionTask &task)
{
    typedef typename S::Element E;
    constexpr bool is_one_tile = S::QUERY_TILES == 1 && S::KEY_TILES == 1;
    XV_SHARED(E, queries, S::QUERY_ROWS * S::PITCH);
    XV_SHARED(E, keys, S::KEY_ROWS * S::PITCH);
    XV_SHARED(E, values, S::KEY_ROWS * S::VALUE_PITCH);
    XV_SHARED(E, d_outs, S::QUERY_ROWS * S::VALUE_PITCH);
    XV_SHARED(E, scores, S::QUERY_ROWS * S::SCORE_PITCH);
    XV_SHARED(float, steps, is_one_tile ? 2 : 2 * S::QUERY_TILES * S::QUERY_ROWS);
    const XvGradTiles<S, E> tiles = {queries, keys, values, d_outs, scores};
    const int64_t begin = blockIdx.x / task.heads * task.per_chunk;
    const int64_t end = begin + task.per_chunk < task.batch ? begin + task.per_chunk : task.batch;
    XvAttentionPlace place = {begin, blockIdx.x % task.heads, 0, 0};
    float part[S::COLUMNS][4] = {};
#pragma unroll 1
    for (; place.b < end; place.b++) {
        if constexpr (is_one_tile) {
            xv_grad_of_pair<S, HAS_PARTS, E>(tiles, task, place, part);
        } else {
#pragma unroll 1
            for (place.query = 0; place.query < S::QUERIES; place.query += S::QUERY_ROWS) {
                xv_grad_of_queries<S, HAS_PARTS, E>(tiles, steps, task, place, place.b > begin);
                xv_sync_block();
            }
#pragma unroll 1
            for (place.key = 0; place.key < S::KEYS; place.key += S::KEY_ROWS) {
                xv_grad_of_keys<S, E>(tiles, steps, task, place);
            }
        }
    }
    if (is_one_tile && HAS_PARTS && (int)threadIdx.x / 32 < S::QUERY_WARPS) {
        place.query = place.key = 0;
        xv_grad_keep_part<S>(task, place, part, false);
    }
}

#define XV_ATTENTION_GRAD(name, kind, queries, keys, dim, value_dim, biases, has_keep, has_parts)       \
    typedef XvAttentionShape<kind, queries, keys, dim, value_dim, biases, has_keep, true> name##_shape; \
    XV_KERNEL_FOR(name##_shape::GRAD_THREADS, name##_shape::GRAD_BLOCKS) name(XvAttentionTask task)     \
    {                                                                                                   \
        xv_attention_grad<name##_shape, has_parts>(task);                                               \
    }
