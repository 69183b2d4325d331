# Self-critical training of the caption writer (Captioning_scst.py): captions drawn from the model are
# rewarded by how much they score above a baseline, the model's own likeliest caption or the other drawn ones.

import "../models/losses.dsl"
import "../models/xvlm_caption.dsl"
import "training.dsl"

task captioning_scst {
    config image_root = none
    config batch_size_train = 8
    config batch_size_test = 32
    config max_tokens = 40
    config prompt = "a picture of "
    config prompt_length = 4  # tokens of the prompt behind the first one, which is counted too
    config end_token_id = 102  # [SEP]
    config max_length = 20  # of a written caption with its prompt
    config min_length = 5
    config num_beams = 3
    config sc_train_sample_n = 5
    config sc_baseline_type = "greedy"
    config sample_n = sc_train_sample_n
    config baseline_type = sc_baseline_type
    config sc_beam_size = 1  # drawn captions come from no beams
    config cider_cached_tokens = none
    config eval_steps = 500

    set image_res = 384
    set optimizer.lr = 1e-5
    set schedular.num_warmup_steps = 0.1
    set schedular.num_training_steps = 44275

    dim B = batch_size_train
    dim P = prompt_length
    let R = image_res
    let S = 1 + (image_res // patch_size) ** 2
    let A = text_config.num_hidden_layers
    let C = A - text_config.fusion_layer
    let H = text_config.num_attention_heads
    let D = text_config.hidden_size // H
    let L = max_length
    assert sc_beam_size == 1, "captions are drawn one token after the other; sc_beam_size is 1"
    assert baseline_type == "greedy" or baseline_type == "sample", "sc_baseline_type is greedy or sample"

    model as "": CaptionModel()

    optimizer adamw {
        lr = optimizer.lr
        weight_decay = optimizer.weight_decay
        lr_mult = optimizer.lr_mult
        beta1 = 0.9
        beta2 = 0.98
        epsilon = 1e-8
    }

    # The text encoder with its head for masked words becomes the decoder.
    source "X-VLM pre-training" {
        load "text_decoder.*" = "text_encoder.*"
    }

    # Substring rule of the official optimizer (optim.py).
    no_decay ["bias", "LayerNorm.weight", "norm.weight", "norm1.weight", "norm2.weight"]

    # Captions drawn by the decoder `sample`, scored outside; `sample_n` rows for every image.
    entry self_critical(
        image: [B, 3, R, R], sample_tokens: int[B * sample_n, L], sample_lengths: int[B * sample_n],
        sample_scores: [B * sample_n], greedy_scores: [B]) {
        data "self_critical" {}
        let N = B * sample_n
        own = reshape(sample_scores, [B, sample_n])
        others = (sum(own, 1, keep = true) - own) / max(sample_n - 1, 1)
        baseline = greedy_scores[:, none] if baseline_type == "greedy" else others
        output reward = reshape(own - baseline, [N])
        logits = model.scores(
            sample_tokens[:, :L - 1], int(ones([N, L - 1])), model.vision_encoder(image))
        losses = cross_entropy(
            reshape(logits, [N * (L - 1), text_config.vocab_size]),
            reshape(sample_tokens[:, 1:], [N * (L - 1)]))
        place = arange(L - 1) + 1
        counted = float(place >= P and place < sample_lengths[:, none])
        logprobs = -sum(reshape(losses, [N, L - 1]) * counted, 1) / sum(counted, 1)
        output loss = -mean(logprobs * reward)
        minimise loss
    }

    # The prompt on an image, and one more token of every row: what decoding runs.
    entry prefill(image: [B, 3, R, R], prompt_ids: int[B, P]) {
        first, kept_keys, kept_values, seen_keys, seen_values = model.prompt(
            model.vision_encoder(image), prompt_ids)
        output logits = first
        output keys = kept_keys
        output values = kept_values
        output image_keys = seen_keys
        output image_values = seen_values
    }

    entry next_word(
        tokens: int[B], position: int[], keys: [A, B, H, L, D], values: [A, B, H, L, D],
        image_keys: [C, B, H, S, D], image_values: [C, B, H, S, D]) {
        next, new_keys, new_values = model.next(
            tokens, position, keys, values, image_keys, image_values)
        output logits = next
        output keys = new_keys
        output values = new_values
    }

    entry next_word_of_samples(
        tokens: int[B * sample_n], position: int[], keys: [A, B * sample_n, H, L, D],
        values: [A, B * sample_n, H, L, D], image_keys: [C, B, H, S, D],
        image_values: [C, B, H, S, D]) {
        next, new_keys, new_values = model.next(
            tokens, position, keys, values, image_keys, image_values)
        output logits = next
        output keys = new_keys
        output values = new_values
    }

    entry next_word_of_beams(
        tokens: int[B * num_beams], position: int[], keys: [A, B * num_beams, H, L, D],
        values: [A, B * num_beams, H, L, D], image_keys: [C, B, H, S, D],
        image_values: [C, B, H, S, D]) {
        next, new_keys, new_values = model.next(
            tokens, position, keys, values, image_keys, image_values)
        output logits = next
        output keys = new_keys
        output values = new_values
    }

    decoder greedy {
        method = "greedy"
        prefill = "prefill"
        step = "next_word"
        max_length = max_length
        end_id = end_token_id
        pad_id = text_config.pad_token_id
    }

    decoder sample {
        method = "sample"
        prefill = "prefill"
        step = "next_word_of_samples"
        max_length = max_length
        end_id = end_token_id
        pad_id = text_config.pad_token_id
    }

    decoder beam {
        method = "beam"
        prefill = "prefill"
        step = "next_word_of_beams"
        max_length = max_length
        min_length = min_length
        end_id = end_token_id
        pad_id = text_config.pad_token_id
    }
}
