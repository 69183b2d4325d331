# X-VLM that answers questions (models/model_vqa.py): the text encoder reads the question on the image, a
# decoder of `num_dec_layers` layers, which attends to the question's states, writes or ranks answers.

import "decoder.dsl"
import "xvlm.dsl"

module VqaModel() {
    let text = text_config
    let width = text.hidden_size
    assert not use_roberta, "answers are written by BERT; set use_roberta to false"
    let n_fusion = text.num_hidden_layers - text.fusion_layer
    assert num_dec_layers == n_fusion, "num_dec_layers must be the number of fusion layers, to start from their weights"
    encoders as "": XVLM(VisionEncoder, TextEncoder)
    text_decoder: MaskedLM(
        text, width, "nothing" if encoders.vision_encoder.width == width else "keys",
        n_layers = num_dec_layers, fusion_layer = 0)

    fn question_states(image_embeds: [B, S, D], ids: int[B, T], atts: int[B, T]) {
        return encoders.text_encoder.multi_modal(ids, atts, image_embeds, int(ones([B, S])))
    }

    # Scores of the next word at every place of N // B answers to each question: [N, A, V].
    fn scores(ids: int[N, A], atts: int[N, A], states: [B, T, W], question_atts: int[B, T]) {
        return text_decoder.logits(
            decoder_states(text_decoder, ids, atts, states, question_atts, 0))
    }
}

# Negative log-probability of every answer: the sum over its tokens but the first, padding left out.
fn answer_losses(logits: [N, A, V], ids: int[N, A], pad_token_id) -> [N] {
    let last = A - 1
    targets = ids[:, 1:]
    losses = cross_entropy(reshape(logits[:, :last], [N * last, V]), reshape(targets, [N * last]))
    return sum(where(targets == pad_token_id, 0.0, reshape(losses, [N, last])), 1)
}
