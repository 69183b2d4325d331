// The library kernels of the target cuda on the emulator in every type, against sums in double precision over the
// numbers as they are stored: simt_types [DEVICE]. The kernels are in kernels_simt.so beside this program
// (tests/groups/cuda.sh compiles it). Tolerances are bounds, element by element: a sum of n products in single
// precision is off by at most (n + 1) u |a| |b|, u = 2^-24, whatever its order; a result in p bits by 2^-p of itself.
#include "tests/tools/simt_types.h"

#include "runtime/base/half.h"
#include "runtime/base/random.h"
#include "runtime/cuda/library.h"

// The buffer as the device sees it.
static void *sent(XvDevice *device, void *host, XvDtype type, int64_t count)
{
    XvError error = {{0}};
    size_t bytes = (size_t)count * (type == XV_F32 ? 4 : 2);
    void *memory = device->kind->is_host_memory ? host : device->kind->allocate(device, bytes, &error);
    if (!memory || (memory != host && !device->kind->write(device, memory, host, bytes, &error))) {
        check_stop("%s", error.text);
    }
    return memory;
}

// Products --------------------------------------------------------------------------------------------------------

// What element (i, k) of operand A, or (k, i) of B, is multiplied as.
static double factor(const XvGemm *g, bool is_a, int64_t problem, int64_t i, int64_t k)
{
    int64_t stride = is_a ? g->lda : g->ldb;
    bool is_by_k = is_a ? g->trans_a : !g->trans_b;
    int64_t at = problem * (is_a ? g->batch_a : g->batch_b) + (is_by_k ? k * stride + i : i * stride + k);
    XvDtype type = is_a ? g->type_a : g->type_b;
    double x = value_of(is_a ? g->a : g->b, type, at);
    return type == XV_F32 && g->is_tf32 ? (double)xv_tf32_round((float)x) : x;
}

// Against C before the product.
static void compare(Check *check, const char *what, const XvGemm *g, const void *before)
{
    double worst = 0;
    for (int64_t p = 0; p < g->batch; p++) {
        for (int64_t i = 0; i < g->m; i++) {
            for (int64_t j = 0; j < g->n; j++) {
                int64_t at = p * g->batch_c + i * g->ldc + j;
                double want = g->accumulate ? value_of(before, g->type_c, at) : 0, size = fabs(want);
                double bias = g->bias ? value_of(g->bias, g->type_bias, j) : 0;
                want += bias;
                size += fabs(bias);
                for (int64_t k = 0; k < g->k; k++) {
                    double term = factor(g, true, p, i, k) * factor(g, false, p, j, k);
                    want += term;
                    size += fabs(term);
                }
                double bound = (double)(g->k + 3) * 0x1p-24 * size;
                bound += rounding_of(g->type_c) * (fabs(want) + bound);
                double error = fabs(value_of(g->c, g->type_c, at) - want);
                worst = fmax(worst, bound > 0 ? error / bound : error > 0 ? INFINITY : 0);
            }
        }
    }
    check_that(check, worst <= 1, "%s: %g of the bound", what, worst);
}

// Whether tf32 is what is added up, or what it is made from, is left open.
static void compare_sums(Check *check, const char *what, const XvGemm *g)
{
    double worst = 0;
    for (int64_t i = 0; i < g->m; i++) {
        double want = 0, size = 0;
        for (int64_t k = 0; k < g->k; k++) {
            double term = factor(g, true, 0, i, k);
            want += term;
            size += fabs(term);
        }
        double bound = ((double)(g->k + 1) * 0x1p-24 + (g->is_tf32 ? 0x1p-11 : 0)) * size;
        worst = fmax(worst, fabs((double)g->sums[i] - want) / bound);
    }
    check_that(check, worst <= 1, "sums of %s: %g of the bound", what, worst);
}

// Elements back from the device.
static void fetched(XvDevice *device, void *host, const void *memory, size_t bytes)
{
    XvError error = {{0}};
    if (memory != host && !device->kind->read(device, host, memory, bytes, &error)) {
        check_stop("%s", error.text);
    }
}

typedef struct Types {
    XvDtype a, b, c;
    bool is_tf32, is_added;
    bool has_vectors;  // a bias and, of a single problem, sums
} Types;

static void product(Check *check, const XvRun *run, const Types *types, const XvGemm *shape)
{
    XvGemm g = *shape;
    int64_t c = g.batch * g.m * g.ldc;
    g.alpha = 1;
    g.type_a = types->a, g.type_b = types->b, g.type_c = types->c;
    g.is_tf32 = types->is_tf32, g.accumulate = types->is_added;
    void *a = random_elements(g.type_a, g.batch * 80 * g.lda, 1, 1);
    void *b = random_elements(g.type_b, g.batch * 80 * g.ldb, 2, 1);
    void *after = random_elements(g.type_c, c, 3, 1), *before = random_elements(g.type_c, c, 3, 1);
    XvDevice *device = run->device;
    g.a = sent(device, a, g.type_a, g.batch * 80 * g.lda);
    g.b = sent(device, b, g.type_b, g.batch * 80 * g.ldb);
    g.c = sent(device, after, g.type_c, c);
    void *bias = random_elements(types->c, g.n, 4, 1);
    float *sums = random_elements(XV_F32, g.m, 5, 1);
    g.type_bias = types->c;
    g.bias = types->has_vectors ? sent(device, bias, g.type_bias, g.n) : NULL;
    g.sums = types->has_vectors && g.batch == 1 ? sent(device, sums, XV_F32, g.m) : NULL;
    xv_cuda_gemm(run, &g);
    char what[128];
    snprintf(what, sizeof what, "%s x %s -> %s, %d x %d x %d, %d%d", type_name(g.type_a, g.is_tf32),
             type_name(g.type_b, g.is_tf32), type_name(g.type_c, false), (int)g.m, (int)g.n, (int)g.k,
             g.trans_a, g.trans_b);
    finished(check, device, what);
    fetched(device, after, g.c, (size_t)c * (g.type_c == XV_F32 ? 4 : 2));
    g.a = a, g.b = b, g.c = after;
    g.bias = types->has_vectors ? bias : NULL;
    compare(check, what, &g, before);
    if (g.sums) {
        fetched(device, sums, g.sums, (size_t)g.m * sizeof *sums);
        g.sums = sums;
        compare_sums(check, what, &g);
    }
}

static void products(Check *check, const XvRun *run)
{
    static const Types TYPES[] = {
        {XV_BF16, XV_BF16, XV_BF16, false, false, true}, {XV_BF16, XV_BF16, XV_F32, false, true, false},
        {XV_F16, XV_F16, XV_F16, false, true, false},    {XV_F16, XV_F16, XV_F32, false, false, true},
        {XV_F32, XV_F32, XV_F32, true, true, false},     {XV_F32, XV_F32, XV_F32, true, false, true},
        {XV_F32, XV_F32, XV_F32, false, false, true},    {XV_F32, XV_F32, XV_F32, false, true, false},
        {XV_F32, XV_BF16, XV_F32, true, false, true},    {XV_F16, XV_F32, XV_BF16, false, true, true},
    };
    // Rows on 16 bytes and not; edges within tiles and within 16 bytes; several problems.
    static const XvGemm SHAPES[] = {
        {.m = 72, .n = 72, .k = 72, .batch = 1, .lda = 80, .ldb = 80, .ldc = 72},
        {.m = 65, .n = 67, .k = 33, .batch = 1, .lda = 71, .ldb = 71, .ldc = 70},
        {.m = 17,
         .n = 5,
         .k = 50,
         .batch = 3,
         .lda = 56,
         .ldb = 56,
         .ldc = 8,
         .batch_a = 2832,
         .batch_c = 136},
    };
    for (size_t t = 0; t < sizeof TYPES / sizeof *TYPES; t++) {
        for (size_t s = 0; s < sizeof SHAPES / sizeof *SHAPES; s++) {
            for (int way = 0; way < 4; way++) {
                XvGemm shape = SHAPES[s];
                shape.trans_a = way / 2, shape.trans_b = way % 2;
                shape.batch_b = shape.batch > 1 ? shape.k * shape.ldb : 0;
                product(check, run, &TYPES[t], &shape);
            }
        }
    }
}

int main(int argc, char **argv)
{
    static const XvCudaProgram program = {.n_kernels = 0, .kernel_text = ""};
    Check check = {0};
    XvDevice device;
    XvError error = {{0}};
    if (!xv_device_open(&device, argc > 1 ? argv[1] : "simt", &program, &error)) {
        check_stop("%s", error.text);
    }
    XvRun run = {.device = &device};
    products(&check, &run);
    xv_device_close(&device);
    return check_finish(&check, "library kernels in all types");
}
