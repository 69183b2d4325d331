# RoBERTa (Liu et al. 2019): BERT's layers behind other embeddings, and a head of its own
# (models/xroberta.py).

import "bert.dsl"

# Positions count the tokens that are not padding, from behind the row of padding, which is never trained.
module RobertaEmbeddings(config) {
    let width = config.hidden_size
    let spread = config.initializer_range
    let pad = config.pad_token_id
    word_embeddings: Embedding(config.vocab_size, width, spread, zero_row = pad)
    position_embeddings: Embedding(config.max_position_embeddings, width, spread, zero_row = pad)
    token_type_embeddings: Embedding(config.type_vocab_size, width, spread)
    LayerNorm: LayerNorm(width, config.layer_norm_eps)
    buffer position_ids: int[1, config.max_position_embeddings] init positions

    fn (ids: int[B, T]) -> [B, T, width] {
        assert T + pad < config.max_position_embeddings, "more tokens than positions"
        counted = int(ids != pad)
        until = int(arange(T)[:, none] >= arange(T))
        position = sum(until * counted[:, none, :], -1) * counted + pad
        x = looked_up(word_embeddings.weight, ids, pad) + token_type_embeddings.weight[0] +
            looked_up(position_embeddings.weight, position, pad)
        return dropout(LayerNorm(x), config.hidden_dropout_prob)
    }
}

module Roberta(
    config, memory_width, fresh = "nothing", n_layers = config.num_hidden_layers,
    fusion_layer = config.fusion_layer, has_pairs = false) {
    bert as "": Bert(
        config, memory_width, fresh, n_layers, fusion_layer, has_pairs, RobertaEmbeddings)
    let text = bert.text
    let fusion = bert.fusion
    let multi_modal = bert.multi_modal
    let multi_modal_maps = bert.multi_modal_maps
    let multi_modal_pair = bert.multi_modal_pair
}

module RobertaHead(config) {
    param bias: [config.vocab_size] init zeros
    dense: Linear(config.hidden_size, config.hidden_size, spread = config.initializer_range)
    layer_norm: LayerNorm(config.hidden_size, config.layer_norm_eps)

    fn (x: [..., W]) {
        return layer_norm(gelu(dense(x)))
    }
}

# With a head over the vocabulary: its matrix is that of the word embeddings (tied), plus a bias.
module RobertaForMaskedLM(
    config, memory_width, fresh = "nothing", n_layers = config.num_hidden_layers,
    fusion_layer = config.fusion_layer) {
    roberta: Roberta(config, memory_width, fresh, n_layers, fusion_layer)
    lm_head: RobertaHead(config)
    alias "lm_head.decoder.weight" = roberta.bert.embeddings.word_embeddings.weight
    alias "lm_head.decoder.bias" = lm_head.bias
    let text = roberta.text
    let fusion = roberta.fusion
    let multi_modal = roberta.multi_modal

    # Scores over the vocabulary.
    fn logits(x: [..., W]) {
        return lm_head(x) @ roberta.bert.embeddings.word_embeddings.weight.T + lm_head.bias
    }
}
