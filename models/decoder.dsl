# BERT with its head over the vocabulary as a causal decoder (models/xbert.py, BertLMHeadModel): whole texts
# at once, and token by token with the keys and values of what came before. A decoder is a BertForMaskedLM
# whose upper layers attend to a memory: image tokens, or the states of a question.

import "bert.dsl"

# -1e4 on padding and on what comes later.
fn causal_bias(atts: int[B, T]) {
    place = arange(T)
    seen = float(place <= place[:, none]) * float(atts)[:, none, :]
    return (1.0 - seen)[:, none] * -10000.0
}

# One layer whose rows share memories: each of the B memories belongs to N // B rows side by side. Its keys and values
# are computed once: cross-attention knows no order, so the rows of a memory are one long row of queries.
fn shared_layer(layer, x: [N, T, W], bias, memory: [B, S, M], memory_bias, has_cross_attention) {
    x = layer.attention(x, x, bias)
    if has_cross_attention {
        rows = reshape(x, [B, N // B * T, W])
        x = reshape(layer.crossattention(rows, memory, memory_bias), [N, T, W])
    }
    return layer.output(layer.intermediate(x), x)
}

# States of whole texts: [N, T, W].
fn decoder_states(
    decoder, ids: int[N, T], atts: int[N, T], memory: [B, S, M], memory_atts: int[B, S],
    first_cross) {
    bias = causal_bias(atts)
    memory_bias = image_bias(memory_atts)
    x = decoder.bert.embeddings(ids)
    for i in 0..len(decoder.bert.encoder.layer) {
        if N == B {
            x = decoder.bert.encoder.layer[i](x, bias, memory, memory_bias)
        } else {
            x = shared_layer(
                decoder.bert.encoder.layer[i], x, bias, memory, memory_bias, i >= first_cross)
        }
    }
    return x
}

# The beginning of a text: states of its tokens; keys and values of all layers, [layers, B, H, T, d]; and those of the
# memory, [layers with cross-attention, B, H, S, d].
fn decoder_prompt(decoder, ids: int[B, T], memory: [B, S, M], heads, first_cross) {
    bias = causal_bias(int(ones([B, T])))
    memory_bias = image_bias(int(ones([B, S])))
    keys = []
    values = []
    memory_keys = []
    memory_values = []
    x = decoder.bert.embeddings(ids)
    for i in 0..len(decoder.bert.encoder.layer) {
        layer = decoder.bert.encoder.layer[i]
        keys = keys + [heads_of(layer.attention.self.key(x), heads)[none]]
        values = values + [heads_of(layer.attention.self.value(x), heads)[none]]
        if i >= first_cross {
            cross = layer.crossattention.self
            memory_keys = memory_keys + [heads_of(cross.key(memory), heads)[none]]
            memory_values = memory_values + [heads_of(cross.value(memory), heads)[none]]
        }
        x = layer(x, bias, memory, memory_bias)
    }
    return x, concat(keys, 0), concat(values, 0), concat(memory_keys, 0), concat(memory_values, 0)
}

# One more token of every row: its states [N, W], and its keys and values [layers, N, H, 1, d]. `keys` and `values` hold
# the tokens at the places before `position`; what else is in them does not count.
fn decoder_step(
    decoder, tokens: int[N], position: int[], keys: [A, N, H, L, D], values: [A, N, H, L, D],
    memory_keys: [C, B, H, S, D], memory_values: [C, B, H, S, D]) {
    embeddings = decoder.bert.embeddings
    words = embeddings.word_embeddings.weight[tokens]
    place = embeddings.token_type_embeddings.weight[0] +
        embeddings.position_embeddings.weight[position]
    x = embeddings.LayerNorm(words + place)[:, none]
    bias = where(arange(L) < position, 0.0, -10000.0)
    scale = D ** -0.5
    new_keys = []
    new_values = []
    for i in 0..A {
        layer = decoder.bert.encoder.layer[i]
        q = heads_of(layer.attention.self.query(x), H)
        k = heads_of(layer.attention.self.key(x), H)
        v = heads_of(layer.attention.self.value(x), H)
        p = softmax(concat([q @ keys[i].T * scale + bias, q @ k.T * scale], 3))
        y = p[:, :, :, :L] @ values[i] + p[:, :, :, L:] @ v
        x = layer.attention.output(joined(y), x)
        if i >= A - C {
            q = heads_of(reshape(layer.crossattention.self.query(x), [B, N // B, H * D]), H)
            p = softmax(q @ memory_keys[i - (A - C)].T * scale)
            y = joined(p @ memory_values[i - (A - C)])
            x = layer.crossattention.output(reshape(y, [N, 1, H * D]), x)
        }
        x = layer.output(layer.intermediate(x), x)
        new_keys = new_keys + [k[none]]
        new_values = new_values + [v[none]]
    }
    return x[:, 0], concat(new_keys, 0), concat(new_values, 0)
}
