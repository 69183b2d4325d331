# DeiT-B/16 (Touvron et al. 2021): a pre-norm transformer over 16 x 16 patches and a learned class token
# (models/vit.py). Its sizes are fixed; a vision_config that gives `depth` is a smaller one under the names
# used here.

import "layers.dsl"
import "regions.dsl"

module DeitAttention(width, heads, spread) {
    qkv: Linear(width, 3 * width, spread = spread)
    proj: Linear(width, width, spread = spread)

    fn (x: [B, N, width], bias) -> [B, N, width] {
        let d = width // heads
        parts = permute(reshape(qkv(x), [B, N, 3, heads, d]), [2, 0, 3, 1, 4])
        scores = parts[0] @ parts[1].T * d ** -0.5
        scores = scores + bias if bias != none else scores
        return proj(joined(softmax(scores) @ parts[2]))
    }
}

module DeitBlock(width, heads, inner, epsilon, spread) {
    norm1: LayerNorm(width, epsilon)
    attn: DeitAttention(width, heads, spread)
    norm2: LayerNorm(width, epsilon)
    mlp: Mlp(width, inner, spread)

    fn (x: [B, N, width], bias) -> [B, N, width] {
        x = x + attn(norm1(x), bias)
        return x + mlp(norm2(x))
    }
}

module DeitPatches(width, patch) {
    proj: PatchConvolution(width, patch)

    fn (image: [B, 3, R, R]) {
        return tokens_of(proj(image))
    }
}

module Deit(config, image_res, patch_size) {
    let is_given = config.depth != none
    let width = config.vision_width if is_given else 768
    let depth = config.depth if is_given else 12
    let heads = config.num_heads if is_given else 12
    let local_attn_depth = config.local_attn_depth if is_given else 4
    let inner = config.mlp_ratio * width if is_given else 4 * width
    let epsilon = config.layer_norm_eps if is_given else 1e-6
    let spread = config.initializer_range
    let grid = image_res // patch_size
    assert patch_size == 16, "patch_size of a model with DeiT is 16"
    assert image_res % patch_size == 0, "image_res is not a multiple of patch_size"
    assert width % heads == 0, "vision_width is not a multiple of num_heads"
    param cls_token: [1, 1, width] init truncated(0, spread)
    param pos_embed: [1, 1 + grid * grid, width] init truncated(0, spread)
    patch_embed: DeitPatches(width, patch_size) traced
    for i in 0..depth {
        blocks[i]: DeitBlock(width, heads, inner, epsilon, spread) traced
    }
    norm: LayerNorm(width, epsilon)

    fn embedded(image: [B, 3, image_res, image_res]) {
        return concat([expand(cls_token, [B, 1, width]), patch_embed(image)], 1) + pos_embed
    }

    # [B, 1 + P * P, D], the class token first.
    fn (image: [B, 3, image_res, image_res]) {
        x = embedded(image)
        for i in 0..depth {
            x = blocks[i](x, none)
        }
        return norm(x)
    }

    fn regions(
        image: [I, 3, image_res, image_res], idx_to_group_img: int[B], image_atts: int[B, S]) {
        x = local_attention(blocks, local_attn_depth, embedded(image), idx_to_group_img, image_atts)
        return split_regions(norm(x), idx_to_group_img)
    }
}
