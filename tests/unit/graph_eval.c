// The evaluator; see graph_eval.h. One function per family of ops, one loop over all elements in each.
#include "tests/unit/graph_eval.h"

#include "runtime/base/half.h"

#include <math.h>
#include <string.h>

enum { MAX_RESULTS = 5 };

typedef struct Eval {
    Arena *arena;
    const Graph *graph;
    const EvalData *data;
    double **values;
    double *(*results)[MAX_RESULTS];  // of nodes with several results
} Eval;

static const Node *input_node(const Eval *eval, const Node *node, int i)
{
    return &eval->graph->nodes[node->inputs[i]];
}

static const double *input_value(const Eval *eval, const Node *node, int i)
{
    return eval->values[node->inputs[i]];
}

static double *new_value(const Eval *eval, const Shape *shape)
{
    return arena_alloc(eval->arena, (size_t)shape_count(shape) * sizeof(double));
}

// Coordinates of the element `flat` of a tensor, and back.
static void coordinates(const Shape *shape, int64_t flat, int64_t *at)
{
    for (int i = shape->rank - 1; i >= 0; i--) {
        at[i] = flat % shape->dim[i];
        flat /= shape->dim[i];
    }
}

static int64_t position(const Shape *shape, const int64_t *at)
{
    int64_t flat = 0;
    for (int i = 0; i < shape->rank; i++) {
        flat = flat * shape->dim[i] + at[i];
    }
    return flat;
}

static double gelu(double x)
{
    return 0.5 * x * (1 + erf(x * M_SQRT1_2));
}

static double gelu_slope(double x)
{
    return 0.5 * (1 + erf(x * M_SQRT1_2)) + x * exp(-0.5 * x * x) / sqrt(2 * M_PI);
}

double eval_rounded(double x, Dtype dtype)
{
    return dtype == DTYPE_BF16  ? (double)xv_bf16_round((float)x)
           : dtype == DTYPE_F16 ? (double)xv_f16_round((float)x)
                                : x;
}

static double cast(double x, Dtype dtype)
{
    return dtype == DTYPE_BOOL ? x != 0 : dtype == DTYPE_I32 ? trunc(x) : x;
}

static double scalar(const Node *node, const double *x)
{
    switch (node->op) {
    case OP_NEG: return -x[0];
    case OP_EXP: return exp(x[0]);
    case OP_LOG: return log(x[0]);
    case OP_SQRT: return sqrt(x[0]);
    case OP_RSQRT: return 1 / sqrt(x[0]);
    case OP_ABS: return fabs(x[0]);
    case OP_SIGN: return (x[0] > 0) - (x[0] < 0);
    case OP_TANH: return tanh(x[0]);
    case OP_ERF: return erf(x[0]);
    case OP_SIGMOID: return 1 / (1 + exp(-x[0]));
    case OP_GELU: return gelu(x[0]);
    case OP_GELU_GRAD: return gelu_slope(x[0]);
    case OP_NOT: return x[0] == 0;
    case OP_CAST: return cast(x[0], node->dtype);
    case OP_KEPT:
    case OP_STOP_GRADIENT: return x[0];
    case OP_ADD: return x[0] + x[1];
    case OP_SUB: return x[0] - x[1];
    case OP_MUL: return x[0] * x[1];
    case OP_DIV: return x[0] / x[1];
    case OP_MAX: return x[0] >= x[1] ? x[0] : x[1];
    case OP_MIN: return x[0] <= x[1] ? x[0] : x[1];
    case OP_POW: return pow(x[0], x[1]);
    case OP_IDIV: return floor(x[0] / x[1]);
    case OP_MOD: return x[0] - x[1] * floor(x[0] / x[1]);
    case OP_LT: return x[0] < x[1];
    case OP_LE: return x[0] <= x[1];
    case OP_EQ: return x[0] == x[1];
    case OP_NE: return x[0] != x[1];
    case OP_AND: return x[0] != 0 && x[1] != 0;
    case OP_OR: return x[0] != 0 || x[1] != 0;
    case OP_WHERE: return x[0] != 0 ? x[1] : x[2];
    default: XV_BUG("%s is not elementwise", op_info(node->op)->name);
    }
}

static void eval_elementwise(Eval *eval, const Node *node, double *r)
{
    for (int64_t i = 0; i < shape_count(&node->shape); i++) {
        double x[3] = {0};
        for (int k = 0; k < node->n_inputs; k++) {
            x[k] = input_value(eval, node, k)[i];
        }
        r[i] = scalar(node, x);
    }
}

static void eval_source(Eval *eval, const Node *node, double *r)
{
    const double *from = NULL;
    if (node->op == OP_INPUT) {
        from = eval->data->inputs[node->attr.index];
    } else if (node->op == OP_PARAM) {
        from = eval->data->parameters[node->attr.index];
    } else if (node->op == OP_KEEP || node->op == OP_SAMPLE) {
        from = eval->data->draws[node->attr.index];
    }
    for (int64_t i = 0; i < shape_count(&node->shape); i++) {
        int64_t at[MAX_RANK] = {0};
        coordinates(&node->shape, i, at);
        r[i] = from != NULL ? from[i] : node->op == OP_IOTA ? (double)at[node->attr.axis] : node->attr.number;
    }
}

// SUM, REDUCE_MAX, ARGMAX: the result's coordinates are the input's with the reduced ones 0.
static void eval_reduce(Eval *eval, const Node *node, double *r)
{
    const Shape *shape = &input_node(eval, node, 0)->shape;
    const double *x = input_value(eval, node, 0);
    double *best = new_value(eval, &node->shape);
    for (int64_t i = 0; i < shape_count(&node->shape); i++) {
        r[i] = node->op == OP_REDUCE_MAX ? -INFINITY : 0;
        best[i] = -INFINITY;
    }
    uint32_t axes = node->op == OP_ARGMAX ? 1u << node->attr.axis : node->attr.axes;
    for (int64_t i = 0; i < shape_count(shape); i++) {
        int64_t at[MAX_RANK] = {0};
        coordinates(shape, i, at);
        int64_t along = at[node->op == OP_ARGMAX ? node->attr.axis : 0];
        for (int d = 0; d < shape->rank; d++) {
            at[d] = axes >> d & 1 ? 0 : at[d];
        }
        int64_t to = position(&node->shape, at);
        if (node->op == OP_SUM) {
            r[to] += x[i];
        } else if (node->op == OP_REDUCE_MAX) {
            r[to] = fmax(r[to], x[i]);
        } else if (x[i] > best[to]) {
            best[to] = x[i];
            r[to] = (double)along;
        }
    }
}

// Where element `at` of the result comes from; false for the zeros of PAD.
static bool source_of(const Node *node, const Shape *x, const int64_t *at, int64_t *from)
{
    const Attr *attr = &node->attr;
    for (int d = 0; d < node->shape.rank; d++) {
        switch (node->op) {
        case OP_PERMUTE: from[attr->dims[d]] = at[d]; break;
        case OP_EXPAND: from[d] = x->dim[d] == 1 ? 0 : at[d]; break;
        case OP_SLICE: from[d] = attr->start[d] + at[d] * attr->step[d]; break;
        case OP_PAD: {
            int64_t offset = at[d] - attr->start[d];
            from[d] = offset / attr->step[d];
            if (offset < 0 || offset % attr->step[d] != 0 || from[d] >= x->dim[d]) {
                return false;
            }
            break;
        }
        default:
            XV_ASSERT(node->op == OP_ROLL);
            from[d] = ((at[d] - attr->start[d]) % x->dim[d] + x->dim[d]) % x->dim[d];
            break;
        }
    }
    return true;
}

static void eval_move(Eval *eval, const Node *node, double *r)
{
    const Shape *shape = &input_node(eval, node, 0)->shape;
    const double *x = input_value(eval, node, 0);
    if (node->op == OP_RESHAPE) {
        memcpy(r, x, (size_t)shape_count(shape) * sizeof *r);
        return;
    }
    for (int64_t i = 0; i < shape_count(&node->shape); i++) {
        int64_t at[MAX_RANK] = {0}, from[MAX_RANK] = {0};
        coordinates(&node->shape, i, at);
        r[i] = source_of(node, shape, at, from) ? x[position(shape, from)] : 0;
    }
}

static void eval_concat(Eval *eval, const Node *node, double *r)
{
    int64_t begin = 0;
    for (int k = 0; k < node->n_inputs; k++) {
        const Shape *shape = &input_node(eval, node, k)->shape;
        for (int64_t i = 0; i < shape_count(shape); i++) {
            int64_t at[MAX_RANK] = {0};
            coordinates(shape, i, at);
            at[node->attr.axis] += begin;
            r[position(&node->shape, at)] = input_value(eval, node, k)[i];
        }
        begin += shape->dim[node->attr.axis];
    }
}

static void eval_rows(Eval *eval, const Node *node, double *r)
{
    bool is_take = node->op == OP_TAKE;
    const double *x = input_value(eval, node, is_take ? 0 : 1);
    const double *index = input_value(eval, node, is_take ? 1 : 0);
    const Shape *table = is_take ? &input_node(eval, node, 0)->shape : &node->shape;
    int64_t width = shape_count(table) / table->dim[0];
    int64_t rows = shape_count(&input_node(eval, node, is_take ? 1 : 0)->shape);
    for (int64_t row = 0; row < rows; row++) {
        int64_t to = (int64_t)index[row];
        XV_ASSERT(to >= 0 && to < table->dim[0]);
        for (int64_t c = 0; c < width; c++) {
            if (is_take) {
                r[row * width + c] = x[to * width + c];
            } else {
                r[to * width + c] += x[row * width + c];
            }
        }
    }
}

static void eval_matmul(Eval *eval, const Node *node, double *r)
{
    const Shape *shape = &input_node(eval, node, 0)->shape;
    const double *a = input_value(eval, node, 0), *b = input_value(eval, node, 1);
    int64_t M = shape->dim[shape->rank - 2], K = shape->dim[shape->rank - 1];
    int64_t N = node->shape.dim[shape->rank - 1];
    for (int64_t i = 0; i < shape_count(&node->shape); i++) {
        int64_t n = i % N, m = i / N % M, batch = i / (M * N);
        r[i] = node->n_inputs == 3 ? input_value(eval, node, 2)[i] : 0;
        for (int64_t k = 0; k < K; k++) {
            r[i] += a[(batch * M + m) * K + k] * b[(batch * K + k) * N + n];
        }
    }
}

// Writes exp(x - lse) if `p` is not NULL; returns the log-sum-exp.
static double row_lse(const double *x, int64_t n, double *p)
{
    double maximum = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++) {
        maximum = fmax(maximum, x[i]);
    }
    for (int64_t i = 0; i < n; i++) {
        sum += exp(x[i] - maximum);
    }
    double lse = maximum + log(sum);
    for (int64_t i = 0; p != NULL && i < n; i++) {
        p[i] = exp(x[i] - lse);
    }
    return lse;
}

static void eval_softmax(Eval *eval, const Node *node, double *r)
{
    int64_t n = node->shape.dim[node->shape.rank - 1];
    const double *x = input_value(eval, node, 0);
    for (int64_t row = 0; row < shape_count(&node->shape); row += n) {
        double lse = row_lse(x + row, n, r + row);
        for (int64_t i = row; node->op == OP_LOG_SOFTMAX && i < row + n; i++) {
            r[i] = x[i] - lse;
        }
    }
}

static void eval_layer_norm(Eval *eval, const Node *node, double *r)
{
    int64_t n = node->shape.dim[node->shape.rank - 1];
    for (int64_t row = 0; row < shape_count(&node->shape); row += n) {
        const double *x = input_value(eval, node, 0) + row;
        double mean = 0, variance = 0;
        for (int64_t i = 0; i < n; i++) {
            mean += x[i] / (double)n;
        }
        for (int64_t i = 0; i < n; i++) {
            variance += (x[i] - mean) * (x[i] - mean) / (double)n;
        }
        for (int64_t i = 0; i < n; i++) {
            double normalised = (x[i] - mean) / sqrt(variance + node->attr.number);
            r[row + i] = normalised * input_value(eval, node, 1)[i] + input_value(eval, node, 2)[i];
        }
    }
}

static void eval_cross_entropy(Eval *eval, const Node *node, double *r)
{
    const Shape *shape = &input_node(eval, node, 0)->shape;
    for (int64_t row = 0; row < shape->dim[0]; row++) {
        const double *x = input_value(eval, node, 0) + row * shape->dim[1];
        int64_t label = (int64_t)input_value(eval, node, 1)[row];
        r[row] = row_lse(x, shape->dim[1], NULL) - (label >= 0 && label < shape->dim[1] ? x[label] : 0);
    }
}

// Sizes and pointers of an attention node, forward or gradient.
typedef struct Heads {
    int64_t B, H, N, M, D, E;
    const double *q, *k, *v, *keep;
    double scale;
    int n_biases, first_bias;
} Heads;

static Heads heads_of(const Eval *eval, const Node *node, int first_bias)
{
    const int64_t *q = input_node(eval, node, 0)->shape.dim;
    Heads heads = {.B = q[0], .H = q[1], .N = q[2], .D = q[3], .scale = node->attr.number};
    heads.M = input_node(eval, node, 1)->shape.dim[2];
    heads.E = input_node(eval, node, 2)->shape.dim[3];
    heads.q = input_value(eval, node, 0);
    heads.k = input_value(eval, node, 1);
    heads.v = input_value(eval, node, 2);
    heads.keep = node->attr.index >= 0 ? eval->data->draws[node->attr.index] : NULL;
    heads.first_bias = first_bias;
    heads.n_biases = node->n_inputs - first_bias;
    return heads;
}

// Position in a bias [b, h, n, m] for row (b, h, n), column m.
static int64_t bias_position(const Shape *bias, int64_t row, int64_t m, const Heads *heads)
{
    int64_t at[4] = {row / (heads->N * heads->H), row / heads->N % heads->H, row % heads->N, m};
    at[0] %= bias->dim[0];
    for (int d = 1; d < 4; d++) {
        at[d] = bias->dim[d] == 1 ? 0 : at[d];
    }
    return position(bias, at);
}

// Scores of one row (b, h, n) into s; gives its log-sum-exp and the probabilities in p.
static double attention_row(const Eval *eval, const Node *node, const Heads *heads, int64_t row, double *p)
{
    int64_t batch = row / heads->N;
    double *s = arena_alloc(eval->arena, (size_t)heads->M * sizeof *s);
    for (int64_t m = 0; m < heads->M; m++) {
        for (int64_t d = 0; d < heads->D; d++) {
            double k = heads->k[(batch * heads->M + m) * heads->D + d];
            s[m] += heads->scale * heads->q[row * heads->D + d] * k;
        }
        for (int i = heads->first_bias; i < node->n_inputs; i++) {
            const Shape *bias = &input_node(eval, node, i)->shape;
            s[m] += input_value(eval, node, i)[bias_position(bias, row, m, heads)];
        }
    }
    return row_lse(s, heads->M, p);
}

static double keep_of(const Heads *heads, int64_t row, int64_t m)
{
    return heads->keep != NULL ? heads->keep[row * heads->M + m] : 1;
}

static void eval_attention(Eval *eval, const Node *node, NodeId id, double *r)
{
    Heads heads = heads_of(eval, node, 3);
    Shape rows = shape_of(3, node->shape.dim);
    double *lse = new_value(eval, &rows);
    double *p = arena_alloc(eval->arena, (size_t)heads.M * sizeof *p);
    for (int64_t row = 0; row < heads.B * heads.H * heads.N; row++) {
        lse[row] = attention_row(eval, node, &heads, row, p);
        for (int64_t m = 0; m < heads.M; m++) {
            for (int64_t e = 0; e < heads.E; e++) {
                r[row * heads.E + e] +=
                    p[m] * keep_of(&heads, row, m) * heads.v[(row / heads.N * heads.M + m) * heads.E + e];
            }
        }
    }
    eval->results[id][1] = lse;
}

// One row's share of all gradients.
static void attention_grad_row(Eval *eval, const Node *node, double **results, int64_t row)
{
    Heads heads = heads_of(eval, node, 6);
    double *p = arena_alloc(eval->arena, (size_t)heads.M * sizeof *p);
    double *d_p = arena_alloc(eval->arena, (size_t)heads.M * sizeof *d_p);
    attention_row(eval, node, &heads, row, p);
    const double *d_out = input_value(eval, node, 5) + row * heads.E;
    int64_t first = row / heads.N * heads.M;
    double delta = 0;
    for (int64_t m = 0; m < heads.M; m++) {
        for (int64_t e = 0; e < heads.E; e++) {
            d_p[m] += d_out[e] * heads.v[(first + m) * heads.E + e] * keep_of(&heads, row, m);
            results[2][(first + m) * heads.E + e] += p[m] * keep_of(&heads, row, m) * d_out[e];
        }
        delta += p[m] * d_p[m];
    }
    for (int64_t m = 0; m < heads.M; m++) {
        double d_s = p[m] * (d_p[m] - delta);
        for (int64_t d = 0; d < heads.D; d++) {
            results[0][row * heads.D + d] += heads.scale * d_s * heads.k[(first + m) * heads.D + d];
            results[1][(first + m) * heads.D + d] += heads.scale * d_s * heads.q[row * heads.D + d];
        }
        for (int i = 0; i < heads.n_biases; i++) {
            results[3 + i][bias_position(&input_node(eval, node, 6 + i)->shape, row, m, &heads)] += d_s;
        }
    }
}

static void eval_attention_grad(Eval *eval, const Node *node, NodeId id, double *r)
{
    double **results = eval->results[id];
    results[0] = r;
    for (int i = 1; i < node->n_inputs - 3; i++) {
        results[i] = new_value(eval, &input_node(eval, node, i < 3 ? i : i + 3)->shape);
    }
    int64_t rows = shape_count(&node->shape) / node->shape.dim[3];
    for (int64_t row = 0; row < rows; row++) {
        attention_grad_row(eval, node, results, row);
    }
}

static void eval_collective(Eval *eval, const Node *node, double *r)
{
    int64_t have = shape_count(&input_node(eval, node, 0)->shape);
    for (int64_t i = 0; i < shape_count(&node->shape); i++) {
        r[i] = input_value(eval, node, 0)[i % have];
    }
}

static void eval_compound(Eval *eval, const Node *node, NodeId id, double *r)
{
    switch (node->op) {
    case OP_SOFTMAX:
    case OP_LOG_SOFTMAX: eval_softmax(eval, node, r); break;
    case OP_LAYER_NORM: eval_layer_norm(eval, node, r); break;
    case OP_CROSS_ENTROPY: eval_cross_entropy(eval, node, r); break;
    case OP_ATTENTION: eval_attention(eval, node, id, r); break;
    default:
        XV_ASSERT(node->op == OP_ATTENTION_GRAD);
        eval_attention_grad(eval, node, id, r);
        break;
    }
}

// The K largest of each row, largest first; of equal ones the first.
static void eval_top_k(Eval *eval, const Node *node, double *r)
{
    int64_t n = input_node(eval, node, 0)->shape.dim[1], k = node->shape.dim[1];
    for (int64_t row = 0; row < node->shape.dim[0]; row++) {
        const double *x = input_value(eval, node, 0) + row * n;
        for (int64_t i = 0; i < n; i++) {
            int64_t before = 0;
            for (int64_t j = 0; j < n; j++) {
                before += x[j] > x[i] || (x[j] == x[i] && j < i);
            }
            if (before < k) {
                r[row * k + before] = (double)i;
            }
        }
    }
}

static void eval_op(Eval *eval, NodeId id)
{
    const Node *node = &eval->graph->nodes[id];
    if (node->op == OP_RESULT) {
        eval->values[id] = eval->results[node->inputs[0]][node->attr.index];
        return;
    }
    double *r = new_value(eval, &node->shape);
    eval->values[id] = r;
    switch (op_info(node->op)->class) {
    case CLASS_SOURCE:
    case CLASS_RANDOM: eval_source(eval, node, r); break;
    case CLASS_ELEMENTWISE: eval_elementwise(eval, node, r); break;
    case CLASS_REDUCE: eval_reduce(eval, node, r); break;
    case CLASS_COMPOUND: eval_compound(eval, node, id, r); break;
    case CLASS_COLLECTIVE: eval_collective(eval, node, r); break;
    default:
        if (node->op == OP_MATMUL) {
            eval_matmul(eval, node, r);
        } else if (node->op == OP_CONCAT) {
            eval_concat(eval, node, r);
        } else if (node->op == OP_TAKE || node->op == OP_SCATTER_ADD) {
            eval_rows(eval, node, r);
        } else if (node->op == OP_TOP_K) {
            eval_top_k(eval, node, r);
        } else {
            eval_move(eval, node, r);
        }
        break;
    }
}

static void eval_node(Eval *eval, NodeId id)
{
    const Node *node = &eval->graph->nodes[id];
    eval_op(eval, id);
    for (int64_t i = 0; dtype_is_low(node->dtype) && i < shape_count(&node->shape); i++) {
        eval->values[id][i] = eval_rounded(eval->values[id][i], node->dtype);
    }
}

double **graph_eval(Arena *arena, const Graph *graph, const EvalData *data)
{
    Eval eval = {.arena = arena, .graph = graph, .data = data};
    eval.values = arena_alloc(arena, (size_t)graph->n_nodes * sizeof *eval.values);
    eval.results = arena_alloc(arena, (size_t)graph->n_nodes * sizeof *eval.results);
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        eval_node(&eval, id);
    }
    return eval.values;
}
