# Layers that every encoder uses. Parameter names and initial distributions are PyTorch's.
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

# `zero_row`: one that starts as zeros.
module Embedding(rows, width, spread = 0.02, zero_row = none) {
    if zero_row == none {
        param weight: [rows, width] init normal(0, spread)
    } else {
        param weight: [rows, width] init normal(0, spread) zero_row(zero_row)
    }
}

# A convolution whose stride is its size, as a matrix product over patches: [B, width, P, P], initialised as PyTorch's.
module PatchConvolution(width, patch, has_bias = true) {
    let n_in = 3 * patch * patch
    let bound = n_in ** -0.5
    param weight: [width, 3, patch, patch] init uniform(-bound, bound)
    if has_bias {
        param bias: [width] init uniform(-bound, bound)
    }

    fn (image: [B, 3, R, R]) -> [B, width, R // patch, R // patch] {
        let grid = R // patch
        cut = permute(reshape(image, [B, 3, grid, patch, grid, patch]), [0, 2, 4, 1, 3, 5])
        x = reshape(cut, [B, grid * grid, n_in]) @ reshape(weight, [width, n_in]).T
        return map_of(x + bias if has_bias else x, grid)
    }
}

# Tokens [B, G * G, C] as a map [B, C, G, G], and back: row-major.
fn map_of(x: [B, N, C], grid) {
    return reshape(permute(x, [0, 2, 1]), [B, C, grid, grid])
}

fn tokens_of(map: [B, C, G, G]) {
    return permute(reshape(map, [B, C, G * G]), [0, 2, 1])
}

fn quick_gelu(x: [..., C]) {
    return x * sigmoid(1.702 * x)
}

# The feed-forward part of vision transformers.
module Mlp(width, inner, spread) {
    fc1: Linear(width, inner, spread = spread)
    fc2: Linear(inner, width, spread = spread)

    fn (x: [B, N, width]) -> [B, N, width] {
        return fc2(gelu(fc1(x)))
    }
}

# Linear, LayerNorm, GELU, Linear: the matching, box and classification heads (models/xvlm.py, build_mlp).
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
