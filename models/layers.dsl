# Layers that every encoder uses. Parameter names and initial distributions are PyTorch's (facts 1.13).
# Letters: B batch, N tokens, C or `width` channels.

# y = x W^T + b, weights drawn from a normal distribution as BERT and Swin draw theirs.
module Linear(n_in, n_out, has_bias = true, spread = 0.02) {
    param weight: [n_out, n_in] init normal(0, spread)
    if has_bias {
        param bias: [n_out] init zeros
    }

    fn (x: [..., n_in]) -> [..., n_out] {
        y = x @ weight.T
        return y + bias if has_bias else y
    }
}

# The same with PyTorch's default initialisation, uniform within 1 / sqrt(fan in).
module DefaultLinear(n_in, n_out) {
    let bound = n_in ** -0.5
    param weight: [n_out, n_in] init uniform(-bound, bound)
    param bias: [n_out] init uniform(-bound, bound)

    fn (x: [..., n_in]) -> [..., n_out] {
        return x @ weight.T + bias
    }
}

module LayerNorm(width, epsilon = 1e-5) {
    param weight: [width] init ones
    param bias: [width] init zeros

    fn (x: [..., width]) -> [..., width] {
        return layer_norm(x, weight, bias, epsilon)
    }
}

module Embedding(rows, width, spread = 0.02) {
    param weight: [rows, width] init normal(0, spread)
}

# Linear, LayerNorm, GELU, Linear: the matching, box and classification heads (facts 1.9).
module MlpHead(width, n_out) {
    inner as "0": DefaultLinear(width, 2 * width)
    norm as "1": LayerNorm(2 * width)
    outer as "3": DefaultLinear(2 * width, n_out)

    fn (x: [B, width]) -> [B, n_out] {
        return outer(gelu(norm(inner(x))))
    }
}

# [B, N, heads * d] as [B, heads, N, d], and back.
fn heads_of(x: [B, N, C], heads) {
    return permute(reshape(x, [B, N, heads, C // heads]), [0, 2, 1, 3])
}

fn joined(x: [B, H, N, D]) {
    return reshape(permute(x, [0, 2, 1, 3]), [B, N, H * D])
}

# Rows of every batch element by position: x[b, position[b, m]].
fn gather_rows(x: [B, N, C], position: int[B, M]) -> [B, M, C] {
    return reshape(x, [B * N, C])[arange(B)[:, none] * N + position]
}

# x / max(|x|, 1e-12) over the last dimension.
fn l2_normalised(x: [..., E]) {
    return x / maximum(sqrt(sum(x * x, -1, keep = true)), 1e-12)
}
