# The vision encoder of CLIP (Radford et al. 2021), a pre-norm transformer over patches and a learned class token,
# with a norm before its layers and one over all tokens behind them (models/clip_vit.py). PyTorch's default
# initialisation.

import "layers.dsl"
import "regions.dsl"

module ClipAttention(width, heads, dropout_rate) {
    k_proj: DefaultLinear(width, width)
    v_proj: DefaultLinear(width, width)
    q_proj: DefaultLinear(width, width)
    out_proj: DefaultLinear(width, width)

    fn (x: [B, N, width], bias) -> [B, N, width] {
        let scale = (width // heads) ** -0.5
        scores = heads_of(q_proj(x), heads) * scale @ heads_of(k_proj(x), heads).T
        p = softmax(scores + bias if bias != none else scores)
        return out_proj(joined(dropout(p, dropout_rate) @ heads_of(v_proj(x), heads)))
    }
}

module ClipMlp(width, inner, activation) {
    assert activation == "quick_gelu" or activation == "gelu", "hidden_act is quick_gelu or gelu"
    fc1: DefaultLinear(width, inner)
    fc2: DefaultLinear(inner, width)

    fn (x: [B, N, width]) -> [B, N, width] {
        y = fc1(x)
        return fc2(quick_gelu(y) if activation == "quick_gelu" else gelu(y))
    }
}

module ClipLayer(config, width) {
    self_attn: ClipAttention(width, config.num_attention_heads, config.attention_dropout)
    layer_norm1: LayerNorm(width)
    mlp: ClipMlp(width, config.intermediate_size, config.hidden_act)
    layer_norm2: LayerNorm(width)

    fn (x: [B, N, width], bias) -> [B, N, width] {
        x = x + self_attn(layer_norm1(x), bias)
        return x + mlp(layer_norm2(x))
    }
}

module ClipEncoder(config, width) {
    for i in 0..config.num_hidden_layers {
        layers[i]: ClipLayer(config, width) traced
    }
}

module ClipPositions(rows, width) {
    param weight: [rows, width] init normal(0, 1)
}

module ClipVit(config, image_res, patch_size) {
    let width = 768 if config.vision_width == none else config.vision_width
    let grid = image_res // patch_size
    assert patch_size == config.patch_size, "patch_size of the model and of vision_config differ"
    assert image_res % patch_size == 0, "image_res is not a multiple of patch_size"
    assert width % config.num_attention_heads == 0, "vision_width is not a multiple of num_attention_heads"
    param class_embedding: [width] init normal(0, 1)
    buffer position_ids: int[1, 1 + grid * grid] init positions
    patch_embed: PatchConvolution(width, patch_size, has_bias = false) traced
    pos_embed: ClipPositions(1 + grid * grid, width)
    pre_layrnorm: LayerNorm(width)
    encoder: ClipEncoder(config, width)
    post_layernorm: LayerNorm(width)

    fn embedded(image: [B, 3, image_res, image_res]) {
        first = expand(class_embedding, [B, 1, width])
        return pre_layrnorm(concat([first, tokens_of(patch_embed(image))], 1) + pos_embed.weight)
    }

    # [B, 1 + P * P, D], the class token first.
    fn (image: [B, 3, image_res, image_res]) {
        x = embedded(image)
        for i in 0..config.num_hidden_layers {
            x = encoder.layers[i](x, none)
        }
        return post_layernorm(x)
    }

    fn regions(
        image: [I, 3, image_res, image_res], idx_to_group_img: int[B], image_atts: int[B, S]) {
        x = local_attention(
            encoder.layers, config.local_attn_depth, embedded(image), idx_to_group_img, image_atts)
        return split_regions(post_layernorm(x), idx_to_group_img)
    }
}
