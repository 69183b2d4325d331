# Captions of images (Captioning.py): next words with smoothed labels in training, beam search in evaluation.

import "../models/losses.dsl"
import "../models/xvlm_caption.dsl"
import "training.dsl"

task captioning {
    config image_root = none
    config batch_size_train = 32
    config batch_size_test = 32
    config max_tokens = 40
    config label_smoothing = 0.1
    config prompt = "a picture of "
    config prompt_length = 4  # tokens of the prompt behind the first one, which is counted too
    config end_token_id = 102  # [SEP]
    config max_length = 20  # of a written caption with its prompt
    config min_length = 5
    config num_beams = 3

    set image_res = 384
    set optimizer.lr = 1e-5
    set schedular.epochs = 5
    set schedular.num_warmup_steps = 0.1

    dim B = batch_size_test
    dim P = prompt_length
    dim T = max_tokens
    let R = image_res
    let S = 1 + (image_res // patch_size) ** 2
    let A = text_config.num_hidden_layers
    let C = A - text_config.fusion_layer
    let H = text_config.num_attention_heads
    let D = text_config.hidden_size // H
    let L = max_length

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

    # Images with captions behind the prompt.
    entry captions(image: [B, 3, R, R], text_ids: int[B, T], text_atts: int[B, T]) {
        data "captions" {}
        dim B = batch_size_train
        output image_embeds = model.vision_encoder(image)
        output logits = model.scores(text_ids, text_atts, image_embeds)
        output loss = caption_loss(logits, text_ids, text_config.pad_token_id, P, label_smoothing)
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
