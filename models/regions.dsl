# Region features of vision transformers (facts 1.5): the last blocks run on a copy of its image per region, which
# attends to the patches inside alone, and on the whole images beside them.

# All blocks. Rows after the last `depth` of them: B regions, then I images.
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

# One row per region: region features, features of its whole image.
fn split_regions(x: [N, S, D], idx_to_group_img: int[B]) {
    return x[:B], x[B:][idx_to_group_img]
}
