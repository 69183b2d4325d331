// What a warp does with tiles in shared memory, in every kind of arithmetic. A kind is a type:
//
//   XvBf16, XvF16   elements of two bytes on tensor cores
//   XvTf32          floats, rounded to tf32 on their way to the tensor cores
//   XvExact         floats, one fused multiply-add after the other
//
// All sum in single precision, and all keep results in the same places, those of a fragment C of matrix.cuh: a lane
// has of every 16 x 8 tile rows g and g + 8 with two neighbouring columns.

struct XvTf32 {
};
struct XvExact {
};

template <class KIND> struct XvKind {
    typedef KIND Element;
    static constexpr int STEP = 16;  // terms of one multiplication
    static constexpr int PAD =
        8;  // elements between the rows of a tile, so that columns meet different banks
    static constexpr bool IS_SHORT = true;
};
template <> struct XvKind<XvTf32> {
    typedef float Element;
    static constexpr int STEP = 8, PAD = 4;
    static constexpr bool IS_SHORT = false;
};
template <> struct XvKind<XvExact> {
    typedef float Element;
    static constexpr int STEP = 8, PAD = 4;
    static constexpr bool IS_SHORT = false;
};
template <class KIND> struct XvIsExact {
    static constexpr bool VALUE = false;
};
template <> struct XvIsExact<XvExact> {
    static constexpr bool VALUE = true;
};

// A tile of which an operand is part: element (i, k) at first + i * pitch + k, or with BY_K at first + k * pitch + i.
template <class E> struct XvTile {
    XV_SHARED_REF(E) at;
    int first, pitch;
};

template <bool BY_K, class E> XV_FN float xv_tile_float(const XvTile<E> &tile, int i, int k)
{
    return tile.at[tile.first + (BY_K ? k * tile.pitch + i : i * tile.pitch + k)];
}

// A fragment of A [16, 16] or of two B [16, 8] side by side; the order of the four matrices differs.
template <bool BY_K, bool IS_A, class E> XV_FN void xv_tile_fragment(uint32_t (&to)[4], const XvTile<E> &tile)
{
    const int lane = (int)threadIdx.x % 32, low = lane / 8 % 2 * 8, high = lane / 16 * 8;
    const int i = (IS_A ? low : high) + (BY_K ? 0 : lane % 8),
              k = (IS_A ? high : low) + (BY_K ? lane % 8 : 0);
    xv_load_matrix<BY_K>(to, tile.at, tile.first + (BY_K ? k * tile.pitch + i : i * tile.pitch + k));
}

// c += a b for fragments of A and a tile of B [STEP, 8 USED] of short elements.
template <class KIND, int USED, bool B_BY_K, int M, int N>
XV_FN void xv_multiply_fragments(float (&c)[M][N][4], const uint32_t (&a)[M][4], const XvTile<KIND> &b)
{
#pragma unroll
    for (int n = 0; n < USED; n += 2) {
        uint32_t both[4];
        xv_tile_fragment<B_BY_K, false>(
            both, XvTile<KIND>{b.at, b.first + n * 8 * (B_BY_K ? 1 : b.pitch), b.pitch});
        const uint32_t left[2] = {both[0], both[1]}, right[2] = {both[2], both[3]};
#pragma unroll
        for (int m = 0; m < M; m++) {
            xv_multiply<KIND>(c[m][n], a[m], left);
            if (n + 1 < USED) {
                xv_multiply<KIND>(c[m][n + 1 < USED ? n + 1 : n], a[m], right);
            }
        }
    }
}

template <int USED, bool A_BY_K, bool B_BY_K, int M, int N>
XV_FN void xv_multiply_tf32_tiles(float (&c)[M][N][4], const XvTile<float> &a, const XvTile<float> &b)
{
    const int g = (int)threadIdx.x % 32 / 4, t = (int)threadIdx.x % 4;
    uint32_t rows[M][4];
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            rows[m][i] =
                xv_float_bits(xv_tf32(xv_tile_float<A_BY_K>(a, 16 * m + g + i % 2 * 8, t + i / 2 * 4)));
        }
    }
#pragma unroll
    for (int n = 0; n < USED; n++) {
        const uint32_t columns[2] = {xv_float_bits(xv_tf32(xv_tile_float<B_BY_K>(b, 8 * n + g, t))),
                                     xv_float_bits(xv_tf32(xv_tile_float<B_BY_K>(b, 8 * n + g, t + 4)))};
#pragma unroll
        for (int m = 0; m < M; m++) {
            xv_multiply_tf32(c[m][n], rows[m], columns);
        }
    }
}

template <int USED, bool A_BY_K, bool B_BY_K, int M, int N>
XV_FN void xv_multiply_exact_tiles(float (&c)[M][N][4], const XvTile<float> &a, const XvTile<float> &b)
{
    const int g = (int)threadIdx.x % 32 / 4, t = (int)threadIdx.x % 4;
#pragma unroll 1
    for (int k = 0; k < XvKind<XvExact>::STEP; k++) {
        float rows[M][2];
#pragma unroll
        for (int m = 0; m < M; m++) {
            rows[m][0] = xv_tile_float<A_BY_K>(a, 16 * m + g, k);
            rows[m][1] = xv_tile_float<A_BY_K>(a, 16 * m + g + 8, k);
        }
#pragma unroll
        for (int n = 0; n < USED; n++) {
            const float left = xv_tile_float<B_BY_K>(b, 8 * n + 2 * t, k);
            const float right = xv_tile_float<B_BY_K>(b, 8 * n + 2 * t + 1, k);
#pragma unroll
            for (int m = 0; m < M; m++) {
                c[m][n][0] = xv_fma(rows[m][0], left, c[m][n][0]);
                c[m][n][1] = xv_fma(rows[m][0], right, c[m][n][1]);
                c[m][n][2] = xv_fma(rows[m][1], left, c[m][n][2]);
                c[m][n][3] = xv_fma(rows[m][1], right, c[m][n][3]);
            }
        }
    }
}

// c[m][0..USED-1] += A B over DEPTH terms, A [16 M, DEPTH], B [DEPTH, 8 USED]; element (i, k) of B is in column i.
// With an odd USED a tile of short elements has 8 columns more.
template <class KIND, int DEPTH, int USED, bool A_BY_K, bool B_BY_K, int M, int N, class E>
XV_FN void xv_multiply_tiles(float (&c)[M][N][4], const XvTile<E> &a, const XvTile<E> &b)
{
    constexpr int STEP = XvKind<KIND>::STEP;
#pragma unroll 1
    for (int k = 0; k < DEPTH; k += STEP) {
        const XvTile<E> a_step = {a.at, a.first + k * (A_BY_K ? a.pitch : 1), a.pitch};
        const XvTile<E> b_step = {b.at, b.first + k * (B_BY_K ? b.pitch : 1), b.pitch};
        if constexpr (XvKind<KIND>::IS_SHORT) {
            uint32_t rows[M][4];
#pragma unroll
            for (int m = 0; m < M; m++) {
                const int first = a_step.first + 16 * m * (A_BY_K ? 1 : a.pitch);
                xv_tile_fragment<A_BY_K, true>(rows[m], XvTile<E>{a.at, first, a.pitch});
            }
            xv_multiply_fragments<KIND, USED, B_BY_K>(c, rows, b_step);
        } else if constexpr (XvIsExact<KIND>::VALUE) {
            xv_multiply_exact_tiles<USED, A_BY_K, B_BY_K>(c, a_step, b_step);
        } else {
            xv_multiply_tf32_tiles<USED, A_BY_K, B_BY_K>(c, a_step, b_step);
        }
    }
}
