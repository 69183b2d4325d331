# BERT (Devlin et al. 2019) split into a text part (layers below fusion_layer) and a cross-modal part whose layers
# attend to image tokens between self-attention and feed-forward (facts 1.6). Post-norm throughout.

import "layers.dsl"

module SelfAttention(config, memory_width) {
    let width = config.hidden_size
    let heads = config.num_attention_heads
    let spread = config.initializer_range
    query: Linear(width, width, spread = spread)
    key: Linear(memory_width, width, spread = spread)
    value: Linear(memory_width, width, spread = spread)

    fn (x: [B, N, width], memory: [B, M, memory_width], bias) -> [B, N, width] {
        q = heads_of(query(x), heads)
        k = heads_of(key(memory), heads)
        v = heads_of(value(memory), heads)
        p = softmax(q @ k.T / (width // heads) ** 0.5 + bias)
        return joined(dropout(p, config.attention_probs_dropout_prob) @ v)
    }
}

# Dense, dropout, residual, norm: the end of attention and of the feed-forward part.
module ResidualOutput(config, n_in) {
    dense: Linear(n_in, config.hidden_size, spread = config.initializer_range)
    LayerNorm: LayerNorm(config.hidden_size, config.layer_norm_eps)

    fn (x: [B, N, n_in], residual: [B, N, W]) -> [B, N, W] {
        return LayerNorm(dropout(dense(x), config.hidden_dropout_prob) + residual)
    }
}

module Attention(config, memory_width) {
    self: SelfAttention(config, memory_width)
    output: ResidualOutput(config, config.hidden_size)

    fn (x: [B, N, W], memory: [B, M, memory_width], bias) -> [B, N, W] {
        return output(self(x, memory, bias), x)
    }
}

module Intermediate(config) {
    dense: Linear(config.hidden_size, config.intermediate_size, spread = config.initializer_range)

    fn (x: [B, N, W]) {
        return gelu(dense(x))
    }
}

module BertLayer(config, memory_width, has_cross_attention) {
    attention: Attention(config, config.hidden_size)
    if has_cross_attention {
        crossattention: Attention(config, memory_width) fresh
    }
    intermediate: Intermediate(config)
    output: ResidualOutput(config, config.intermediate_size)

    fn (x: [B, N, W], bias, memory, memory_bias) -> [B, N, W] {
        x = attention(x, x, bias)
        if has_cross_attention {
            x = crossattention(x, memory, memory_bias)
        }
        return output(intermediate(x), x)
    }
}

module BertEmbeddings(config) {
    let width = config.hidden_size
    let spread = config.initializer_range
    word_embeddings: Embedding(config.vocab_size, width, spread)
    position_embeddings: Embedding(config.max_position_embeddings, width, spread)
    token_type_embeddings: Embedding(config.type_vocab_size, width, spread)
    LayerNorm: LayerNorm(width, config.layer_norm_eps)
    buffer position_ids: int[1, config.max_position_embeddings]

    # Looking up the pad token gives its row no gradient; the tied decoder does.
    fn (ids: int[B, T]) -> [B, T, width] {
        assert T <= config.max_position_embeddings, "more tokens than positions"
        rows = word_embeddings.weight[ids]
        words = where((ids == config.pad_token_id)[:, :, none], stop_gradient(rows), rows)
        x = words + token_type_embeddings.weight[0] + position_embeddings.weight[:T]
        return dropout(LayerNorm(x), config.hidden_dropout_prob)
    }
}

module BertEncoder(config, memory_width) {
    for i in 0..config.num_hidden_layers {
        layer[i]: BertLayer(config, memory_width, i >= config.fusion_layer) traced
    }
}

# Masks become additive biases: -1e4 on padded text, -1e9 on masked image tokens (facts 1.7).
module Bert(config, memory_width) {
    embeddings: BertEmbeddings(config) traced
    encoder: BertEncoder(config, memory_width)

    # Text only: layers below fusion_layer.
    fn text(ids: int[B, T], atts: int[B, T]) {
        bias = text_bias(atts)
        x = embeddings(ids)
        for i in 0..config.fusion_layer {
            x = encoder.layer[i](x, bias, none, none)
        }
        return x
    }

    # The cross-modal layers, started from the text layers' output as it is.
    fn fusion(x: [B, T, W], atts: int[B, T], image: [B, S, memory_width], image_atts: int[B, S]) {
        bias = text_bias(atts)
        image_bias = (1.0 - float(image_atts))[:, none, none, :] * -1e9
        for i in config.fusion_layer..config.num_hidden_layers {
            x = encoder.layer[i](x, bias, image, image_bias)
        }
        return x
    }
}

fn text_bias(atts: int[B, T]) {
    return (1.0 - float(atts))[:, none, none, :] * -10000.0
}

module MlmTransform(config) {
    dense: Linear(config.hidden_size, config.hidden_size, spread = config.initializer_range)
    LayerNorm: LayerNorm(config.hidden_size, config.layer_norm_eps)

    fn (x: [..., W]) {
        return LayerNorm(gelu(dense(x)))
    }
}

module MlmPredictions(config) {
    param bias: [config.vocab_size] init zeros
    transform: MlmTransform(config)
}

module MlmHead(config) {
    predictions: MlmPredictions(config)
}

# The decoder is the word embedding matrix (tied) plus a bias.
module BertForMaskedLM(config, memory_width) {
    bert: Bert(config, memory_width)
    cls: MlmHead(config)
    alias "cls.predictions.decoder.weight" = bert.embeddings.word_embeddings.weight
    alias "cls.predictions.decoder.bias" = cls.predictions.bias

    fn logits(x: [..., W]) {
        return cls.predictions.transform(x) @ bert.embeddings.word_embeddings.weight.T +
            cls.predictions.bias
    }
}
