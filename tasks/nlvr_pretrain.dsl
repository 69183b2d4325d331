# Domain pre-training for NLVR2 (NLVR_pretrain.py): which of two images is the text about, the first, the
# second or neither? Images that look alike are drawn as partners. There is no official configuration: the
# defaults are those of the other domain pre-trainings.

import "../models/nlvr.dsl"
import "training.dsl"

task nlvr_pretrain {
    config images {
        image_key = "binary"
        is_image_rpath = false
        caption_key = "caption"
        tokenized = false
        batch_size = 128
        min_crop_scale = 0.2
        stream = none  # of lines, or by number; none: as their size asks for
    }

    config max_words = 40
    config max_tokens = 40
    config train_dataset_size = 5114489

    config accelerator {
        CLIP_GRAD_NORM = 1.0
        RNG_SEED = 42
    }

    set optimizer.lr = 3e-5
    set schedular.epochs = 2

    dim T = max_tokens
    dim R = image_res
    let P = image_res // patch_size
    let S = 1 + P * P

    model as "": XVLMForPairs(VisionEncoder, TextEncoder, has_pretraining = true)

    optimizer adamw {
        lr = optimizer.lr
        weight_decay = optimizer.weight_decay
        lr_mult = optimizer.lr_mult
        beta1 = 0.9
        beta2 = 0.98
        epsilon = 1e-8
        clip = accelerator.CLIP_GRAD_NORM
    }

    # Pre-training wraps the text encoder for its masked words; each of its fusion layers serves two.
    source "X-VLM pre-training" {
        let kind = "roberta" if use_roberta else "bert"
        let fusion = text_config.fusion_layer
        for i in fusion..text_config.num_hidden_layers {
            for twin in 0..2 {
                let n = 2 * i - fusion + twin
                load "text_encoder.encoder.layer.{n}.*" = "text_encoder.{kind}.encoder.layer.{i}.*"
                load "text_encoder.encoder.layer.{n}.*" = "text_encoder.encoder.layer.{i}.*"
            }
        }
        load "text_encoder.*" = "text_encoder.{kind}.*"
    }

    # Substring rule of the official optimizer (optim.py).
    no_decay ["bias", "LayerNorm.weight", "norm.weight", "norm1.weight", "norm2.weight"]

    # Label 0: the own image comes first, 1: it comes second, 2: neither is the own one; equally often. Partners are
    # drawn by similarity, never the own image, never one image twice. A batch of two holds no pair of others.
    entry images(image: [B, 3, R, R], text_ids: int[B, T], text_atts: int[B, T]) {
        data "nlvr_pretrain" {}
        dim B = images.batch_size

        output image_embeds = model.vision_encoder(image)
        output image_atts = int(ones([B, S]))
        output image_feat = model.image_feature(image_embeds)
        own = arange(B)[:, none] == arange(B)
        output pair_weights = where(own, 0.0, softmax(image_feat @ image_feat.T / 0.07))
        draw pair_labels = sample_categorical(expand(float(arange(3) < B)[none], [B, 3]))
        draw pair_idx0 = sample_categorical(
            where((pair_labels == 0)[:, none], float(own), pair_weights))
        others = where(pair_idx0[:, none] == arange(B), 0.0, pair_weights)
        draw pair_idx1 = sample_categorical(where((pair_labels == 1)[:, none], float(own), others))

        output cross_embeds = model.text_encoder.multi_modal_pair(
            text_ids, text_atts, [image_embeds[pair_idx0], image_embeds[pair_idx1]],
            [image_atts, image_atts])
        output prediction = model.ta_head(cross_embeds[:, 0])
        output loss = mean(cross_entropy(prediction, pair_labels), 0)

        metric accuracy = sum(float(argmax(prediction, -1) == pair_labels)), float(B)
        minimise loss
    }
}
