# Swin transformer (Liu et al. 2021) as X-VLM uses it: no classification head, the global token is the mean of
# the last stage's tokens (models/swin_transformer.py). Grids are square; tokens are row-major.

import "layers.dsl"
import "regions.dsl"

# [B, G, G, C] cut into windows: [B * windows, window * window, C], and back.
fn windows_of(x: [B, G, G, C], window) {
    let n = G // window
    return reshape(
        permute(reshape(x, [B, n, window, n, window, C]), [0, 1, 3, 2, 4, 5]),
        [B * n * n, window * window, C])
}

fn grid_of(x: [W, N, C], grid, window) {
    let n = grid // window
    y = reshape(x, [W // (n * n), n, n, window, window, C])
    return reshape(permute(y, [0, 1, 3, 2, 4, 5]), [W // (n * n), grid, grid, C])
}

# -100 between tokens of a window that come from different sides of the rolled map: [windows, N, N].
fn shift_mask(grid, window, shift) {
    i = arange(grid)
    part = int(i >= grid - window) + int(i >= grid - shift)
    region = windows_of(float(part[:, none] * 3 + part)[none, :, :, none], window)
    return where(region == permute(region, [0, 2, 1]), 0.0, -100.0)
}

# Row of the relative position table for each pair of tokens of a window (models/swin_transformer.py,
# WindowAttention): [N, N].
fn relative_index(window) {
    i = arange(window * window)
    dy = (i // window)[:, none] - i // window + window - 1
    dx = (i % window)[:, none] - i % window + window - 1
    return dy * (2 * window - 1) + dx
}

module WindowAttention(config, width, heads, grid, window, shift) {
    let tokens = window * window
    let windows = (grid // window) ** 2
    let spread = config.initializer_range
    param relative_position_bias_table: [(2 * window - 1) ** 2, heads] init truncated(
        0, config.position_range)
    buffer relative_position_index: int[tokens, tokens] init window_index
    qkv: Linear(width, 3 * width, spread = spread)
    proj: Linear(width, width, spread = spread)

    fn (x: [W, tokens, width]) -> [W, tokens, width] {
        let d = width // heads
        parts = permute(reshape(qkv(x), [W, tokens, 3, heads, d]), [2, 0, 3, 1, 4])
        scores = parts[0] * d ** -0.5 @ parts[1].T
        scores = scores +
            permute(relative_position_bias_table[relative_index(window)], [2, 0, 1])[none]
        if shift > 0 {
            scores = scores + tile(shift_mask(grid, window, shift)[:, none], W // windows)
        }
        return proj(joined(softmax(scores) @ parts[2]))
    }
}

module SwinBlock(config, width, heads, grid, is_shifted, drop_rate) {
    let window = min(config.window_size, grid)
    let shift = config.window_size // 2 if is_shifted and grid > config.window_size else 0
    norm1: LayerNorm(width)
    attn: WindowAttention(config, width, heads, grid, window, shift)
    norm2: LayerNorm(width)
    mlp: Mlp(width, 4 * width, config.initializer_range)
    if shift > 0 {
        buffer attn_mask: [(grid // window) ** 2, window * window, window * window] init shift_mask
    }

    fn (x: [B, L, width]) -> [B, L, width] {
        y = roll(reshape(norm1(x), [B, grid, grid, width]), [0, -shift, -shift, 0])
        y = grid_of(attn(windows_of(y, window)), grid, window)
        y = reshape(roll(y, [0, shift, shift, 0]), [B, L, width])
        x = x + drop_path(y, drop_rate)
        return x + drop_path(mlp(norm2(x)), drop_rate)
    }
}

# Four neighbours side by side in the order (even row, even column), (odd, even), (even, odd), (odd, odd).
module PatchMerging(width, grid, spread) {
    reduction: Linear(4 * width, 2 * width, has_bias = false, spread = spread)
    norm: LayerNorm(4 * width)

    fn (x: [B, L, width]) -> [B, L // 4, 2 * width] {
        let half = grid // 2
        y = permute(reshape(x, [B, half, 2, half, 2, width]), [0, 1, 3, 4, 2, 5])
        return reduction(norm(reshape(y, [B, L // 4, 4 * width])))
    }
}

module SwinStage(config, width, heads, grid, drop_rates, is_last) {
    let depth = len(drop_rates)
    for i in 0..depth {
        blocks[i]: SwinBlock(config, width, heads, grid, i % 2 == 1, drop_rates[i]) traced
    }
    if not is_last {
        downsample: PatchMerging(width, grid, config.initializer_range)
    }

    fn (x: [B, L, width]) {
        for i in 0..depth {
            x = blocks[i](x)
        }
        return x if is_last else downsample(x)
    }
}

module PatchEmbed(width) {
    proj: PatchConvolution(width, 4)
    norm: LayerNorm(width)

    fn (image: [B, 3, R, R]) {
        return norm(tokens_of(proj(image)))
    }
}

module Swin(config, image_res, patch_size) {
    let width = config.embed_dim * 2 ** (len(config.depths) - 1)
    let depths = config.depths
    let blocks = sum(depths)
    let stages = len(depths)
    assert image_res == config.image_res, "image_res of the model and of vision_config differ"
    assert config.vision_width == none or config.vision_width == width, "vision_width must be 8 * embed_dim"
    assert patch_size == 2 ** (stages + 1), "patch_size of a model with Swin is 32, the stride of the whole encoder"
    let patches = (config.image_res // 4) ** 2
    patch_embed: PatchEmbed(config.embed_dim) traced
    if config.ape {
        if config.ape_temperature != none {
            param absolute_pos_embed: [1, patches, config.embed_dim] init sincos_2d(
                config.position_range, config.ape_temperature)
        } else {
            param absolute_pos_embed: [1, patches, config.embed_dim] init truncated(
                0, config.position_range)
        }
    }
    for i in 0..stages {
        layers[i]: SwinStage(
            config, config.embed_dim * 2 ** i, config.num_heads[i], config.image_res // 4 // 2 ** i,
            [
                config.drop_path_rate * (sum(depths[:i]) + j) / max(blocks - 1, 1)
                for j in 0..depths[i]], i == stages - 1) traced
    }
    norm: LayerNorm(width)

    # Normalised tokens of the last stage: [B, P * P, D].
    fn tokens(image: [B, 3, image_res, image_res]) {
        x = patch_embed(image)
        if config.ape {
            x = x + absolute_pos_embed
        }
        for i in 0..stages {
            x = layers[i](x)
        }
        return norm(x)
    }

    # Global token first: [B, 1 + P * P, D].
    fn (image: [B, 3, image_res, image_res]) {
        return with_mean(tokens(image))
    }

    fn regions(
        image: [I, 3, image_res, image_res], idx_to_group_img: int[B], image_atts: int[B, S]) {
        return mean_regions(tokens(image), idx_to_group_img, image_atts)
    }
}
