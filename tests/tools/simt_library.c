// The library kernels of the target cuda on the emulator against the functions of the target c, on random problems:
// simt_library. The kernels are in kernels_simt.so beside this program (tests/groups/cuda.sh compiles it).
#include "tests/tools/check.h"

#include "runtime/base/random.h"
#include "runtime/cuda/library.h"
#include "runtime/cuda/update.h"

static float *random_floats(int64_t count, uint64_t key)
{
    float *values = check_memory((size_t)(count + 1) * sizeof *values);
    XvStream stream = xv_stream(key);
    for (int64_t i = 0; i <= count; i++) {
        values[i] = (float)xv_stream_normal(&stream);
    }
    return values;
}

static float *copy_of(const float *values, int64_t count)
{
    float *copy = check_memory((size_t)(count + 1) * sizeof *copy);
    memcpy(copy, values, (size_t)(count + 1) * sizeof *copy);
    return copy;
}

// |a - b| in the L2 norm, relative to b.
static double distance(const float *a, const float *b, int64_t count)
{
    double difference = 0, size = 0;
    for (int64_t i = 0; i < count; i++) {
        difference += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        size += (double)b[i] * (double)b[i];
    }
    return size > 0 ? sqrt(difference / size) : sqrt(difference);
}

static void close_to(Check *check, const char *what, const float *got, const float *want, int64_t count)
{
    double error = distance(got, want, count);
    check_that(check, error <= 2e-6, "%s: %g from the target c", what, error);
}

static const char *named(const char *what, const char *part)
{
    char *text = check_memory(160);
    snprintf(text, 160, "%s: %s", what, part);
    return text;
}

static void finished(Check *check, XvDevice *device, const char *what)
{
    XvError error = {{0}};
    check_that(check, xv_device_wait(device, &error), "%s: %s", what, error.text);
}

// Matrix products -------------------------------------------------------------------------------------------------

static void gemm(Check *check, const XvRun *run, const XvGemm *shape)
{
    XvGemm g = *shape;
    int64_t a = g.batch * g.m * g.k * 2, b = g.batch * g.k * g.n * 2, c = g.batch * g.m * g.ldc;
    g.alpha = 1;
    g.a = random_floats(a, 1);
    g.b = random_floats(b, 2);
    float *want = random_floats(c, 3), *got = copy_of(want, c);
    g.c = want;
    xv_gemm(&g);
    g.c = got;
    xv_cuda_gemm(run, &g);
    char what[128];
    snprintf(what, sizeof what, "product %d x %d x %d, %d%d, %d problems", (int)g.m, (int)g.n, (int)g.k,
             g.trans_a, g.trans_b, (int)g.batch);
    finished(check, run->device, what);
    close_to(check, what, got, want, c);
}

static void gemms(Check *check, const XvRun *run)
{
    static const XvGemm SHAPES[] = {
        {.m = 64, .n = 64, .k = 16, .batch = 1, .lda = 16, .ldb = 64, .ldc = 64},
        {.m = 1, .n = 1, .k = 1, .batch = 1, .lda = 1, .ldb = 1, .ldc = 1},
        {.m = 65, .n = 130, .k = 33, .batch = 1, .lda = 40, .ldb = 131, .ldc = 140, .accumulate = true},
        {.m = 70,
         .n = 30,
         .k = 17,
         .batch = 3,
         .trans_a = true,
         .lda = 75,
         .ldb = 30,
         .ldc = 30,
         .batch_a = 17 * 75,
         .batch_b = 17 * 30,
         .batch_c = 70 * 30},
        {.m = 5,
         .n = 90,
         .k = 100,
         .batch = 2,
         .trans_b = true,
         .lda = 100,
         .ldb = 101,
         .ldc = 90,
         .batch_a = 500,
         .batch_c = 450},
        {.m = 33,
         .n = 20,
         .k = 50,
         .batch = 1,
         .trans_a = true,
         .trans_b = true,
         .lda = 33,
         .ldb = 50,
         .ldc = 20},
    };
    for (size_t i = 0; i < sizeof SHAPES / sizeof *SHAPES; i++) {
        gemm(check, run, &SHAPES[i]);
    }
}

// Attention -------------------------------------------------------------------------------------------------------

typedef struct Shape {
    int64_t batch, heads, n_query, n_key, head_dim, value_dim;
    int64_t windows;     // of a [windows, 1, n_query, n_key] bias; 0: none
    bool has_head_bias;  // [1, heads, n_query, n_key]
    bool has_key_mask;   // [batch, 1, 1, n_key]
    double rate;
} Shape;

static void add_bias(XvAttention *a, XvAttentionBias bias, int64_t count)
{
    bias.at = random_floats(count, 50 + (uint64_t)a->n_biases);
    a->bias[a->n_biases++] = bias;
}

static XvAttention attention_of(const Shape *s)
{
    XvAttention a = {.batch = s->batch,
                     .heads = s->heads,
                     .n_query = s->n_query,
                     .n_key = s->n_key,
                     .head_dim = s->head_dim,
                     .value_dim = s->value_dim,
                     .scale = 0.3f};
    int64_t square = s->n_query * s->n_key, q = s->heads * s->head_dim, v = s->heads * s->value_dim;
    a.q = (XvHeads){random_floats(s->batch * s->n_query * q, 11), s->n_query * q, s->head_dim, q};
    a.k = (XvHeads){random_floats(s->batch * s->n_key * q, 12), s->n_key * q, s->head_dim, q};
    a.v = (XvHeads){random_floats(s->batch * s->n_key * v, 13), s->n_key * v, s->value_dim, v};
    if (s->windows > 0) {
        add_bias(&a, (XvAttentionBias){NULL, square, 0, s->n_key, 1, 1, s->windows}, s->windows * square);
    }
    if (s->has_head_bias) {
        add_bias(&a, (XvAttentionBias){NULL, 0, square, s->n_key, 1, 1, 1}, s->heads * square);
    }
    if (s->has_key_mask) {
        add_bias(&a, (XvAttentionBias){NULL, s->n_key, 0, 0, 1, 1, s->batch}, s->batch * s->n_key);
    }
    return a;
}

// Results of a forward and a backward pass.
typedef struct Results {
    float *out, *lse, *dq, *dk, *dv, *d_bias[XV_MAX_BIASES];
} Results;

static Results results_of(const Shape *s)
{
    int64_t rows = s->batch * s->heads * s->n_query, keys = s->batch * s->heads * s->n_key;
    Results r = {random_floats(rows * s->value_dim, 21), random_floats(rows, 22),
                 random_floats(rows * s->head_dim, 23),  random_floats(keys * s->head_dim, 24),
                 random_floats(keys * s->value_dim, 25), {NULL, NULL}};
    for (int i = 0; i < XV_MAX_BIASES; i++) {
        r.d_bias[i] = random_floats(s->batch * s->heads * s->n_query * s->n_key, 27);
    }
    return r;
}

static void place(XvAttention *a, XvAttentionGrad *grad, const Shape *s, const Results *r)
{
    int64_t q = s->heads * s->head_dim, v = s->heads * s->value_dim;
    a->out = (XvHeadsOut){r->out, s->n_query * v, s->value_dim, v};
    a->lse = r->lse;
    *grad = (XvAttentionGrad){
        .forward = a,
        .d_out = {random_floats(s->batch * s->n_query * v, 14), s->n_query * v, s->value_dim, v},
        .dq = {r->dq, s->n_query * q, s->head_dim, q},
        .dk = {r->dk, s->n_key * q, s->head_dim, q},
        .dv = {r->dv, s->n_key * v, s->value_dim, v}};
    for (int i = 0; i < a->n_biases; i++) {
        grad->d_bias[i] = r->d_bias[i];
    }
}

static int64_t bias_elements(const XvAttention *a, int which)
{
    const XvAttentionBias *bias = &a->bias[which];
    return (bias->batch ? bias->modulus : 1) * (bias->head ? a->heads : 1) * (bias->query ? a->n_query : 1) *
           a->n_key;
}

static void attention(Check *check, const XvRun *run, const Shape *s)
{
    XvAttention a = attention_of(s);
    XvAttentionGrad grad;
    XvDraw draw = {.key = 77, .threshold = (uint32_t)(s->rate * 0x1p32), .scale = (float)(1 / (1 - s->rate))};
    a.keep = s->rate > 0 ? &draw : NULL;
    Results want = results_of(s), got = results_of(s);
    place(&a, &grad, s, &want);
    xv_attention(&a);
    xv_attention_grad(&grad);
    place(&a, &grad, s, &got);
    xv_cuda_attention(run, &a);
    xv_cuda_attention_grad(run, &grad);
    char what[128];
    snprintf(what, sizeof what, "attention %d of %d x %d, heads of %d and %d", (int)s->batch, (int)s->n_query,
             (int)s->n_key, (int)s->head_dim, (int)s->value_dim);
    finished(check, run->device, what);
    int64_t rows = s->batch * s->heads * s->n_query, keys = s->batch * s->heads * s->n_key;
    close_to(check, named(what, "out"), got.out, want.out, rows * s->value_dim);
    close_to(check, named(what, "lse"), got.lse, want.lse, rows);
    close_to(check, named(what, "dq"), got.dq, want.dq, rows * s->head_dim);
    close_to(check, named(what, "dk"), got.dk, want.dk, keys * s->head_dim);
    close_to(check, named(what, "dv"), got.dv, want.dv, keys * s->value_dim);
    for (int i = 0; i < a.n_biases; i++) {
        close_to(check, named(what, "d_bias"), got.d_bias[i], want.d_bias[i], bias_elements(&a, i));
    }
}

static void attentions(Check *check, const XvRun *run)
{
    static const Shape SHAPES[] = {
        {2, 2, 5, 7, 3, 3, 0, false, false, 0.0},    {4, 3, 16, 16, 8, 8, 2, true, false, 0.0},
        {4, 2, 16, 17, 16, 16, 0, false, true, 0.1}, {2, 2, 49, 49, 32, 32, 2, true, false, 0.0},
        {3, 2, 13, 9, 24, 40, 0, true, true, 0.3},   {2, 1, 40, 50, 64, 64, 0, false, true, 0.1},
        {1, 1, 1, 1, 1, 1, 0, false, false, 0.5},    {2, 2, 1, 33, 64, 128, 0, false, true, 0.0},
    };
    for (size_t i = 0; i < sizeof SHAPES / sizeof *SHAPES; i++) {
        attention(check, run, &SHAPES[i]);
    }
}

// Rows ------------------------------------------------------------------------------------------------------------

static void scatter(Check *check, const XvRun *run)
{
    enum { ROWS = 6, WIDTH = 150, COUNT = 200 };
    int32_t *index = check_memory(COUNT * sizeof *index);
    for (int i = 0; i < COUNT; i++) {
        index[i] = i * 7 % 11 % 8 - 1;  // -1..6: repeated, and outside on both sides
    }
    for (int is_cleared = 0; is_cleared < 2; is_cleared++) {
        float *want = random_floats(ROWS * WIDTH, 5), *got = copy_of(want, ROWS * WIDTH);
        XvRows rows = {.table = want,
                       .n_rows = ROWS,
                       .width = WIDTH,
                       .index = index,
                       .count = COUNT,
                       .rows = random_floats(COUNT * WIDTH, 6)};
        xv_scatter_add_rows(&rows, is_cleared);
        rows.table = got;
        xv_cuda_scatter_add_rows(run, &rows, is_cleared);
        finished(check, run->device, "scatter");
        bool is_same = memcmp(got, want, ROWS * WIDTH * sizeof *got) == 0;
        check_that(check, is_same, "scatter differs, cleared %d", is_cleared);
    }
}

// Several tables in a launch: one wider than a block's columns, one whose rows lie as columns, one of a column.
static void scatter_tables(Check *check, const XvRun *run)
{
    enum { COUNT = 130 };
    static const int64_t SIZES[][2] = {{3, 1100}, {9, 20}, {5, 1}};
    int32_t *index = check_memory(COUNT * sizeof *index);
    for (int i = 0; i < COUNT; i++) {
        index[i] = i * 5 % 13 % 10 - 1;
    }
    for (int is_cleared = 0; is_cleared < 2; is_cleared++) {
        XvRows tables[3];
        float *want[3];
        for (int i = 0; i < 3; i++) {
            int64_t n_rows = SIZES[i][0], width = SIZES[i][1];
            want[i] = random_floats(n_rows * width, 7);
            tables[i] = (XvRows){.table = want[i],
                                 .n_rows = n_rows,
                                 .width = width,
                                 .index = index,
                                 .rows = random_floats(COUNT * width, 8 + (uint64_t)i),
                                 .count = COUNT,
                                 .row_stride = i == 1 ? 1 : width,
                                 .column_stride = i == 1 ? COUNT : 1};
            float *got = copy_of(want[i], n_rows * width);
            xv_scatter_add_rows(&tables[i], is_cleared);
            tables[i].table = got;
        }
        xv_cuda_scatter_add_tables(run, tables, 3, is_cleared);
        finished(check, run->device, "scatter to tables");
        for (int i = 0; i < 3; i++) {
            size_t bytes = (size_t)(SIZES[i][0] * SIZES[i][1]) * sizeof(float);
            check_that(check, memcmp(tables[i].table, want[i], bytes) == 0, "table %d differs", i);
        }
    }
}

static void sample(Check *check, const XvRun *run)
{
    enum { ROWS = 200, COUNT = 37 };
    float *weights = random_floats(ROWS * COUNT, 8);
    memset(weights + 5 * COUNT, 0, COUNT * sizeof *weights);  // a row without weights
    int32_t want[ROWS], got[ROWS] = {0};
    XvDraw draw = {.key = 99};
    xv_sample_categorical(weights, ROWS, COUNT, &draw, want);
    xv_cuda_sample_categorical(run, weights, ROWS, COUNT, &draw, got);
    finished(check, run->device, "sample");
    check_that(check, memcmp(got, want, sizeof got) == 0, "samples differ");
    draw.given_index = want;
    memset(got, 0, sizeof got);
    xv_cuda_sample_categorical(run, weights, ROWS, COUNT, &draw, got);
    finished(check, run->device, "given sample");
    check_that(check, memcmp(got, want, sizeof got) == 0, "given samples differ");
}

static void top_k(Check *check, const XvRun *run)
{
    enum { ROWS = 5, COUNT = 300, K = 17 };
    float *values = random_floats(ROWS * COUNT, 9);
    for (int i = 0; i < COUNT; i++) {
        values[COUNT + i] = (float)(i % 10);              // ties
        values[2 * COUNT + i] = i % 3 ? NAN : (float)-i;  // more that are no numbers than numbers
        values[3 * COUNT + i] = i < 290 ? NAN : -INFINITY;
    }
    int32_t want[ROWS * K], got[ROWS * K] = {0};
    xv_top_k(values, ROWS, COUNT, K, want);
    xv_cuda_top_k(run, values, ROWS, COUNT, K, got);
    finished(check, run->device, "top_k");
    check_that(check, memcmp(got, want, sizeof got) == 0, "the largest differ");
}

int main(void)
{
    static const XvCudaProgram program = {.n_kernels = 0};
    Check check = {0};
    XvDevice device;
    XvError error = {{0}};
    if (!xv_device_open(&device, "simt", &program, &error)) {
        check_stop("%s", error.text);
    }
    XvRun run = {.device = &device};
    gemms(&check, &run);
    attentions(&check, &run);
    scatter(&check, &run);
    scatter_tables(&check, &run);
    sample(&check, &run);
    top_k(&check, &run);
    xv_device_close(&device);
    return check_finish(&check, "library kernels");
}
