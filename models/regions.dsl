# Region features (get_vision_embeds of models/xvlm.py): one row per region, and beside them the features of
# its whole image.

# For encoders whose global token is the mean of the others, put in front.
fn with_mean(x: [B, N, D]) {
    return concat([mean(x, 1, keep = true), x], 1)
}

# The tokens of a region's image behind the mean of those inside the region; the same behind the ordinary mean.
fn mean_regions(x: [I, N, D], idx_to_group_img: int[B], image_atts: int[B, S]) {
    rows = x[idx_to_group_img]
    inside = float(image_atts[:, 1:])[:, :, none]
    mean_inside = sum(inside * rows, 1, keep = true) / sum(inside, 1, keep = true)
    return concat([mean_inside, rows], 1), with_mean(x)[idx_to_group_img]
}

# Vision transformers run their last `depth` blocks on a copy of its image per region, which attends to the patches
# inside alone, and on the whole images beside them. Rows afterwards: B regions, then I images.
fn local_attention(blocks, depth, x: [I, S, D], idx_to_group_img: int[B], image_atts: int[B, S]) {
    assert depth >= 1 and depth <= len(blocks), "local_attn_depth is from 1 to the number of layers"
    let first = len(blocks) - depth
    for i in 0..first {
        x = blocks[i](x, none)
    }
    x = concat([x[idx_to_group_img], x], 0)
    outside = concat([1.0 - float(image_atts), 0.0 * ones([I, S])], 0)
    bias = outside[:, none, none, :] * -10000.0
    for i in first..len(blocks) {
        x = blocks[i](x, bias)
    }
    return x
}

# Those rows apart: one per region.
fn split_regions(x: [N, S, D], idx_to_group_img: int[B]) {
    return x[:B], x[B:][idx_to_group_img]
}
