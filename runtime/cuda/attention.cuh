// Attention for short sequences on tensor cores, or exact (fragment.cuh says which kinds there are). A program's
// kernels are made for its shapes: XV_ATTENTION(name, kind, queries, keys, dim of q and k, dim of v, biases, has
// dropout).
//
// A block has the queries of one (batch, head) pair, up to 64 of them; a warp owns 16. Keys and values come through
// shared memory, up to 64 at a time: windows and texts are one tile. Scores stay in registers, softmax is computed on
// the fly, probabilities are rounded to the element type for their product with the values and never reach memory.

template <class KIND, int QUERIES_, int KEYS_, int DIM_, int VALUE_DIM_, int BIASES_, bool HAS_KEEP_,
          bool IS_GRAD>
struct XvAttentionShape {
    typedef KIND Kind;
    typedef typename XvKind<KIND>::Element Element;
    static constexpr int QUERIES = QUERIES_, KEYS = KEYS_, DIM = DIM_, VALUE_DIM = VALUE_DIM_,
                         BIASES = BIASES_;
    static constexpr bool HAS_KEEP = HAS_KEEP_, IS_SHORT = XvKind<KIND>::IS_SHORT;
    static constexpr int LIMIT = xv_attention_limit(sizeof(Element), DIM, VALUE_DIM, IS_GRAD ? QUERIES : 0);
    static constexpr int QUERY_ROWS = xv_attention_rows(QUERIES, LIMIT),
                         KEY_ROWS = xv_attention_rows(KEYS, LIMIT);
    static constexpr int QUERY_TILES = (QUERIES + QUERY_ROWS - 1) / QUERY_ROWS;
    static constexpr int KEY_TILES = (KEYS + KEY_ROWS - 1) / KEY_ROWS;
    static constexpr int WIDTH = (DIM + 15) / 16 * 16, VALUE_WIDTH = (VALUE_DIM + 15) / 16 * 16;
    static constexpr int PAD = XvKind<KIND>::PAD;
    static constexpr int PITCH = WIDTH + PAD, VALUE_PITCH = VALUE_WIDTH + PAD, SCORE_PITCH = KEY_ROWS + PAD;
    static constexpr int COLUMNS = KEY_ROWS / 8;                           // of 8 scores, in registers
    static constexpr int USED = KEY_TILES > 1 ? COLUMNS : (KEYS + 7) / 8;  // of them, those with a key
    static constexpr int QUERY_WARPS = QUERY_ROWS / 16, KEY_WARPS = KEY_ROWS / 16;
    static constexpr int THREADS = 32 * QUERY_WARPS;
    static constexpr int GRAD_THREADS = 32 * (QUERY_WARPS > KEY_WARPS ? QUERY_WARPS : KEY_WARPS);
    static constexpr bool IS_SMALL = IS_SHORT && WIDTH <= 32 && VALUE_WIDTH <= 32;
    static constexpr int BLOCKS = IS_SMALL ? 4 : 1,
                         GRAD_BLOCKS = !IS_SMALL ? 1 : KEY_TILES > 1 ? 2 : 3;  // at once, with registers enough
    static_assert(LIMIT > 0, "heads of up to 128");
};

XV_FN int64_t xv_heads_at(const XvHeadsTask &view, int64_t b, int64_t h, int64_t row)
{
    return b * view.batch + h * view.head + row * view.row;
}

XV_FN float xv_element_at(const XvHeadsTask &view, int64_t index, float)
{
    return view.data.f32[index];
}

template <class T> XV_FN T xv_element_at(const XvHeadsTask &view, int64_t index, T)
{
    T element;
    element.bits = view.data.half[index];
    return element;
}

XV_FN const XvSpan<float> &xv_heads_typed(const XvHeadsTask &view, float)
{
    return view.data.f32;
}

template <class T> XV_FN const XvSpan<uint16_t> &xv_heads_typed(const XvHeadsTask &view, T)
{
    return view.data.half;
}

// Rows first.. of a view, from `at` on, into tile[row][d], zero beyond `count` and DIM: in pieces of 16 bytes, which
// are on their way when the function returns.
template <class E, int ROWS, int DIM, int WIDTH, int PITCH, int THREADS>
XV_FN void xv_attention_load(XV_SHARED_REF(E) tile, const XvHeadsTask &view, int64_t at, int first, int count)
{
    constexpr int piece = 16 / sizeof(E), row_pieces = WIDTH / piece;
#pragma unroll 1
    for (int p = (int)threadIdx.x; p < ROWS * row_pieces; p += THREADS) {
        const int row = p / row_pieces, d = p % row_pieces * piece;
        const int64_t from = at + (first + row) * view.row + d;
        const bool is_row = first + row < count;
        if (DIM % piece == 0 && view.is_wide) {
            xv_copy_async(tile, row * PITCH + d, xv_heads_typed(view, E()), from, is_row && d < DIM);
            continue;
        }
#pragma unroll 1
        for (int i = 0; i < piece; i++) {
            tile[row * PITCH + d + i] = is_row && d + i < DIM ? xv_element_at(view, from + i, E()) : E(0.0f);
        }
    }
}

XV_FN void xv_store_two(const XvHeadsTask &view, int64_t at, float x, float y, bool is_second, float)
{
    view.data.f32[at] = x;
    if (is_second) {
        view.data.f32[at + 1] = y;
    }
}

template <class T>
XV_FN void xv_store_two(const XvHeadsTask &view, int64_t at, float x, float y, bool is_second, T)
{
    if (is_second && view.is_wide) {
        xv_store_pair(view.data.half, at, xv_pair<T>(x, y));
        return;
    }
    view.data.half[at] = T(x).bits;
    if (is_second) {
        view.data.half[at + 1] = T(y).bits;
    }
}

// A warp's 16 rows, from row `first` of `count` on, times a factor for each of a lane's two rows.
template <class E, int DIM, int N>
XV_FN void xv_attention_store(const XvHeadsTask &view, int64_t at, int first, int count,
                              const float (&c)[N][4], const float (&factor)[2])
{
    const int lane = (int)threadIdx.x % 32;
#pragma unroll
    for (int r = 0; r < 2; r++) {
        const int row = first + lane / 4 + 8 * r;
        const int64_t row_at = at + row * view.row;
#pragma unroll
        for (int n = 0; n < N; n++) {
            const int d = 8 * n + lane % 4 * 2;
            if (row < count && d < DIM) {
                xv_store_two(view, row_at + d, c[n][2 * r] * factor[r], c[n][2 * r + 1] * factor[r],
                             d + 1 < DIM, E());
            }
        }
    }
}

// Where a block is: its pair, and the first of its queries and keys.
struct XvAttentionPlace {
    int64_t b, h;
    int query, key;
};

// Products become scores: scaled, with biases, -inf where there is no key.
template <class S>
XV_FN void xv_attention_scores(float (&p)[S::COLUMNS][4], const XvAttentionTask &task,
                               const XvAttentionPlace &place)
{
    const int lane = (int)threadIdx.x % 32, row = place.query + (int)threadIdx.x / 32 * 16 + lane / 4;
    const int key = place.key + lane % 4 * 2;
    int64_t at[S::BIASES > 0 ? S::BIASES : 1][2];
#pragma unroll
    for (int i = 0; i < 2 * S::BIASES; i++) {
        const XvBiasTask &bias = task.bias[i / 2];
        const int query = row + i % 2 * 8 < S::QUERIES ? row + i % 2 * 8 : S::QUERIES - 1;
        const int64_t entry = bias.batch ? place.b / bias.divisor % bias.modulus : 0;
        at[i / 2][i % 2] = entry * bias.batch + place.h * bias.head + query * bias.query + key * bias.key;
    }
#pragma unroll
    for (int n = 0; n < S::USED; n++) {
#pragma unroll
        for (int e = 0; e < 4; e++) {
            const int column = 8 * n + e % 2;
            p[n][e] *= task.scale;
            if (key + column < S::KEYS) {
#pragma unroll
                for (int i = 0; i < S::BIASES; i++) {
                    p[n][e] += task.bias[i].data[at[i][e / 2] + column * task.bias[i].key];
                }
            } else {
                p[n][e] = -INFINITY;
            }
        }
    }
}

// Which of a lane's weights dropout keeps, bit 4 n + e for weight [n][e].
template <class S>
XV_FN uint32_t xv_attention_kept(const XvDraw &draw, int64_t pair, const XvAttentionPlace &place)
{
    const int lane = (int)threadIdx.x % 32, row = place.query + (int)threadIdx.x / 32 * 16 + lane / 4;
    uint32_t kept = 0;
    uint64_t group = ~(uint64_t)0;
    XvWords words = {{0, 0, 0, 0}};
#pragma unroll 1
    for (int i = 0; i < 4 * S::USED; i++) {
        const int r = i / (2 * S::USED), n = i / 2 % S::USED, query = row + 8 * r;
        const int key = place.key + 8 * n + lane % 4 * 2 + i % 2;
        const uint64_t index = (uint64_t)((pair * S::QUERIES + query) * S::KEYS + key);
        bool is_kept = query < S::QUERIES && key < S::KEYS;
        if (is_kept && draw.given_mask) {
            is_kept = draw.given_mask[index] != 0.0f;
        } else if (is_kept && draw.threshold > 0) {
            if (index / 4 != group) {
                group = index / 4;
                words = xv_philox(draw.key, group);
            }
            const uint32_t low = index & 1 ? words.word[1] : words.word[0];
            const uint32_t high = index & 1 ? words.word[3] : words.word[2];
            is_kept = (index & 2 ? high : low) >= draw.threshold;
        }
        kept |= (uint32_t)is_kept << (4 * n + 2 * r + i % 2);
    }
    return kept;
}

// A lane's part of 16 rows of scores into the warp's rows of a tile.
template <class S, class E>
XV_FN void xv_attention_keep_tile(XV_SHARED_REF(E) tile, const float (&p)[S::COLUMNS][4])
{
    const int lane = (int)threadIdx.x % 32;
    const int first = ((int)threadIdx.x / 32 * 16 + lane / 4) * S::SCORE_PITCH + lane % 4 * 2;
#pragma unroll
    for (int e = 0; e < 4 * S::COLUMNS; e++) {
        tile[first + e / 2 % 2 * 8 * S::SCORE_PITCH + e / 4 * 8 + e % 2] = E(p[e / 4][e % 4]);
    }
}

// c += P B, P being 16 rows in registers, B [KEY_ROWS, 8 N] in a tile. Short elements are operands as they lie;
// others go through the warp's rows of `scratch`.
template <class S, int N, class E>
XV_FN void xv_attention_multiply(float (&c)[1][N][4], const float (&p)[S::COLUMNS][4],
                                 XV_SHARED_REF(E) scratch, XV_SHARED_REF(E) b, int pitch)
{
    if constexpr (S::IS_SHORT) {
#pragma unroll
        for (int k = 0; k < S::COLUMNS; k += 2) {
            const uint32_t a[1][4] = {{xv_pair<E>(p[k][0], p[k][1]), xv_pair<E>(p[k][2], p[k][3]),
                                       xv_pair<E>(p[k + 1][0], p[k + 1][1]),
                                       xv_pair<E>(p[k + 1][2], p[k + 1][3])}};
            xv_multiply_fragments<E, N, true>(c, a, XvTile<E>{b, 8 * k * pitch, pitch});
        }
    } else {
        const int first = (int)threadIdx.x / 32 * 16 * S::SCORE_PITCH;
        xv_attention_keep_tile<S, E>(scratch, p);
        xv_sync_warp();
        xv_multiply_tiles<typename S::Kind, S::KEY_ROWS, N, false, true>(
            c, XvTile<E>{scratch, first, S::SCORE_PITCH}, XvTile<E>{b, 0, pitch});
        xv_sync_warp();
    }
}

template <class S> XV_FN void xv_attention_forward(const XvAttentionTask &task)
{
    typedef typename S::Element E;
    XV_SHARED(E, queries, S::QUERY_ROWS * S::PITCH);
    XV_SHARED(E, keys, S::KEY_ROWS * S::PITCH);
    XV_SHARED(E, values, S::KEY_ROWS * S::VALUE_PITCH);
    XV_SHARED(E, scratch, S::IS_SHORT ? 8 : S::QUERY_ROWS * S::SCORE_PITCH);
    const int64_t pair = blockIdx.x / S::QUERY_TILES;
    XvAttentionPlace place = {pair / task.heads, pair % task.heads,
                              (int)(blockIdx.x % S::QUERY_TILES) * S::QUERY_ROWS, 0};
    const int own = (int)threadIdx.x / 32 * 16;
    const int64_t k_at = xv_heads_at(task.k, place.b, place.h, 0),
                  v_at = xv_heads_at(task.v, place.b, place.h, 0);
    float out[1][S::VALUE_WIDTH / 8][4] = {}, top[2] = {-INFINITY, -INFINITY}, total[2] = {};
    xv_attention_load<E, S::QUERY_ROWS, S::DIM, S::WIDTH, S::PITCH, S::THREADS>(
        queries, task.q, xv_heads_at(task.q, place.b, place.h, 0), place.query, S::QUERIES);
#pragma unroll 1
    for (; place.key < S::KEYS; place.key += S::KEY_ROWS) {
        xv_attention_load<E, S::KEY_ROWS, S::DIM, S::WIDTH, S::PITCH, S::THREADS>(keys, task.k, k_at,
                                                                                  place.key, S::KEYS);
        xv_copy_commit();
        xv_attention_load<E, S::KEY_ROWS, S::VALUE_DIM, S::VALUE_WIDTH, S::VALUE_PITCH, S::THREADS>(
            values, task.v, v_at, place.key, S::KEYS);
        xv_copy_commit();
        xv_copy_wait<1>();
        xv_sync_block();
        float p[1][S::COLUMNS][4] = {};
        xv_multiply_tiles<typename S::Kind, S::WIDTH, S::USED, false, false>(
            p, XvTile<E>{queries, own * S::PITCH, S::PITCH}, XvTile<E>{keys, 0, S::PITCH});
        xv_attention_scores<S>(p[0], task, place);
        float shift[2];
#pragma unroll
        for (int r = 0; r < 2; r++) {
            float larger = top[r];
#pragma unroll
            for (int n = 0; n < S::USED; n++) {
                larger = xv_max(larger, xv_max(p[0][n][2 * r], p[0][n][2 * r + 1]));
            }
            larger = xv_team_reduce<4, XvMaximum>(larger);
            shift[r] = larger == -INFINITY ? 0.0f : larger;
            const float correction = xv_exp(top[r] - shift[r]);
            top[r] = larger;
            total[r] *= correction;
#pragma unroll
            for (int n = 0; n < S::VALUE_WIDTH / 8; n++) {
                out[0][n][2 * r] *= correction;
                out[0][n][2 * r + 1] *= correction;
            }
        }
        const uint32_t kept = S::HAS_KEEP ? xv_attention_kept<S>(task.keep[0], pair, place) : 0;
        const float keep_scale = S::HAS_KEEP ? task.keep[0].scale : 1.0f;
#pragma unroll
        for (int e = 0; e < 4 * S::USED; e++) {
            float &weight = p[0][e / 4][e % 4];
            weight = xv_exp(weight - shift[e / 2 % 2]);
            total[e / 2 % 2] += weight;
            if (S::HAS_KEEP) {
                weight = kept >> e & 1 ? weight * keep_scale : 0.0f;
            }
        }
        xv_copy_wait<0>();
        xv_sync_block();
        xv_attention_multiply<S, S::VALUE_WIDTH / 8, E>(out, p[0], scratch, values, S::VALUE_PITCH);
        xv_sync_block();
    }
    float factor[2];
#pragma unroll
    for (int r = 0; r < 2; r++) {
        total[r] = xv_team_reduce<4, XvSum>(total[r]);
        factor[r] = 1.0f / total[r];
        const int row = place.query + own + (int)threadIdx.x % 32 / 4 + 8 * r;
        if (task.lse && threadIdx.x % 4 == 0 && row < S::QUERIES) {
            task.lse[pair * S::QUERIES + row] = top[r] + xv_log(total[r]);
        }
    }
    xv_attention_store<E, S::VALUE_DIM>(task.out, xv_heads_at(task.out, place.b, place.h, 0),
                                        place.query + own, S::QUERIES, out[0], factor);
}

#define XV_ATTENTION(name, kind, queries, keys, dim, value_dim, biases, has_keep)                        \
    typedef XvAttentionShape<kind, queries, keys, dim, value_dim, biases, has_keep, false> name##_shape; \
    XV_KERNEL_FOR(name##_shape::THREADS, name##_shape::BLOCKS) name(XvAttentionTask task)                \
    {                                                                                                    \
        xv_attention_forward<name##_shape>(task);                                                        \
    }
