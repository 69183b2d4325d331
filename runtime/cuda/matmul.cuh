// The generated program's own matrix product: any strides and types, for shapes and machines without cuBLASLt. A
// block of four warps computes a tile of C from two pairs of tiles of A and B in shared memory: one pair is filled
// while the other is multiplied. Sums run over k in order, so results do not depend on the machine.

constexpr int XV_MATMUL_DEPTH = 32;
constexpr int XV_MATMUL_WIDE = XV_MATMUL_TILE + 8;  // pitch of a tile that lies along m or n
constexpr int XV_MATMUL_PART = XV_MATMUL_TILE / 2;  // rows and columns of a warp

template <class E> struct XvMatmulPitch {
    static constexpr int VALUE = XV_MATMUL_DEPTH + (sizeof(E) == 2 ? 8 : 4);  // of a tile that lies along k
};

// The elements of an operand as those of a tile.
XV_FN const XvSpan<const float> &xv_typed(const XvOperand &operand, float)
{
    return operand.f32;
}

template <class T> XV_FN const XvSpan<const uint16_t> &xv_typed(const XvOperand &operand, T)
{
    return operand.half;
}

XV_FN float xv_float_of_half(uint16_t bits, bool is_f16)
{
    XvF16 f16;
    XvBf16 bf16;
    f16.bits = bf16.bits = bits;
    return is_f16 ? (float)f16 : (float)bf16;
}

XV_FN float xv_operand_at(const XvOperand &operand, int64_t index)
{
    return operand.f32 ? operand.f32[index] : xv_float_of_half(operand.half[index], operand.is_f16 != 0);
}

XV_FN float xv_result_at(const XvResult &result, int64_t index)
{
    return result.f32 ? result.f32[index] : xv_float_of_half(result.half[index], result.is_f16 != 0);
}

XV_FN void xv_result_set(const XvResult &result, int64_t index, float value)
{
    if (result.f32) {
        result.f32[index] = value;
    } else {
        result.half[index] = result.is_f16 ? XvF16(value).bits : XvBf16(value).bits;
    }
}

// One side of a product: element (i, k) at first + i * across + k * along, one of the two strides being one.
struct XvMatmulSide {
    int64_t first, across, along;
    int64_t extent, depth;  // how much of it there is, from the tile on
    bool is_wide, is_tf32;
};

// Fills one tile, zero beyond the edges: rows of 32 or 64 elements, in pieces of 16 bytes.
template <class E>
XV_FN void xv_matmul_load(XV_SHARED_REF(E) tile, int first, const XvOperand &operand,
                          const XvMatmulSide &side)
{
    constexpr int piece = 16 / sizeof(E), count = XV_MATMUL_TILE * XV_MATMUL_DEPTH / piece;
    const bool is_by_k = side.along != 1;
    const int row_pieces = (is_by_k ? (int)XV_MATMUL_TILE : XV_MATMUL_DEPTH) / piece;
    const int64_t rows = is_by_k ? side.depth : side.extent, columns = is_by_k ? side.extent : side.depth;
    const int64_t stride = is_by_k ? side.along : side.across;
#pragma unroll 1
    for (int p = (int)threadIdx.x; p < count; p += XV_MATMUL_THREADS) {
        const int row = p / row_pieces, column = p % row_pieces * piece;
        const int to = first + row * (is_by_k ? XV_MATMUL_WIDE : XvMatmulPitch<E>::VALUE) + column;
        const int64_t from = side.first + row * stride + column;
        const bool is_inside = row < rows && column + piece <= columns;
        if (side.is_wide && (is_inside || row >= rows || column >= columns)) {
            xv_copy_async(tile, to, xv_typed(operand, E()), from, is_inside);
            continue;
        }
#pragma unroll 1
        for (int i = 0; i < piece; i++) {
            const float x = row < rows && column + i < columns ? xv_operand_at(operand, from + i) : 0.0f;
            tile[to + i] = E(side.is_tf32 ? xv_tf32(x) : x);
        }
    }
}

template <class KIND, bool A_BY_K, bool B_BY_K, class E>
XV_FN void xv_matmul_multiply(float (&c)[2][4][4], XV_SHARED_REF(E) a, XV_SHARED_REF(E) b, int first)
{
    const int warp = (int)threadIdx.x / 32, i = warp / 2 * XV_MATMUL_PART, j = warp % 2 * XV_MATMUL_PART;
    constexpr int narrow = XvMatmulPitch<E>::VALUE;
    const XvTile<E> rows = {a, first + (A_BY_K ? i : i * narrow), A_BY_K ? XV_MATMUL_WIDE : narrow};
    const XvTile<E> columns = {b, first + (B_BY_K ? j : j * narrow), B_BY_K ? XV_MATMUL_WIDE : narrow};
    xv_multiply_tiles<KIND, XV_MATMUL_DEPTH, 4, A_BY_K, B_BY_K>(c, rows, columns);
}

// The part of the sum of a row of A that is in the tile.
template <class E> XV_FN float xv_matmul_row_sum(XV_SHARED_REF(E) a, int first, bool is_by_k)
{
    float sum = 0;
    const int row = (int)threadIdx.x, pitch = is_by_k ? XV_MATMUL_WIDE : XvMatmulPitch<E>::VALUE;
#pragma unroll 1
    for (int k = 0; k < XV_MATMUL_DEPTH; k++) {
        sum += (float)a[first + (is_by_k ? k * pitch + row : row * pitch + k)];
    }
    return sum;
}

XV_FN void xv_matmul_store(const XvMatmulTask &task, int64_t i, int64_t j, float sum)
{
    if (i < task.m && j < task.n) {
        const int64_t at = blockIdx.z * task.c_batch + i * task.c_row + j;
        const float whole = task.is_added ? xv_result_at(task.c, at) + sum : sum;
        xv_result_set(task.c, at, task.has_bias ? whole + xv_operand_at(task.bias, j) : whole);
    }
}

template <class KIND> XV_FN void xv_matmul_block(const XvMatmulTask &task)
{
    typedef typename XvKind<KIND>::Element E;
    constexpr int stage = XV_MATMUL_TILE * XvMatmulPitch<E>::VALUE;  // holds XV_MATMUL_DEPTH * XV_MATMUL_WIDE
    XV_SHARED(E, a, 2 * stage);
    XV_SHARED(E, b, 2 * stage);
    const int64_t row = (int64_t)blockIdx.x * XV_MATMUL_TILE, column = (int64_t)blockIdx.y * XV_MATMUL_TILE;
    const int64_t problem = blockIdx.z;
    const bool a_by_k = task.a_step != 1, b_by_k = task.b_step != 1;
    const bool has_sums = task.sums && blockIdx.y == 0;
    XvMatmulSide left = {problem * task.a_batch + row * task.a_row,
                         task.a_row,
                         task.a_step,
                         task.m - row,
                         task.k,
                         task.a_is_wide != 0,
                         task.is_tf32 != 0};
    XvMatmulSide right = {problem * task.b_batch + column * task.b_column,
                          task.b_column,
                          task.b_step,
                          task.n - column,
                          task.k,
                          task.b_is_wide != 0,
                          task.is_tf32 != 0};
    float c[2][4][4] = {}, row_sum = 0;
    int now = stage, next = 0;
#pragma unroll 1
    for (int64_t k = -XV_MATMUL_DEPTH; k < task.k; k += XV_MATMUL_DEPTH) {
        if (left.depth > 0) {
            xv_matmul_load<E>(a, next, task.a, left);
            xv_matmul_load<E>(b, next, task.b, right);
        }
        xv_copy_commit();
        left.first += XV_MATMUL_DEPTH * left.along;
        right.first += XV_MATMUL_DEPTH * right.along;
        left.depth = right.depth = left.depth - XV_MATMUL_DEPTH;
        if (k < 0) {
            now = next;
            next = stage - next;
            continue;
        }
        xv_copy_wait<1>();
        xv_sync_block();
        if (a_by_k) {
            b_by_k ? xv_matmul_multiply<KIND, true, true, E>(c, a, b, now)
                   : xv_matmul_multiply<KIND, true, false, E>(c, a, b, now);
        } else {
            b_by_k ? xv_matmul_multiply<KIND, false, true, E>(c, a, b, now)
                   : xv_matmul_multiply<KIND, false, false, E>(c, a, b, now);
        }
        if (has_sums && threadIdx.x < XV_MATMUL_TILE) {
            row_sum += xv_matmul_row_sum<E>(a, now, a_by_k);
        }
        xv_sync_block();
        next = now;
        now = stage - now;
    }
    const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
    const int64_t i0 = row + warp / 2 * XV_MATMUL_PART + lane / 4;
    const int64_t j0 = column + warp % 2 * XV_MATMUL_PART + lane % 4 * 2;
#pragma unroll
    for (int e = 0; e < 32; e++) {
        xv_matmul_store(task, i0 + e / 16 * 16 + e / 2 % 2 * 8, j0 + e / 4 % 4 * 8 + e % 2,
                        c[e / 16][e / 4 % 4][e % 4]);
    }
    if (has_sums && threadIdx.x < XV_MATMUL_TILE && row + threadIdx.x < task.m) {
        task.sums[row + threadIdx.x] = row_sum;
    }
}

XV_KERNEL(XV_MATMUL_THREADS) xv_matmul(XvMatmulTask task)
{
    xv_matmul_block<XvExact>(task);
}
XV_ENTRY(xv_matmul)

XV_KERNEL(XV_MATMUL_THREADS) xv_matmul_tf32(XvMatmulTask task)
{
    xv_matmul_block<XvTf32>(task);
}
XV_ENTRY(xv_matmul_tf32)

XV_KERNEL(XV_MATMUL_THREADS) xv_matmul_bf16(XvMatmulTask task)
{
    xv_matmul_block<XvBf16>(task);
}
XV_ENTRY(xv_matmul_bf16)

XV_KERNEL(XV_MATMUL_THREADS) xv_matmul_f16(XvMatmulTask task)
{
    xv_matmul_block<XvF16>(task);
}
XV_ENTRY(xv_matmul_f16)
