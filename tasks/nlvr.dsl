# NLVR2 (NLVR.py): is the text true of the two images?

import "../models/nlvr.dsl"
import "training.dsl"

task nlvr {
    config image_root = none
    config batch_size = 10
    config max_tokens = 40

    set image_res = 384
    set optimizer.lr = 3e-5
    set schedular.epochs = 10

    dim T = max_tokens
    dim R = image_res
    let P = image_res // patch_size
    let S = 1 + P * P

    model as "": XVLMForPairs(VisionEncoder, TextEncoder, has_classes = true)

    optimizer adamw {
        lr = optimizer.lr
        weight_decay = optimizer.weight_decay
        lr_mult = optimizer.lr_mult
        beta1 = 0.9
        beta2 = 0.98
        epsilon = 1e-8
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

    # All first images, then all second ones.
    entry answers(
        image: [2 * B, 3, R, R], text_ids: int[B, T], text_atts: int[B, T], targets: int[B]) {
        data "nlvr" {}
        dim B = batch_size

        output image_embeds = model.vision_encoder(image)
        output image_atts = int(ones([2 * B, S]))
        output cross_embeds = model.text_encoder.multi_modal_pair(
            text_ids, text_atts, [image_embeds[:B], image_embeds[B:]],
            [image_atts[:B], image_atts[B:]])
        output prediction = model.cls_head(cross_embeds[:, 0])
        output loss = mean(cross_entropy(prediction, targets), 0)

        metric accuracy = sum(float(argmax(prediction, -1) == targets)), float(B)
        minimise loss
    }

    entry predict(image: [2 * B, 3, R, R], text_ids: int[B, T], text_atts: int[B, T]) {
        data "nlvr" {}
        dim B = batch_size
        image_embeds = model.vision_encoder(image)
        everywhere = int(ones([B, S]))
        cross = model.text_encoder.multi_modal_pair(
            text_ids, text_atts, [image_embeds[:B], image_embeds[B:]], [everywhere, everywhere])
        output prediction as "eval.prediction" = model.cls_head(cross[:, 0])
    }
}
