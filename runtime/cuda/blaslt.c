// cuBLASLt behind XvGemm; see blaslt.h. The library stores columns side by side: a row-major C = A B is its C' = B' A',
// with the same memory.
#include "runtime/cuda/blaslt.h"

#include "runtime/cuda/libraries.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// Constants of cublasLt.h.
enum {
    REAL_32 = 0,
    REAL_16 = 2,
    BRAIN_16 = 14,
    COMPUTE_32 = 68,
    COMPUTE_TF32 = 77,
    DESC_TRANSPOSE_A = 3,
    DESC_TRANSPOSE_B = 4,
    DESC_EPILOGUE = 7,
    DESC_BIAS = 8,  // address of what the epilogue adds or leaves
    LAYOUT_BATCH = 5,
    LAYOUT_STRIDE = 6,
    PREFERENCE_WORKSPACE = 1,
    PREFERENCE_REDUCTIONS = 3,
    PREFERENCE_ALIGNMENT = 5,  // of A; B, C and D follow
    EPILOGUE_NONE = 1,
    EPILOGUE_BIAS = 4,           // a value per row of C'
    EPILOGUE_SUMS = 512,         // BGRADB: sums of B' over k
    REDUCTION_IN_WORKSPACE = 2,  // parts of a split sum are kept and added in order
    NOT_SUPPORTED = 15,
};

// What operands are known to lie on, in bytes. The library takes 256 for granted unless it is told.
enum { ALIGNMENT = 16 };

typedef struct Algorithm {
    uint64_t data[8];
} Algorithm;

typedef struct Choice {
    Algorithm algorithm;
    size_t workspace;
    int status;
    float waves;
    int reserved[4];
} Choice;

#define BLASLT_CALLS(X)                                                                            \
    X(create, "cublasLtCreate", (void **handle))                                                   \
    X(destroy, "cublasLtDestroy", (void *handle))                                                  \
    X(desc_create, "cublasLtMatmulDescCreate", (void **desc, int compute, int scale))              \
    X(desc_destroy, "cublasLtMatmulDescDestroy", (void *desc))                                     \
    X(desc_set, "cublasLtMatmulDescSetAttribute",                                                  \
      (void *desc, int attribute, const void *value, size_t size))                                 \
    X(layout_create, "cublasLtMatrixLayoutCreate",                                                 \
      (void **layout, int type, uint64_t rows, uint64_t columns, int64_t stride))                  \
    X(layout_destroy, "cublasLtMatrixLayoutDestroy", (void *layout))                               \
    X(layout_set, "cublasLtMatrixLayoutSetAttribute",                                              \
      (void *layout, int attribute, const void *value, size_t size))                               \
    X(preference_create, "cublasLtMatmulPreferenceCreate", (void **preference))                    \
    X(preference_destroy, "cublasLtMatmulPreferenceDestroy", (void *preference))                   \
    X(preference_set, "cublasLtMatmulPreferenceSetAttribute",                                      \
      (void *preference, int attribute, const void *value, size_t size))                           \
    X(choose, "cublasLtMatmulAlgoGetHeuristic",                                                    \
      (void *handle, void *desc, void *a, void *b, void *c, void *d, void *preference, int wanted, \
       Choice *choices, int *found))                                                               \
    X(matmul, "cublasLtMatmul",                                                                    \
      (void *handle, void *desc, const void *alpha, const void *a, void *a_layout, const void *b,  \
       void *b_layout, const void *beta, const void *c, void *c_layout, void *d, void *d_layout,   \
       const Algorithm *algorithm, void *workspace, size_t bytes, void *stream))

#define BLASLT_FIELD(field, symbol, parameters) int(*field) parameters;

// A kind of product: its sizes, without pointers, and what the library made of it.
typedef struct Plan {
    XvGemm shape;
    uint32_t epilogue;
    void *desc, *layout[3];  // of A, B and C as the library sees them
    Algorithm algorithm;
    bool is_possible;
} Plan;

struct XvBlasLt {
    void *library, *handle, *preference, *workspace;
    BLASLT_CALLS(BLASLT_FIELD)
    Plan *plans;
    int n_plans;
};

static bool good(int status, const char *call, XvError *error)
{
    return status == 0 || xv_fail(error, "%s: cuBLAS status %d", call, status);
}

// Opening ---------------------------------------------------------------------------------------------------------

#define LOAD(field, symbol, parameters) \
    &&xv_cuda_function(blas->library, "libcublasLt", symbol, &blas->field, error)

static bool prefer(const XvBlasLt *blas, int attribute, const void *value, size_t size, XvError *error)
{
    return good(blas->preference_set(blas->preference, attribute, value, size),
                "cublasLtMatmulPreferenceSetAttribute", error);
}

static bool prefer_aligned(const XvBlasLt *blas, XvError *error)
{
    const uint32_t bytes = ALIGNMENT;
    bool is_good = true;
    for (int i = 0; i < 4 && is_good; i++) {
        is_good = prefer(blas, PREFERENCE_ALIGNMENT + i, &bytes, sizeof bytes, error);
    }
    return is_good;
}

static bool set_up(XvBlasLt *blas, XvError *error)
{
    static const XvLibraryFile file = {"libcublasLt.so", NULL, "nvidia-cublas"};
    const size_t workspace = XV_BLASLT_WORKSPACE;
    const uint32_t reductions = REDUCTION_IN_WORKSPACE;
    blas->library = xv_cuda_library(&file, NULL, error);
    return blas->library BLASLT_CALLS(LOAD) && good(blas->create(&blas->handle), "cublasLtCreate", error) &&
           good(blas->preference_create(&blas->preference), "cublasLtMatmulPreferenceCreate", error) &&
           prefer(blas, PREFERENCE_WORKSPACE, &workspace, sizeof workspace, error) &&
           prefer(blas, PREFERENCE_REDUCTIONS, &reductions, sizeof reductions, error) &&
           prefer_aligned(blas, error);
}

bool xv_blaslt_open(XvBlasLt **opened, void *workspace, XvError *error)
{
    XvBlasLt *blas = calloc(1, sizeof *blas);
    *opened = NULL;
    if (!blas) {
        return xv_fail(error, "no memory");
    }
    blas->workspace = workspace;
    if (!set_up(blas, error)) {
        xv_blaslt_close(blas);
        return false;
    }
    *opened = blas;
    return true;
}

static void free_plan(const XvBlasLt *blas, Plan *plan)
{
    for (int i = 0; i < 3; i++) {
        if (plan->layout[i]) {
            blas->layout_destroy(plan->layout[i]);
        }
    }
    if (plan->desc) {
        blas->desc_destroy(plan->desc);
    }
}

void xv_blaslt_close(XvBlasLt *blas)
{
    if (!blas) {
        return;
    }
    for (int i = 0; i < blas->n_plans; i++) {
        free_plan(blas, &blas->plans[i]);
    }
    if (blas->preference) {
        blas->preference_destroy(blas->preference);
    }
    if (blas->handle) {
        blas->destroy(blas->handle);
    }
    if (blas->library) {
        dlclose(blas->library);
    }
    free(blas->plans);
    free(blas);
}

// Plans -----------------------------------------------------------------------------------------------------------

typedef struct Matrix {
    int64_t rows, columns, stride;  // columns lie `stride` elements apart
    int64_t batch;                  // elements to the next problem
    XvDtype type;
} Matrix;

static int library_type(XvDtype type)
{
    return type == XV_F16 ? REAL_16 : type == XV_BF16 ? BRAIN_16 : REAL_32;
}

static bool make_layout(const XvBlasLt *blas, void **layout, const Matrix *matrix, int64_t batch,
                        XvError *error)
{
    const int32_t count = (int32_t)batch;
    int status = blas->layout_create(layout, library_type(matrix->type), (uint64_t)matrix->rows,
                                     (uint64_t)matrix->columns, matrix->stride);
    return good(status, "cublasLtMatrixLayoutCreate", error) &&
           (batch == 1 ||
            (good(blas->layout_set(*layout, LAYOUT_BATCH, &count, sizeof count),
                  "cublasLtMatrixLayoutSetAttribute", error) &&
             good(blas->layout_set(*layout, LAYOUT_STRIDE, &matrix->batch, sizeof matrix->batch),
                  "cublasLtMatrixLayoutSetAttribute", error)));
}

static bool set(const XvBlasLt *blas, const Plan *plan, int attribute, const void *value, size_t size,
                XvError *error)
{
    int status = blas->desc_set(plan->desc, attribute, value, size);
    return good(status, "cublasLtMatmulDescSetAttribute", error);
}

static uint32_t epilogue_of(const XvGemm *gemm)
{
    return gemm->bias ? EPILOGUE_BIAS : gemm->sums ? EPILOGUE_SUMS : EPILOGUE_NONE;
}

// What the epilogue adds or leaves is not part of a plan.
static bool set_vector(const XvBlasLt *blas, const Plan *plan, const XvGemm *gemm, XvError *error)
{
    const void *vector = gemm->bias ? gemm->bias : gemm->sums;
    return !vector || set(blas, plan, DESC_BIAS, &vector, sizeof vector, error);
}

// The choice looks at how the vector lies and at nothing else of it: an address that lies no better than it must.
static bool set_any_vector(const XvBlasLt *blas, const Plan *plan, XvError *error)
{
    const uintptr_t address = ALIGNMENT;
    return plan->epilogue == EPILOGUE_NONE || set(blas, plan, DESC_BIAS, &address, sizeof address, error);
}

static bool make_plan(const XvBlasLt *blas, Plan *plan, XvError *error)
{
    const XvGemm *g = &plan->shape;
    const Matrix a = {g->trans_a ? g->m : g->k, g->trans_a ? g->k : g->m, g->lda, g->batch_a, g->type_a};
    const Matrix b = {g->trans_b ? g->k : g->n, g->trans_b ? g->n : g->k, g->ldb, g->batch_b, g->type_b};
    const Matrix c = {g->n, g->m, g->ldc, g->batch_c, g->type_c};
    const int32_t transpose_first = g->trans_b, transpose_second = g->trans_a;
    int status = blas->desc_create(&plan->desc, g->is_tf32 ? COMPUTE_TF32 : COMPUTE_32, REAL_32);
    bool is_good = good(status, "cublasLtMatmulDescCreate", error) &&
                   set(blas, plan, DESC_TRANSPOSE_A, &transpose_first, sizeof transpose_first, error) &&
                   set(blas, plan, DESC_TRANSPOSE_B, &transpose_second, sizeof transpose_second, error) &&
                   set(blas, plan, DESC_EPILOGUE, &plan->epilogue, sizeof plan->epilogue, error) &&
                   set_any_vector(blas, plan, error) &&
                   make_layout(blas, &plan->layout[0], &b, g->batch, error) &&
                   make_layout(blas, &plan->layout[1], &a, g->batch, error) &&
                   make_layout(blas, &plan->layout[2], &c, g->batch, error);
    if (!is_good) {
        return false;
    }
    Choice choice = {0};
    int found = 0;
    status = blas->choose(blas->handle, plan->desc, plan->layout[0], plan->layout[1], plan->layout[2],
                          plan->layout[2], blas->preference, 1, &choice, &found);
    plan->is_possible = status == 0 && found > 0 && choice.status == 0;
    plan->algorithm = choice.algorithm;
    return true;
}

// What plans are told apart by, beside the epilogue: everything but the operands and what is added.
static XvGemm shape_of(const XvGemm *gemm)
{
    XvGemm shape;
    memset(&shape, 0, sizeof shape);  // padding included: shapes are compared as memory
    shape.m = gemm->m, shape.n = gemm->n, shape.k = gemm->k;
    shape.trans_a = gemm->trans_a, shape.trans_b = gemm->trans_b;
    shape.type_a = gemm->type_a, shape.type_b = gemm->type_b, shape.type_c = gemm->type_c;
    shape.is_tf32 = gemm->is_tf32;
    shape.batch = gemm->batch;
    shape.lda = gemm->lda, shape.ldb = gemm->ldb, shape.ldc = gemm->ldc;
    shape.batch_a = gemm->batch_a, shape.batch_b = gemm->batch_b, shape.batch_c = gemm->batch_c;
    return shape;
}

static Plan *plan_of(XvBlasLt *blas, const XvGemm *gemm, XvError *error)
{
    XvGemm shape = shape_of(gemm);
    for (int i = 0; i < blas->n_plans; i++) {
        Plan *plan = &blas->plans[i];
        if (plan->epilogue == epilogue_of(gemm) && memcmp(&plan->shape, &shape, sizeof shape) == 0) {
            return plan;
        }
    }
    Plan *grown = realloc(blas->plans, ((size_t)blas->n_plans + 1) * sizeof *grown);
    if (!grown) {
        xv_fail(error, "no memory");
        return NULL;
    }
    blas->plans = grown;
    Plan *plan = &grown[blas->n_plans];
    memset(plan, 0, sizeof *plan);
    memcpy(&plan->shape, &shape, sizeof shape);
    plan->epilogue = epilogue_of(gemm);
    if (!make_plan(blas, plan, error)) {
        free_plan(blas, plan);
        return NULL;
    }
    blas->n_plans++;
    return plan;
}

static bool is_aligned(const XvGemm *gemm)
{
    uintptr_t all = (uintptr_t)gemm->a | (uintptr_t)gemm->b | (uintptr_t)gemm->c | (uintptr_t)gemm->bias |
                    (uintptr_t)gemm->sums;
    return all % ALIGNMENT == 0;
}

// Two operands of one type, the result of the same or of floats; tf32 is a way to multiply floats.
static bool has_types(const XvGemm *gemm)
{
    return gemm->type_a == gemm->type_b && (gemm->type_c == gemm->type_a || gemm->type_c == XV_F32) &&
           (!gemm->is_tf32 || gemm->type_a == XV_F32);
}

// One epilogue; a bias has the type of C, and sums are floats, as C is then.
static bool has_epilogue(const XvGemm *gemm)
{
    bool has_bias = gemm->bias && !gemm->sums && gemm->type_bias == gemm->type_c;
    return !(gemm->bias || gemm->sums) || has_bias || (!gemm->bias && gemm->type_c == XV_F32);
}

static bool is_for_library(const XvGemm *gemm)
{
    return gemm->m > 0 && gemm->n > 0 && gemm->k > 0 && is_aligned(gemm) && has_types(gemm) &&
           has_epilogue(gemm);
}

bool xv_blaslt_choose(XvBlasLt *blas, const XvGemm *gemm, bool *is_possible, XvError *error)
{
    const Plan *plan = is_for_library(gemm) ? plan_of(blas, gemm, error) : NULL;
    *is_possible = plan && plan->is_possible;
    return plan || !is_for_library(gemm);
}

bool xv_blaslt_gemm(XvBlasLt *blas, const XvGemm *gemm, void *stream, bool *is_done, XvError *error)
{
    *is_done = false;
    if (!is_for_library(gemm)) {
        return true;
    }
    Plan *plan = plan_of(blas, gemm, error);
    if (!plan || !plan->is_possible) {
        return plan != NULL;
    }
    if (!set_vector(blas, plan, gemm, error)) {
        return false;
    }
    const float beta = gemm->accumulate ? 1.0f : 0.0f;
    int status = blas->matmul(blas->handle, plan->desc, &gemm->alpha, gemm->b, plan->layout[0], gemm->a,
                              plan->layout[1], &beta, gemm->c, plan->layout[2], gemm->c, plan->layout[2],
                              &plan->algorithm, blas->workspace, XV_BLASLT_WORKSPACE, stream);
    *is_done = status == 0;
    plan->is_possible = status != NOT_SUPPORTED;  // its own choice, but so it says
    return !plan->is_possible || good(status, "cublasLtMatmul", error);
}
