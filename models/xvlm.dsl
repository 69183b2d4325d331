# X-VLM (Zeng, Zhang, Li: "Multi-Grained Vision Language Pre-Training", ICML 2022): a vision encoder, a text encoder
# whose upper layers fuse, two projections for contrast, and heads for matching and boxes.

import "bert.dsl"
import "losses.dsl"
import "swin.dsl"

module XVLM(Vision, Text, vision, text, embed_dim, temperature) {
    vision_encoder: Vision(vision)
    text_encoder: Text(text, vision.vision_width)
    vision_proj: DefaultLinear(vision.vision_width, embed_dim) fresh
    text_proj: DefaultLinear(text.hidden_size, embed_dim) fresh
    param temp: [] init constant(temperature) fresh clamp(0.001, 0.5)
    itm_head: MlpHead(text.hidden_size, 2) fresh
    bbox_head: MlpHead(text.hidden_size, 4) fresh

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

    # Scores over the vocabulary at the masked positions.
    fn masked_words(
        ids: int[B, T], atts: int[B, T], image: [B, S, D], image_atts: int[B, S],
        position: int[B, M]) {
        x = text_encoder.bert.text(ids, atts)
        x = text_encoder.bert.fusion(x, atts, image, image_atts)
        return text_encoder.logits(gather_rows(x, position))
    }
}
