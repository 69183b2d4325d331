// What holds for the compound ops, which compute in one step what several simple ones could: see graph_verify.c.
#include "compiler/graph_verify_internal.h"

const char *check_softmax(const Graph *graph, const Node *node)
{
    REQUIRE(node->shape.rank >= 1, "a scalar has no last axis");
    return check_float(graph, node);
}

const char *check_layer_norm(const Graph *graph, const Node *node)
{
    const Node *x = input(graph, node, 0);
    for (int i = 0; i < 3; i++) {
        DELEGATE(same_dtype(graph, DTYPE_F32, input(graph, node, i)->dtype, "an input"));
    }
    DELEGATE(same_dtype(graph, DTYPE_F32, node->dtype, "the result"));
    REQUIRE(x->shape.rank >= 1, "a scalar has no last axis");
    Shape width = shape_of(1, &x->shape.dim[x->shape.rank - 1]);
    DELEGATE(same_shape(graph, &width, &input(graph, node, 1)->shape, "the weight"));
    DELEGATE(same_shape(graph, &width, &input(graph, node, 2)->shape, "the bias"));
    return same_shape(graph, &x->shape, &node->shape, "the result");
}

const char *check_cross_entropy(const Graph *graph, const Node *node)
{
    const Node *logits = input(graph, node, 0);
    DELEGATE(same_dtype(graph, DTYPE_F32, logits->dtype, "logits"));
    DELEGATE(same_dtype(graph, DTYPE_I32, input(graph, node, 1)->dtype, "labels"));
    DELEGATE(same_dtype(graph, DTYPE_F32, node->dtype, "the result"));
    REQUIRE(logits->shape.rank == 2, "logits have shape %s, not rank 2", text(graph, &logits->shape));
    Shape rows = shape_of(1, logits->shape.dim);
    DELEGATE(same_shape(graph, &rows, &input(graph, node, 1)->shape, "labels"));
    return same_shape(graph, &rows, &node->shape, "the result");
}

// q [B,H,N,D], k [B,H,M,D], v [B,H,M,E].
static const char *check_heads(const Graph *graph, const Node *node)
{
    bool is_grad = node->op == OP_ATTENTION_GRAD;
    for (int i = 0; i < node->n_inputs; i++) {
        bool is_head = i < 3 || (is_grad && (i == 3 || i == 5));  // else lse or a bias
        Dtype wanted = is_head ? node->dtype : DTYPE_F32;
        DELEGATE(same_dtype(graph, wanted, input(graph, node, i)->dtype, "an input"));
    }
    DELEGATE(is_stored_float(graph, node->dtype, "the result"));
    for (int i = 0; i < 3; i++) {
        REQUIRE(input(graph, node, i)->shape.rank == 4, "q, k and v need rank 4");
    }
    const int64_t *q = input(graph, node, 0)->shape.dim;
    const int64_t *k = input(graph, node, 1)->shape.dim;
    const int64_t *v = input(graph, node, 2)->shape.dim;
    Shape k_wanted = shape_of(4, (int64_t[]){q[0], q[1], k[2], q[3]});
    DELEGATE(same_shape(graph, &k_wanted, &input(graph, node, 1)->shape, "k"));
    Shape v_wanted = shape_of(4, (int64_t[]){q[0], q[1], k[2], v[3]});
    return same_shape(graph, &v_wanted, &input(graph, node, 2)->shape, "v");
}

static const char *check_biases(const Graph *graph, const Node *node, int first)
{
    const int64_t *q = input(graph, node, 0)->shape.dim;
    const int64_t full[] = {q[0], q[1], q[2], input(graph, node, 1)->shape.dim[2]};
    for (int i = first; i < node->n_inputs; i++) {
        const Shape *bias = &input(graph, node, i)->shape;
        REQUIRE(bias->rank == 4 && full[0] % bias->dim[0] == 0, "bias %s does not fit %lld batches",
                text(graph, bias), (long long)full[0]);
        for (int d = 1; d < 4; d++) {
            REQUIRE(bias->dim[d] == 1 || bias->dim[d] == full[d],
                    "extent %d of bias %s is neither 1 nor %lld", d, text(graph, bias), (long long)full[d]);
        }
    }
    return NULL;
}

const char *check_attention(const Graph *graph, const Node *node)
{
    REQUIRE(node->n_inputs >= 3 && node->n_inputs <= 5, "%d inputs", node->n_inputs);
    REQUIRE(node->attr.index >= -1, "draw %d", node->attr.index);
    DELEGATE(check_heads(graph, node));
    Shape wanted = input(graph, node, 0)->shape;
    wanted.dim[3] = input(graph, node, 2)->shape.dim[3];
    DELEGATE(same_shape(graph, &wanted, &node->shape, "the result"));
    return check_biases(graph, node, 3);
}

const char *check_attention_grad(const Graph *graph, const Node *node)
{
    REQUIRE(node->n_inputs >= 6 && node->n_inputs <= 8, "%d inputs", node->n_inputs);
    REQUIRE(node->attr.index >= -1, "draw %d", node->attr.index);
    REQUIRE(node->attr.axes >> (node->n_inputs - 6) == 0, "axes %#x name biases that do not exist",
            node->attr.axes);
    DELEGATE(check_heads(graph, node));
    Shape out = input(graph, node, 0)->shape;
    DELEGATE(same_shape(graph, &out, &node->shape, "the result"));
    Shape rows = shape_of(3, out.dim);
    out.dim[3] = input(graph, node, 2)->shape.dim[3];
    DELEGATE(same_shape(graph, &out, &input(graph, node, 3)->shape, "out"));
    DELEGATE(same_shape(graph, &rows, &input(graph, node, 4)->shape, "lse"));
    DELEGATE(same_shape(graph, &out, &input(graph, node, 5)->shape, "d_out"));
    return check_biases(graph, node, 6);
}

const char *check_result(const Graph *graph, const Node *node)
{
    const Node *x = input(graph, node, 0);
    int index = node->attr.index;
    bool is_head = x->op == OP_ATTENTION_GRAD && index < 3;
    DELEGATE(same_dtype(graph, is_head ? x->dtype : DTYPE_F32, node->dtype, "the result"));
    if (x->op == OP_ATTENTION) {
        REQUIRE(index == 1, "attention has no result %d", index);
        Shape rows = shape_of(3, x->shape.dim);
        return same_shape(graph, &rows, &node->shape, "the result");
    }
    REQUIRE(x->op == OP_ATTENTION_GRAD, "%s has one result", op_info(x->op)->name);
    REQUIRE(index >= 1 && index < x->n_inputs - 3, "attention_grad has no result %d", index);
    REQUIRE(index < 3 || (x->attr.axes >> (index - 3) & 1), "the gradient of bias %d was not asked for",
            index - 3);
    int of = index < 3 ? index : index + 3;  // 1, 2 are the gradients of inputs 1, 2; 3.. of the biases
    return same_shape(graph, &graph->nodes[x->inputs[of]].shape, &node->shape, "the result");
}
