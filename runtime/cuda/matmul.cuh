// The generated program's own matrix product: any strides, single precision, for shapes and machines without cuBLASLt.
// A block computes a tile of C from tiles of A and B in shared memory; a thread keeps 8 x 4 sums in registers. Sums run
// over k in order, so results do not depend on the machine.

constexpr int XV_MATMUL_DEPTH = 16;
constexpr int XV_MATMUL_ROW = XV_MATMUL_TILE + 4;
constexpr int XV_MATMUL_BY_ROW = 8;
constexpr int XV_MATMUL_BY_COLUMN = 4;

// Fills tile[k][i] with source[i * across + k * along], zero beyond the edges. Neighbouring threads read neighbouring
// elements whichever stride is one.
XV_FN void xv_matmul_load(XV_SHARED_REF(float) tile, const XvSpan<const float> &source, int64_t first, int64_t extent,
                          int64_t across, int64_t along, int64_t depth)
{
    for (int e = (int)threadIdx.x; e < XV_MATMUL_TILE * XV_MATMUL_DEPTH; e += XV_MATMUL_THREADS) {
        int i = along == 1 ? e / XV_MATMUL_DEPTH : e % XV_MATMUL_TILE;
        int k = along == 1 ? e % XV_MATMUL_DEPTH : e / XV_MATMUL_TILE;
        bool is_inside = i < extent && k < depth;
        tile[k * XV_MATMUL_ROW + i] = is_inside ? source[first + i * across + k * along] : 0.0f;
    }
}

XV_KERNEL(XV_MATMUL_THREADS) xv_matmul(XvMatmulTask task)
{
    XV_SHARED(float, a_tile, XV_MATMUL_DEPTH * XV_MATMUL_ROW);
    XV_SHARED(float, b_tile, XV_MATMUL_DEPTH * XV_MATMUL_ROW);
    const int64_t row = (int64_t)blockIdx.x * XV_MATMUL_TILE, column = (int64_t)blockIdx.y * XV_MATMUL_TILE;
    const int64_t problem = blockIdx.z;
    const int i0 = (int)threadIdx.x / 16 * XV_MATMUL_BY_ROW, j0 = (int)threadIdx.x % 16 * XV_MATMUL_BY_COLUMN;
    float sum[XV_MATMUL_BY_ROW][XV_MATMUL_BY_COLUMN] = {};
    for (int64_t k = 0; k < task.k; k += XV_MATMUL_DEPTH) {
        xv_matmul_load(a_tile, task.a, problem * task.a_batch + row * task.a_row + k * task.a_step, task.m - row,
                       task.a_row, task.a_step, task.k - k);
        xv_matmul_load(b_tile, task.b, problem * task.b_batch + column * task.b_column + k * task.b_step,
                       task.n - column, task.b_column, task.b_step, task.k - k);
        xv_sync_block();
        for (int d = 0; d < XV_MATMUL_DEPTH; d++) {
            float a[XV_MATMUL_BY_ROW], b[XV_MATMUL_BY_COLUMN];
#pragma unroll
            for (int i = 0; i < XV_MATMUL_BY_ROW; i++) {
                a[i] = a_tile[d * XV_MATMUL_ROW + i0 + i];
            }
#pragma unroll
            for (int j = 0; j < XV_MATMUL_BY_COLUMN; j++) {
                b[j] = b_tile[d * XV_MATMUL_ROW + j0 + j];
            }
#pragma unroll
            for (int i = 0; i < XV_MATMUL_BY_ROW; i++) {
#pragma unroll
                for (int j = 0; j < XV_MATMUL_BY_COLUMN; j++) {
                    sum[i][j] = xv_fma(a[i], b[j], sum[i][j]);
                }
            }
        }
        xv_sync_block();
    }
#pragma unroll
    for (int i = 0; i < XV_MATMUL_BY_ROW; i++) {
#pragma unroll
        for (int j = 0; j < XV_MATMUL_BY_COLUMN; j++) {
            if (row + i0 + i < task.m && column + j0 + j < task.n) {
                int64_t at = problem * task.c_batch + (row + i0 + i) * task.c_row + column + j0 + j;
                task.c[at] = task.is_added ? task.c[at] + sum[i][j] : sum[i][j];
            }
        }
    }
}
XV_ENTRY(xv_matmul)
