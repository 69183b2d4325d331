# X-VLM that writes captions (models/model_captioning.py): the text encoder becomes a causal decoder under the
# name `text_decoder`.

import "decoder.dsl"

module CaptionModel() {
    let text = text_config
    assert not use_roberta, "captions are written by BERT; set use_roberta to false"
    vision_encoder: VisionEncoder(vision_config, image_res, patch_size)
    text_decoder: MaskedLM(text, vision_encoder.width)

    # Scores of the next word at every place of the texts of N // B rows for each image: [N, T, V].
    fn scores(ids: int[N, T], atts: int[N, T], image_embeds: [B, S, D]) {
        return text_decoder.logits(
            decoder_states(
                text_decoder, ids, atts, image_embeds, int(ones([B, S])), text.fusion_layer))
    }

    # Scores of the word after the prompt, then what `next` goes on with.
    fn prompt(image_embeds: [B, S, D], ids: int[B, P]) {
        x, keys, values, image_keys, image_values = decoder_prompt(
            text_decoder, ids, image_embeds, text.num_attention_heads, text.fusion_layer)
        return text_decoder.logits(x[:, P - 1]), keys, values, image_keys, image_values
    }

    # Scores of the word after one more token of every row, and its keys and values.
    fn next(tokens, position, keys, values, image_keys, image_values) {
        x, new_keys, new_values = decoder_step(
            text_decoder, tokens, position, keys, values, image_keys, image_values)
        return text_decoder.logits(x), new_keys, new_values
    }
}
