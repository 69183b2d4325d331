// Prints speed tables of the CPU kernels: elementary functions, keep draws, matrix products by every kernel,
// attention, row operations. Medians over rounds in which the candidates take turns, so that a machine that
// changes its pace changes it for all; the best round stands beside them.
//
// usage: bench_kernels [rounds]     threads as OMP_NUM_THREADS says; OMP_PROC_BIND=true for steady numbers
#include "runtime/device/kernels.h"

#include <omp.h>
#include <stdio.h>

enum { MAX_ROUNDS = 101, MAX_CANDIDATES = 8 };

typedef struct Bench {
    int rounds;
    double seconds[MAX_CANDIDATES][MAX_ROUNDS];
} Bench;

typedef void (*Work)(const void *args);

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Seconds of one call: as many calls as fill two milliseconds.
static double time_work(Work work, const void *args)
{
    double start = omp_get_wtime(), now;
    int calls = 0;
    do {
        work(args);
        calls++;
        now = omp_get_wtime();
    } while (now - start < 2e-3);
    return (now - start) / calls;
}

static double median(Bench *bench, int candidate)
{
    qsort(bench->seconds[candidate], (size_t)bench->rounds, sizeof(double), by_size);
    return bench->seconds[candidate][bench->rounds / 2];
}

// "median/best" of amount per second, in units of 1e9.
static void print_rate(Bench *bench, int candidate, double amount)
{
    double middle = median(bench, candidate);
    printf(" %7.1f/%-6.1f", amount / middle * 1e-9, amount / bench->seconds[candidate][0] * 1e-9);
}

static float *random_floats(int64_t count)
{
    float *values = aligned_alloc(64, (size_t)(count + 16) / 16 * 64);
    uint32_t state = 1;
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = (float)(state >> 8) * 0x1p-23f - 1.0f;
    }
    return values;
}

typedef struct Loop {
    float *to;
    const float *from;
} Loop;

enum { LOOP_COUNT = 4096 };

#define LOOP(function)                                           \
    static void loop_##function(const void *args)                \
    {                                                            \
        float *restrict to = ((const Loop *)args)->to;           \
        const float *restrict from = ((const Loop *)args)->from; \
        _Pragma("omp simd") for (int i = 0; i < LOOP_COUNT; i++) \
        {                                                        \
            to[i] = function(from[i]);                           \
        }                                                        \
    }
LOOP(xv_exp)
LOOP(xv_log)
LOOP(xv_erf)
LOOP(xv_tanh)
LOOP(xv_sigmoid)
LOOP(xv_gelu)
LOOP(xv_gelu_grad)
LOOP(xv_quick_gelu)
LOOP(xv_rsqrt)

static void loop_keep(const void *args)
{
    const XvDraw draw = {.key = 1, .threshold = 1u << 30, .scale = 1.25f};
    xv_keep_row(&draw, 0, LOOP_COUNT, ((const Loop *)args)->to);
}

static void bench_functions(Bench *bench)
{
    static const struct {
        const char *name;
        Work work;
    } loops[] = {
        {"exp", loop_xv_exp},
        {"log", loop_xv_log},
        {"erf", loop_xv_erf},
        {"tanh", loop_xv_tanh},
        {"sigmoid", loop_xv_sigmoid},
        {"gelu", loop_xv_gelu},
        {"gelu_grad", loop_xv_gelu_grad},
        {"quick_gelu", loop_xv_quick_gelu},
        {"rsqrt", loop_xv_rsqrt},
        {"keep", loop_keep},
    };
    float *from = random_floats(LOOP_COUNT), *to = random_floats(LOOP_COUNT);
    const Loop args = {to, from};
    printf("one thread, in cache, ns per element:\n");
    for (size_t i = 0; i < sizeof loops / sizeof loops[0]; i++) {
        for (int r = 0; r < bench->rounds; r++) {
            bench->seconds[0][r] = time_work(loops[i].work, &args);
        }
        printf("  %-12s %.3f\n", loops[i].name, median(bench, 0) / LOOP_COUNT * 1e9);
    }
    free(from);
    free(to);
}

typedef struct Product {
    XvGemm gemm;
    XvGemmKernel kernel;
} Product;

static void work_gemm(const void *args)
{
    const Product *product = args;
    xv_gemm_with(&product->gemm, product->kernel);
}

// Rows, outputs and inputs of a linear layer: forward, gradient of the input, gradient of the weight.
static void bench_layer(Bench *bench, const int64_t shape[3])
{
    static const char *const names[] = {"y  = x W^T", "dx = dy W", "dW = dy^T x"};
    int64_t rows = shape[0], out = shape[1], in = shape[2];
    float *x = random_floats(rows * in), *w = random_floats(out * in), *y = random_floats(rows * out);
    const XvGemm problems[] = {
        {.m = rows,
         .n = out,
         .k = in,
         .trans_b = true,
         .a = x,
         .lda = in,
         .b = w,
         .ldb = in,
         .c = y,
         .ldc = out},
        {.m = rows, .n = in, .k = out, .a = y, .lda = out, .b = w, .ldb = in, .c = x, .ldc = in},
        {.m = out,
         .n = in,
         .k = rows,
         .trans_a = true,
         .a = y,
         .lda = out,
         .b = x,
         .ldb = in,
         .c = w,
         .ldc = in},
    };
    for (int p = 0; p < 3; p++) {
        Product product = {problems[p], XV_GEMM_PACKED};
        product.gemm.alpha = 1e-3f;
        product.gemm.batch = 1;
        for (int r = 0; r < bench->rounds; r++) {
            for (int k = 0; k < 4; k++) {
                product.kernel = (XvGemmKernel)k;
                bool applies = k != XV_GEMM_DOT || p == 0;
                bench->seconds[k][r] = applies ? time_work(work_gemm, &product) : 1e9;
            }
        }
        printf("  %6lld %5lld %5lld %-12s", (long long)rows, (long long)out, (long long)in, names[p]);
        for (int k = 0; k < 4; k++) {
            print_rate(bench, k, 2.0 * (double)rows * (double)out * (double)in);
            printf("%s", k == (int)xv_gemm_kernel(&product.gemm) ? "<" : " ");
        }
        printf("\n");
        fflush(stdout);
    }
    free(x);
    free(w);
    free(y);
}

static void bench_gemm(Bench *bench)
{
    static const int64_t shapes[][3] = {
        {512, 32, 32},     {512, 64, 64},     {512, 128, 128},   {2048, 48, 48},   {2048, 96, 96},
        {2048, 256, 64},   {2048, 64, 256},   {8192, 32, 32},    {8192, 96, 32},   {8192, 64, 64},
        {8192, 128, 128},  {8192, 192, 192},  {4096, 256, 256},  {4096, 384, 384}, {8192, 512, 512},
        {25088, 512, 128}, {1568, 2048, 512}, {1568, 512, 2048}, {320, 3072, 768}, {196, 2048, 512},
        {49, 4096, 1024},  {12, 3072, 768},   {3, 3072, 768},
    };
    printf("linear layers of rows, outputs, inputs; GFLOP/s of each kernel (< is the rule's choice):\n");
    printf("  %31s %15s %15s %15s %15s\n", "", "dot", "packed", "blas", "split");
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        bench_layer(bench, shapes[s]);
    }
}

typedef struct Shape {
    const char *name;
    int64_t batch, heads, n_query, n_key, dim;
    int64_t windows;  // 0: a key mask instead of head bias and window mask
    double rate;
} Shape;

static void work_attention(const void *args)
{
    xv_attention(((const XvAttentionGrad *)args)->forward);
}

static void work_attention_grad(const void *args)
{
    xv_attention_grad(args);
}

static void bench_attention_shape(Bench *bench, const Shape *s)
{
    int64_t width = s->heads * s->dim, square = s->n_query * s->n_key, row = 3 * width;
    int64_t n_query = s->batch * s->n_query, n_key = s->batch * s->n_key;
    float *q = random_floats(n_query * row), *kv = random_floats(n_key * row),
          *out = random_floats(n_query * width);
    float *dq = random_floats(n_query * row), *dkv = random_floats(n_key * row);
    float *bias = random_floats(s->heads * square), *d_bias = random_floats(s->heads * square);
    float *mask = random_floats((s->windows + 1) * square + n_key);
    XvDraw draw = {
        .key = 1, .threshold = (uint32_t)(s->rate * 4294967296.0), .scale = (float)(1.0 / (1.0 - s->rate))};
    XvAttention attention = {.batch = s->batch,
                             .heads = s->heads,
                             .n_query = s->n_query,
                             .n_key = s->n_key,
                             .head_dim = s->dim,
                             .value_dim = s->dim,
                             .scale = 0.2f,
                             .keep = &draw,
                             .n_biases = 1,
                             .q = {q, s->n_query * row, s->dim, row},
                             .k = {kv + width, s->n_key * row, s->dim, row},
                             .v = {kv + 2 * width, s->n_key * row, s->dim, row},
                             .out = {out, s->n_query * width, s->dim, width},
                             .bias = {{mask, s->n_key, 0, 0, 1, 1, s->batch}}};
    XvAttentionGrad grad = {.forward = &attention,
                            .d_out = {out, s->n_query * width, s->dim, width},
                            .dq = {dq, s->n_query * row, s->dim, row},
                            .dk = {dkv + width, s->n_key * row, s->dim, row},
                            .dv = {dkv + 2 * width, s->n_key * row, s->dim, row}};
    if (s->windows > 0) {
        attention.n_biases = 2;
        attention.bias[0] = (XvAttentionBias){bias, 0, square, s->n_key, 1, 1, 1};
        attention.bias[1] = (XvAttentionBias){mask, square, 0, s->n_key, 1, 1, s->windows};
        grad.d_bias[0] = d_bias;
    }
    for (int r = 0; r < bench->rounds; r++) {
        bench->seconds[0][r] = time_work(work_attention, &grad);
        bench->seconds[1][r] = time_work(work_attention_grad, &grad);
    }
    double flops = 4.0 * (double)(s->batch * s->heads * square * s->dim);
    printf("  %-28s", s->name);
    print_rate(bench, 0, flops);
    print_rate(bench, 1, 2.5 * flops);
    printf("  time x%.2f\n", median(bench, 1) / median(bench, 0));
    fflush(stdout);
    float *all[] = {q, kv, out, dq, dkv, bias, d_bias, mask};
    for (int i = 0; i < 8; i++) {
        free(all[i]);
    }
}

static void bench_attention(Bench *bench)
{
    static const Shape shapes[] = {
        {"swin 49, 4 heads of 32", 128, 4, 49, 49, 32, 64, 0.0},
        {"swin 49, 16 heads of 32", 32, 16, 49, 49, 32, 4, 0.0},
        {"swin 144, 16 heads of 32", 16, 16, 144, 144, 32, 4, 0.0},
        {"bert 40, dropout", 8, 12, 40, 40, 64, 0, 0.1},
        {"bert 40", 8, 12, 40, 40, 64, 0, 0.0},
        {"fusion 40 x 50, dropout", 16, 12, 40, 50, 64, 0, 0.1},
        {"fusion 40 x 145, dropout", 8, 12, 40, 145, 64, 0, 0.1},
        {"vit 197", 4, 12, 197, 197, 64, 0, 0.0},
        {"tiny window 16, 4 heads of 8", 256, 4, 16, 16, 8, 4, 0.0},
        {"tiny window 16, 4 heads of 16", 256, 4, 16, 16, 16, 4, 0.0},
        {"tiny 16 x 17, dropout", 128, 4, 16, 17, 16, 0, 0.1},
        {"decoding 1 x 50", 8, 12, 1, 50, 64, 0, 0.0},
    };
    printf("attention, GFLOP/s forward and backward (2.5 times the products):\n");
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        bench_attention_shape(bench, &shapes[s]);
    }
}

static void work_scatter(const void *args)
{
    xv_scatter_add_rows(args, true);
}

static void work_squares(const void *args)
{
    const XvRows *rows = args;
    volatile double sum = xv_sum_squares(rows->table, rows->n_rows * rows->width);
    (void)sum;
}

static void bench_rows(Bench *bench)
{
    enum { VOCABULARY = 30522, WIDTH = 768, TOKENS = 320 };
    int32_t index[TOKENS];
    for (int i = 0; i < TOKENS; i++) {
        index[i] = i % 40 > 12 ? 0 : i * 7919 % VOCABULARY;
    }
    XvRows rows = {random_floats((int64_t)VOCABULARY * WIDTH),
                   VOCABULARY,
                   WIDTH,
                   index,
                   random_floats(TOKENS * WIDTH),
                   TOKENS};
    for (int r = 0; r < bench->rounds; r++) {
        bench->seconds[0][r] = time_work(work_scatter, &rows);
        bench->seconds[1][r] = time_work(work_squares, &rows);
    }
    double bytes = 4.0 * VOCABULARY * WIDTH;
    printf("rows, GB/s: gradient of the word table (cleared, 320 tokens)");
    print_rate(bench, 0, bytes);
    printf("  norm of it");
    print_rate(bench, 1, bytes);
    printf("\n");
    free(rows.table);
    free(rows.rows);
}

int main(int argc, char **argv)
{
    static Bench bench;
    bench.rounds = argc > 1 ? atoi(argv[1]) : 11;
    bench.rounds = bench.rounds < 1 ? 1 : bench.rounds > MAX_ROUNDS ? MAX_ROUNDS : bench.rounds;
    printf("%d threads, %d rounds; median/best\n", omp_get_max_threads(), bench.rounds);
    bench_functions(&bench);
    bench_attention(&bench);
    bench_rows(&bench);
    bench_gemm(&bench);
    return 0;
}
