# X-VLM (Zeng, Zhang, Li: "Multi-Grained Vision Language Pre-Training", ICML 2022): a vision encoder, a text encoder
# whose upper layers fuse, two projections for contrast, and heads for matching and boxes. Sizes are the model's
# configuration, under the official names: image_res, patch_size, embed_dim, temp, vision_config, text_config.

import "bert.dsl"
import "losses.dsl"

# Vision(config, image_res, patch_size) has `width`, a call (image) -> [B, S, width] with the global token first, and
# `regions(image, idx_to_group_img, image_atts)` (models/xvlm.py, get_vision_embeds).
# Text(config, memory_width, fresh) has `text`, `fusion` and `multi_modal` as in bert.dsl, and `logits` where words
# are predicted. The names VisionEncoder, TextEncoder and MaskedLM stand for those that the configuration asks for
# (encoders.dsl).
# Members exist where a task needs them (models/xvlm.py). In pre-training all but the encoders learn at the
# larger rate, cross-attention too, and the temperature is clamped; fine-tuning does neither.
module XVLM(
    Vision, Text, has_contrastive = false, has_matching = false, has_bbox = false,
    is_pretraining = false) {
    let temperature = temp
    vision_encoder: Vision(vision_config, image_res, patch_size)
    text_encoder: Text(text_config, vision_encoder.width, "all" if is_pretraining else "nothing")
    if has_contrastive {
        vision_proj: DefaultLinear(vision_encoder.width, embed_dim) fresh(is_pretraining)
        text_proj: DefaultLinear(text_config.hidden_size, embed_dim) fresh(is_pretraining)
        if is_pretraining {
            param temp: [] init constant(temperature) fresh clamp(0.001, 0.5)
        } else {
            param temp: [] init constant(temperature)
        }
    }
    if has_matching {
        itm_head: MlpHead(text_config.hidden_size, 2) fresh(is_pretraining)
    }
    if has_bbox {
        bbox_head: MlpHead(text_config.hidden_size, 4) fresh(is_pretraining)
    }

    # Unit vectors of the global tokens in the shared space: [B, E].
    fn image_feature(image: [B, S, D]) {
        return l2_normalised(vision_proj(image[:, 0]))
    }

    fn text_feature(text_embeds: [B, T, W]) {
        return l2_normalised(text_proj(text_embeds[:, 0]))
    }

    # Class scores (no match, match) of fused states.
    fn match(cross: [B, T, W]) -> [B, 2] {
        return itm_head(cross[:, 0])
    }

    # Fused states of pairs that do not match: each text with its drawn image, then each image with its drawn text.
    fn fused_negatives(
        text: [B, T, W], text_atts: int[B, T], image: [B, S, D], image_atts: int[B, S],
        image_of_text: int[B], text_of_image: int[B]) -> [2 * B, T, W] {
        return text_encoder.fusion(
            concat([text, text[text_of_image]], 0),
            concat([text_atts, text_atts[text_of_image]], 0),
            concat([image[image_of_text], image], 0),
            concat([image_atts[image_of_text], image_atts], 0))
    }

    # Several passes through the fusion layers as one batch: they use the same weights, so one product does the work of
    # several. Each list holds one tensor for a pass; the results lie one behind the other.
    fn fused_together(texts, text_atts, images, image_atts) {
        return text_encoder.fusion(
            concat(texts, 0), concat(text_atts, 0), concat(images, 0), concat(image_atts, 0))
    }

    # What heads look at in [N, T, W] fused states, taken at once so that the last layer computes no other rows: M
    # positions in each of the first B texts, then the first tokens of the rest: [B * M + N - B, W].
    fn rows_read(cross: [N, T, W], position: int[B, M]) {
        masked = reshape(arange(B)[:, none] * T + position, [B * M])
        first = (arange(N - B) + B) * T
        return reshape(cross, [N * T, W])[concat([masked, first], 0)]
    }
}
