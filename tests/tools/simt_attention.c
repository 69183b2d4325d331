// Attention and its gradient for the target cuda on the emulator, in every type, against formulas in double precision
// over the numbers as they are stored (for tf32: as they are multiplied): simt_attention KERNELS.cu. Every line with
// XV_ATTENTION or XV_ATTENTION_GRAD names a kernel that is run; kernels_simt.so beside this program is the same file,
// compiled for the emulator.
//
// Tolerances are bounds, element by element. With u = 2^-24 and t the rounding of the kind (2^-8 bf16, 2^-11 f16 and
// tf32, u exact):
//   scores    s_ij in single precision are off by at most E = (dim + 4) u scale |q| |k| + 4 u |s|;
//   P         is off by e = 2 max E + (keys + 16) u of itself, and rounded for its product with the values: t;
//   out, dV   (t + e) of the sum of |P| |v| (|dO|), and their own rounding;
//   dS        D = P (e |dP - mean| + sum of P e |dP - mean| + (dim + 8) u (|dO| |v| + mean of |dO| |v|)), and t |dS|;
//   dQ, dK    scale times the sum of (D + t |dS|) |k| (|q|), and their own rounding;  d_bias: the sum of D.
#include "tests/tools/simt_types.h"

#include "runtime/base/half.h"
#include "runtime/cuda/library.h"
#include "runtime/device/random_rows.h"

typedef struct Case {
    XvCudaAttention kernel;
    XvDtype type;
    bool is_tf32;
    int queries, keys, dim, value_dim, biases;
    int wanted;  // gradients of biases, as bits
    bool has_keep;
} Case;

enum { BATCH = 3, HEADS = 2, PAIRS = BATCH * HEADS, CHUNKS = 2, MAX_KERNELS = 256 };

// Numbers as they are multiplied, [BATCH, rows, HEADS, dim], and what was computed.
typedef struct Problem {
    const Case *shape;
    XvAttention attention;
    XvAttentionGrad grad;
    void *q, *k, *v, *d_out, *out, *dq, *dk, *dv;
    float *bias[2], *d_bias[2], *lse;
    XvDraw draw;
    double scale;
} Problem;

static XvHeads input(const Case *c, void *at, int rows, int dim)
{
    (void)c;
    return (XvHeads){at, (int64_t)rows * HEADS * dim, dim, (int64_t)HEADS * dim};
}

static XvHeadsOut output(const Case *c, void *at, int rows, int dim)
{
    XvHeads same = input(c, at, rows, dim);
    return (XvHeadsOut){at, same.batch, same.head, same.row};
}

static void add_biases(Problem *p)
{
    const Case *c = p->shape;
    int64_t square = (int64_t)c->queries * c->keys;
    XvAttention *a = &p->attention;
    for (int i = 0; i < c->biases; i++) {
        p->bias[i] = random_elements(XV_F32, BATCH * HEADS * square, 50 + (uint64_t)i, 1);
        p->d_bias[i] = random_elements(XV_F32, BATCH * HEADS * square, 60, 1);
        p->grad.d_bias[i] = c->wanted >> i & 1 ? p->d_bias[i] : NULL;
    }
    if (c->biases == 1) {
        a->bias[0] = (XvAttentionBias){p->bias[0], c->keys, 0, 0, 1, 1, BATCH};
        for (int i = 0; i < BATCH; i++) {
            p->bias[0][(i + 1) * c->keys - 1] = -10000.0f;  // a key that is not there
        }
    } else if (c->biases == 2) {
        a->bias[0] = (XvAttentionBias){p->bias[0], square, 0, c->keys, 1, 1, 2};
        a->bias[1] = (XvAttentionBias){p->bias[1], 0, square, c->keys, 1, 1, 1};
    }
    a->n_biases = c->biases;
}

static Problem make_problem(const Case *c)
{
    int64_t queries = (int64_t)PAIRS * c->queries, keys = (int64_t)PAIRS * c->keys;
    Problem p = {.shape = c,
                 .draw = {.key = 77, .threshold = (uint32_t)(0.25 * 0x1p32), .scale = (float)(1 / 0.75)},
                 .q = random_elements(c->type, queries * c->dim, 11, 1),
                 .k = random_elements(c->type, keys * c->dim, 12, 1),
                 .v = random_elements(c->type, keys * c->value_dim, 13, 1),
                 .d_out = random_elements(c->type, queries * c->value_dim, 14, 1),
                 .out = random_elements(c->type, queries * c->value_dim, 15, 1),
                 .dq = random_elements(c->type, queries * c->dim, 16, 1),
                 .dk = random_elements(c->type, keys * c->dim, 17, 1),
                 .dv = random_elements(c->type, keys * c->value_dim, 18, 1),
                 .lse = random_elements(XV_F32, queries, 19, 1)};
    p.attention = (XvAttention){.batch = BATCH,
                                .heads = HEADS,
                                .n_query = c->queries,
                                .n_key = c->keys,
                                .head_dim = c->dim,
                                .value_dim = c->value_dim,
                                .scale = 0.3f,
                                .type = c->type,
                                .is_tf32 = c->is_tf32};
    p.scale = (double)p.attention.scale;
    p.attention.q = input(c, p.q, c->queries, c->dim);
    p.attention.k = input(c, p.k, c->keys, c->dim);
    p.attention.v = input(c, p.v, c->keys, c->value_dim);
    p.attention.out = output(c, p.out, c->queries, c->value_dim);
    p.attention.lse = p.lse;
    p.grad.d_out = input(c, p.d_out, c->queries, c->value_dim);
    p.grad.dq = output(c, p.dq, c->queries, c->dim);
    p.grad.dk = output(c, p.dk, c->keys, c->dim);
    p.grad.dv = output(c, p.dv, c->keys, c->value_dim);
    add_biases(&p);
    if (c->wanted) {
        p.grad.n_chunks = c->wanted & 1 ? BATCH : CHUNKS;
        p.grad.parts = random_elements(XV_F32, PAIRS * (int64_t)c->queries * c->keys, 20, 1);
    }
    return p;
}

// The reference -------------------------------------------------------------------------------------------------

static double number(const Problem *p, const void *at, int64_t rows, int64_t dim, int64_t b, int64_t h,
                     int64_t row, int64_t d)
{
    double x = value_of(at, p->shape->type, ((b * rows + row) * HEADS + h) * dim + d);
    return p->shape->is_tf32 ? (double)xv_tf32_round((float)x) : x;
}

// Largest error seen, as a part of its bound.
typedef struct Errors {
    double out, lse, dq, dk, dv, d_bias;
} Errors;

static void note(double *worst, double got, double want, double bound, double rounding)
{
    double all =
        bound + rounding * (fabs(want) + bound) + 0x1p-25 * (rounding > 0x1p-12 && rounding < 0x1p-9);
    double part = fabs(got - want) / (all + 1e-30);
    *worst = part > *worst || part != part ? part : *worst;
}

// Of one pair: [queries][keys] each.
typedef struct Pair {
    double *p, *kept, *ds, *error;  // probabilities; times keep; gradients of scores; bounds of their errors
    double *relative;               // [queries]: of the errors of p
} Pair;

static double bias_of(const Problem *p, int64_t b, int64_t h, int64_t i, int64_t j)
{
    double sum = 0;
    for (int n = 0; n < p->attention.n_biases; n++) {
        const XvAttentionBias *bias = &p->attention.bias[n];
        sum += (double)bias->at[b / bias->divisor % bias->modulus * bias->batch + h * bias->head +
                                i * bias->query + j * bias->key];
    }
    return sum;
}

// Probabilities of one row, and by how much of themselves they may be off.
static double probabilities(const Problem *p, double *row, int64_t b, int64_t h, int64_t i, Errors *worst)
{
    const Case *c = p->shape;
    double top = -INFINITY, total = 0, e = 0;
    for (int64_t j = 0; j < c->keys; j++) {
        double dot = 0, sizes = 0;
        for (int64_t d = 0; d < c->dim; d++) {
            double term = number(p, p->q, c->queries, c->dim, b, h, i, d) *
                          number(p, p->k, c->keys, c->dim, b, h, j, d);
            dot += term;
            sizes += fabs(term);
        }
        row[j] = p->scale * dot + bias_of(p, b, h, i, j);
        top = fmax(top, row[j]);
        double error = (c->dim + 4) * 0x1p-24 * p->scale * sizes + 4 * 0x1p-24 * fabs(row[j]);
        e = row[j] > -1000 ? fmax(e, error) : e;
    }
    for (int64_t j = 0; j < c->keys; j++) {
        total += row[j] = exp(row[j] - top);
    }
    for (int64_t j = 0; j < c->keys; j++) {
        row[j] /= total;
    }
    e = 2 * e + (c->keys + 16) * 0x1p-24;
    note(&worst->lse, (double)p->lse[(b * HEADS + h) * c->queries + i], top + log(total), e, 0x1p-22);
    return e;
}

// What one row of a pair gives everything that follows.
static void row_of(const Problem *p, const Pair *pair, int64_t b, int64_t h, int64_t i, Errors *worst)
{
    const Case *c = p->shape;
    double *row = pair->p + i * c->keys, *ds = pair->ds + i * c->keys, *error = pair->error + i * c->keys;
    double mean = 0, spread = 0, mean_size = 0, e = probabilities(p, row, b, h, i, worst);
    float *keep = check_memory((size_t)(c->keys + 64) * sizeof *keep);
    uint64_t first = (uint64_t)(((b * HEADS + h) * c->queries + i) * c->keys);
    pair->relative[i] = e;
    xv_keep_row(&p->draw, first, c->keys, keep);
    for (int64_t j = 0; j < c->keys; j++) {
        double factor = c->has_keep ? (double)keep[j] : 1;
        pair->kept[i * c->keys + j] = row[j] * factor;
        ds[j] = error[j] = 0;
        for (int64_t d = 0; d < c->value_dim; d++) {
            double term = number(p, p->d_out, c->queries, c->value_dim, b, h, i, d) *
                          number(p, p->v, c->keys, c->value_dim, b, h, j, d) * factor;
            ds[j] += term;
            error[j] += fabs(term);
        }
        mean += row[j] * ds[j];
        mean_size += row[j] * error[j];
    }
    for (int64_t j = 0; j < c->keys; j++) {
        spread += row[j] * fabs(ds[j] - mean);
    }
    for (int64_t j = 0; j < c->keys; j++) {
        double rounding = (c->value_dim + 8) * 0x1p-24 * (error[j] + mean_size);
        error[j] = row[j] * (e * (fabs(ds[j] - mean) + spread) + rounding);
        ds[j] = row[j] * (ds[j] - mean);
    }
    free(keep);
}

// A product of the pair's numbers x [queries][keys], or of its transpose, with rows of a view.
typedef struct Sum {
    const double *x;
    bool is_transposed;  // one result for each key
    const void *with;
    int64_t dim;
    double scale;
    const double *relative, *error;  // bounds: of x in row i, or element by element; either may be NULL
} Sum;

static void sum_up(const Problem *p, const Sum *s, const void *got, int64_t b, int64_t h, double *worst)
{
    const Case *c = p->shape;
    double t = c->is_tf32 ? 0x1p-11 : rounding_of(c->type);
    int64_t rows = s->is_transposed ? c->keys : c->queries, terms = s->is_transposed ? c->queries : c->keys;
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t d = 0; d < s->dim; d++) {
            double want = 0, bound = 0;
            for (int64_t k = 0; k < terms; k++) {
                int64_t i = s->is_transposed ? k : r, at = i * c->keys + (s->is_transposed ? r : k);
                double y = s->scale * number(p, s->with, terms, s->dim, b, h, k, d);
                double relative = t + (double)terms * 0x1p-24 + (s->relative ? s->relative[i] : 0);
                want += s->x[at] * y;
                bound += (relative * fabs(s->x[at]) + (s->error ? s->error[at] : 0)) * fabs(y);
            }
            double found = value_of(got, c->type, ((b * rows + r) * HEADS + h) * s->dim + d);
            note(worst, found, want, bound, rounding_of(c->type));
        }
    }
}

static void compare_pair(const Problem *p, const Pair *pair, int64_t b, int64_t h, Errors *worst)
{
    const Case *c = p->shape;
    for (int64_t i = 0; i < c->queries; i++) {
        row_of(p, pair, b, h, i, worst);
    }
    sum_up(p, &(Sum){pair->kept, false, p->v, c->value_dim, 1, pair->relative, NULL}, p->out, b, h,
           &worst->out);
    if (!c->kernel.is_grad) {
        return;
    }
    sum_up(p, &(Sum){pair->kept, true, p->d_out, c->value_dim, 1, pair->relative, NULL}, p->dv, b, h,
           &worst->dv);
    sum_up(p, &(Sum){pair->ds, false, p->k, c->dim, p->scale, NULL, pair->error}, p->dq, b, h, &worst->dq);
    sum_up(p, &(Sum){pair->ds, true, p->q, c->dim, p->scale, NULL, pair->error}, p->dk, b, h, &worst->dk);
}

// Adds the pair's part to the gradients of the biases and to their bounds.
static void add_to_biases(const Problem *p, const Pair *pair, int64_t b, int64_t h, double *sums[2],
                          double *bounds[2])
{
    const Case *c = p->shape;
    for (int n = 0; n < c->biases; n++) {
        const XvAttentionBias *bias = &p->attention.bias[n];
        for (int64_t at = 0; at < (int64_t)c->queries * c->keys; at++) {
            int64_t to = b / bias->divisor % bias->modulus * bias->batch + h * bias->head +
                         at / c->keys * bias->query + at % c->keys * bias->key;
            sums[n][to] += pair->ds[at];
            bounds[n][to] += pair->error[at] + 8 * 0x1p-24 * fabs(pair->ds[at]);
        }
    }
}

static void compare(Check *check, const Problem *p, const char *what)
{
    const Case *c = p->shape;
    size_t square = (size_t)c->queries * (size_t)c->keys, all = PAIRS * square * sizeof(double);
    Pair pair = {check_memory(all), check_memory(all), check_memory(all), check_memory(all),
                 check_memory(all)};
    double *sums[2] = {check_memory(all), check_memory(all)},
           *bounds[2] = {check_memory(all), check_memory(all)};
    Errors worst = {0};
    for (int n = 0; n < 2; n++) {
        memset(sums[n], 0, all);
        memset(bounds[n], 0, all);
    }
    for (int64_t b = 0; b < BATCH; b++) {
        for (int64_t h = 0; h < HEADS; h++) {
            compare_pair(p, &pair, b, h, &worst);
            add_to_biases(p, &pair, b, h, sums, bounds);
        }
    }
    for (int n = 0; n < c->biases; n++) {
        for (size_t i = 0; (c->wanted >> n & 1) && i < PAIRS * square && bounds[n][i] > 0; i++) {
            note(&worst.d_bias, (double)p->d_bias[n][i], sums[n][i], bounds[n][i], 0x1p-24);
        }
    }
    bool is_good = worst.out <= 1 && worst.lse <= 1 && worst.dq <= 1 && worst.dk <= 1 && worst.dv <= 1 &&
                   worst.d_bias <= 1;
    check_that(check, is_good, "%s: of the bounds out %.3g, lse %.3g, dq %.3g, dk %.3g, dv %.3g, d_bias %.3g",
               what, worst.out, worst.lse, worst.dq, worst.dk, worst.dv, worst.d_bias);
}

// Tokens that are nearly alike ------------------------------------------------------------------------------------

// Every row becomes the first one, plus a thousandth of its own. dP then hardly differs from its mean, and dQ lives on
// differences of keys: a mean that is taken off in one step leaves an error of some percent.
static void make_alike(const Problem *p, void *at, int64_t rows, int64_t dim)
{
    (void)p;
    float *x = at;
    for (int64_t i = dim * HEADS; i < BATCH * rows * HEADS * dim; i++) {
        x[i] = x[i % dim] + 1e-3f * x[i];
    }
    for (int64_t i = dim; i < dim * HEADS; i++) {
        x[i] = x[i % dim];
    }
}

// Of dq from what it must be, in the L2 norm, relative.
static double distance_of_dq(const Problem *p)
{
    const Case *c = p->shape;
    size_t square = (size_t)c->queries * (size_t)c->keys * sizeof(double);
    Pair pair = {check_memory(square), check_memory(square), check_memory(square), check_memory(square),
                 check_memory(square)};
    double difference = 0, size = 0;
    Errors errors = {0};
    for (int64_t at = 0; at < (int64_t)PAIRS * c->queries * c->dim; at++) {
        int64_t d = at % c->dim, i = at / c->dim % c->queries, h = at / c->dim / c->queries % HEADS;
        int64_t b = at / c->dim / c->queries / HEADS;
        double want = 0;
        if (d == 0) {
            row_of(p, &pair, b, h, i, &errors);
        }
        for (int64_t j = 0; j < c->keys; j++) {
            want += p->scale * pair.ds[i * c->keys + j] * number(p, p->k, c->keys, c->dim, b, h, j, d);
        }
        double got = number(p, p->dq, c->queries, c->dim, b, h, i, d);
        difference += (got - want) * (got - want);
        size += want * want;
    }
    return sqrt(difference / size);
}

static void alike(Check *check, const XvRun *run, const Case *c)
{
    Problem p = make_problem(c);
    p.grad.forward = &p.attention;
    make_alike(&p, p.k, c->keys, c->dim);
    make_alike(&p, p.v, c->keys, c->value_dim);
    xv_cuda_attention(run, &p.attention);
    xv_cuda_attention_grad(run, &p.grad);
    finished(check, run->device, "tokens that are nearly alike");
    double distance = distance_of_dq(&p);
    check_that(check, distance < 1e-3, "tokens that are nearly alike, %d x %d: dq is %g away", c->queries,
               c->keys, distance);
}

// The kernels of a file --------------------------------------------------------------------------------------------

typedef struct Kernels {
    XvCudaAttention at[MAX_KERNELS];
    const char *names[MAX_KERNELS];
    int n;
} Kernels;

static void add_kernel(Kernels *kernels, const char *line)
{
    char name[128], kind[16], keep[8], parts[8] = "false";
    XvCudaAttention k = {.is_grad = strncmp(line, "XV_ATTENTION_GRAD(", 18) == 0, .kernel = kernels->n};
    int n = sscanf(strchr(line, '(') + 1, "%127[^,], %15[^,], %d, %d, %d, %d, %d, %7[a-z], %7[a-z]", name,
                   kind, &k.n_query, &k.n_key, &k.head_dim, &k.value_dim, &k.n_biases, keep, parts);
    if (n != (k.is_grad ? 9 : 8) || kernels->n == MAX_KERNELS) {
        check_stop("cannot read: %s", line);
    }
    k.type = strcmp(kind, "XvBf16") == 0 ? XV_BF16 : strcmp(kind, "XvF16") == 0 ? XV_F16 : XV_F32;
    k.is_tf32 = strcmp(kind, "XvTf32") == 0;
    k.has_keep = strcmp(keep, "true") == 0;
    k.has_parts = strcmp(parts, "true") == 0;
    for (int i = 0; i < kernels->n; i++) {
        if (strcmp(kernels->names[i], name) == 0) {
            return;
        }
    }
    kernels->names[kernels->n] = strdup(name);
    kernels->at[kernels->n++] = k;
}

static void read_kernels(Kernels *kernels, const char *path)
{
    FILE *file = fopen(path, "r");
    char line[512];
    if (!file) {
        check_stop("cannot open %s", path);
    }
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, "XV_ATTENTION", 12) == 0) {
            add_kernel(kernels, line);
        }
    }
    fclose(file);
}

// Which gradients of biases a case asks for: each kernel with parts gets some, of the bias by window as well.
static Case case_of(const XvCudaAttention *k)
{
    bool is_by_window = k->n_biases == 1 || k->type == XV_F16 || k->has_keep;
    int wanted = !k->has_parts ? 0 : k->n_biases == 1 ? 1 : is_by_window ? 3 : 2;
    return (Case){*k,          k->type,      k->is_tf32,  k->n_query, k->n_key,
                  k->head_dim, k->value_dim, k->n_biases, wanted,     k->has_keep};
}

// Runs a kernel; a gradient needs lse, which its forward pass leaves.
static void run_kernel(Check *check, const XvRun *run, const XvCudaAttention *kernel, const char *name)
{
    Case c = case_of(kernel);
    Problem p = make_problem(&c);
    p.attention.keep = c.has_keep ? &p.draw : NULL;
    p.grad.forward = &p.attention;
    xv_cuda_attention(run, &p.attention);
    if (kernel->is_grad) {
        xv_cuda_attention_grad(run, &p.grad);
    }
    finished(check, run->device, name);
    compare(check, &p, name);
    if (kernel->is_grad && c.type == XV_F32 && !c.is_tf32 && !c.has_keep && c.keys > 40) {
        alike(check, run, &c);
    }
}

int main(int argc, char **argv)
{
    static Kernels kernels;
    Check check = {0};
    XvDevice device;
    XvError error = {{0}};
    if (argc != 2) {
        check_stop("usage: simt_attention KERNELS.cu");
    }
    read_kernels(&kernels, argv[1]);
    XvCudaProgram program = {.kernel_names = kernels.names,
                             .n_kernels = kernels.n,
                             .attentions = kernels.at,
                             .n_attentions = kernels.n};
    if (!xv_device_open(&device, "simt", &program, &error)) {
        check_stop("%s", error.text);
    }
    XvRun run = {.device = &device};
    for (int i = 0; i < kernels.n; i++) {
        run_kernel(&check, &run, &kernels.at[i], kernels.names[i]);
    }
    xv_device_close(&device);
    return check_finish(&check, "attention in all types");
}
