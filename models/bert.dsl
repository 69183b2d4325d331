# BERT (Devlin et al. 2019) split into a text part (layers below fusion_layer) and a cross-modal part whose layers
# attend to image tokens between self-attention and feed-forward (models/xbert.py). Post-norm throughout.

import "layers.dsl"

# `shared`: another one, whose keys and values are used instead of own ones, under both names
# (models/model_nlvr.py).
module SelfAttention(config, memory_width, has_fresh_keys = false, shared = none) {
    let width = config.hidden_size
    let heads = config.num_attention_heads
    let spread = config.initializer_range
    query: Linear(width, width, spread = spread)
    if shared == none {
        key: Linear(memory_width, width, spread = spread) fresh(has_fresh_keys)
        value: Linear(memory_width, width, spread = spread) fresh(has_fresh_keys)
    } else {
        let key = shared.key
        let value = shared.value
        alias "key.weight" = key.weight
        alias "key.bias" = key.bias
        alias "value.weight" = value.weight
        alias "value.bias" = value.bias
    }

    # And how much each token looks at each of the memory: [B, heads, N, M].
    fn with_map(x: [B, N, width], memory: [B, M, memory_width], bias) {
        q = heads_of(query(x), heads)
        k = heads_of(key(memory), heads)
        v = heads_of(value(memory), heads)
        p = softmax(q @ k.T / (width // heads) ** 0.5 + bias)
        return joined(dropout(p, config.attention_probs_dropout_prob) @ v), p
    }

    fn (x: [B, N, width], memory: [B, M, memory_width], bias) -> [B, N, width] {
        y, p = with_map(x, memory, bias)
        return y
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

module Attention(config, memory_width, has_fresh_keys = false, shared = none) {
    self: SelfAttention(config, memory_width, has_fresh_keys, shared)
    output: ResidualOutput(config, config.hidden_size)

    fn (x: [B, N, W], memory: [B, M, memory_width], bias) -> [B, N, W] {
        return output(self(x, memory, bias), x)
    }

    fn with_map(x: [B, N, W], memory: [B, M, memory_width], bias) {
        y, p = self.with_map(x, memory, bias)
        return output(y, x), p
    }
}

module Intermediate(config) {
    dense: Linear(config.hidden_size, config.intermediate_size, spread = config.initializer_range)

    fn (x: [B, N, W]) {
        return gelu(dense(x))
    }
}

# `fresh`: what of cross-attention learns at the larger rate: "nothing", "keys" (with the values) or "all".
module BertLayer(config, memory_width, has_cross_attention, fresh = "nothing", shared = none) {
    attention: Attention(config, config.hidden_size)
    if has_cross_attention {
        crossattention: Attention(config, memory_width, fresh == "keys", shared) fresh(
            fresh == "all")
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

    # The same, and the probabilities of cross-attention.
    fn with_map(x: [B, N, W], bias, memory, memory_bias) {
        x, p = crossattention.with_map(attention(x, x, bias), memory, memory_bias)
        return output(intermediate(x), x), p
    }
}

# Rows of a table. Looking up the row `pad` gives it no gradient (a tied decoder still does).
fn looked_up(table: [V, W], ids: int[B, T], pad) {
    rows = table[ids]
    return where((ids == pad)[:, :, none], stop_gradient(rows), rows)
}

module BertEmbeddings(config) {
    let width = config.hidden_size
    let spread = config.initializer_range
    word_embeddings: Embedding(config.vocab_size, width, spread)
    position_embeddings: Embedding(config.max_position_embeddings, width, spread)
    token_type_embeddings: Embedding(config.type_vocab_size, width, spread)
    LayerNorm: LayerNorm(width, config.layer_norm_eps)
    buffer position_ids: int[1, config.max_position_embeddings] init positions

    fn (ids: int[B, T]) -> [B, T, width] {
        assert T <= config.max_position_embeddings, "more tokens than positions"
        words = looked_up(word_embeddings.weight, ids, config.pad_token_id)
        x = words + token_type_embeddings.weight[0] + position_embeddings.weight[:T]
        return dropout(LayerNorm(x), config.hidden_dropout_prob)
    }
}

# `has_pairs`: layers of cross-attention come in pairs that share keys and values.
module BertEncoder(config, memory_width, n_layers, fusion_layer, fresh, has_pairs) {
    for i in 0..n_layers {
        let is_second = has_pairs and i > fusion_layer and (i - fusion_layer) % 2 == 1
        layer[i]: BertLayer(
            config, memory_width, i >= fusion_layer, fresh,
            layer[i - 1].crossattention.self if is_second else none) traced
    }
}

# Masks become additive biases: -1e4 on padded text, -1e9 on masked image tokens (models/xbert.py).
fn text_bias(atts: int[B, T]) {
    return (1.0 - float(atts))[:, none, none, :] * -10000.0
}

fn image_bias(atts: int[B, S]) {
    return (1.0 - float(atts))[:, none, none, :] * -1e9
}

# Every text encoder has the functions `text`, `fusion` and `multi_modal` of this one.
module Bert(
    config, memory_width, fresh = "nothing", n_layers = config.num_hidden_layers,
    fusion_layer = config.fusion_layer, has_pairs = false, Embeddings = BertEmbeddings) {
    assert config.hidden_act == "gelu", "hidden_act of a text encoder is gelu"
    assert config.hidden_size % config.num_attention_heads == 0, "hidden_size is not a multiple of num_attention_heads"
    assert fusion_layer <= n_layers, "fusion_layer is at most the number of layers"
    embeddings: Embeddings(config) traced
    encoder: BertEncoder(config, memory_width, n_layers, fusion_layer, fresh, has_pairs)

    # Layers below fusion_layer.
    fn lower(x: [B, T, W], bias) {
        for i in 0..fusion_layer {
            x = encoder.layer[i](x, bias, none, none)
        }
        return x
    }

    # Text only.
    fn text(ids: int[B, T], atts: int[B, T]) {
        return lower(embeddings(ids), text_bias(atts))
    }

    # The cross-modal layers, started from the text layers' output as it is.
    fn fusion(x: [B, T, W], atts: int[B, T], image: [B, S, memory_width], image_atts: int[B, S]) {
        bias = text_bias(atts)
        memory_bias = image_bias(image_atts)
        for i in fusion_layer..n_layers {
            x = encoder.layer[i](x, bias, image, memory_bias)
        }
        return x
    }

    # All layers.
    fn multi_modal(
        ids: int[B, T], atts: int[B, T], image: [B, S, memory_width], image_atts: int[B, S]) {
        return fusion(text(ids, atts), atts, image, image_atts)
    }

    # All layers, and the probabilities of cross-attention of each fusion layer.
    fn multi_modal_maps(
        ids: int[B, T], atts: int[B, T], image: [B, S, memory_width], image_atts: int[B, S]) {
        x = text(ids, atts)
        maps = []
        for i in fusion_layer..n_layers {
            x, p = encoder.layer[i].with_map(x, text_bias(atts), image, image_bias(image_atts))
            maps = maps + [p]
        }
        return x, maps
    }

    # All layers, those of cross-attention looking at two images in turns.
    fn multi_modal_pair(ids: int[B, T], atts: int[B, T], images, image_atts) {
        bias = text_bias(atts)
        x = text(ids, atts)
        for i in fusion_layer..n_layers {
            let side = (i - fusion_layer) % 2
            x = encoder.layer[i](x, bias, images[side], image_bias(image_atts[side]))
        }
        return x
    }
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

# With a head over the vocabulary: its matrix is that of the word embeddings (tied), plus a bias.
module BertForMaskedLM(
    config, memory_width, fresh = "nothing", n_layers = config.num_hidden_layers,
    fusion_layer = config.fusion_layer) {
    bert: Bert(config, memory_width, fresh, n_layers, fusion_layer)
    cls: MlmHead(config)
    alias "cls.predictions.decoder.weight" = bert.embeddings.word_embeddings.weight
    alias "cls.predictions.decoder.bias" = cls.predictions.bias

    let text = bert.text
    let fusion = bert.fusion
    let multi_modal = bert.multi_modal

    # Scores over the vocabulary.
    fn logits(x: [..., W]) {
        return cls.predictions.transform(x) @ bert.embeddings.word_embeddings.weight.T +
            cls.predictions.bias
    }
}
