# Grounding of RefCOCO+ with a box head (Grounding_bbox.py): where in the image is what the text says?

import "../models/losses.dsl"
import "training.dsl"

task grounding_bbox {
    config image_root = none
    config refcoco_data = none
    config careful_hflip = true
    config batch_size = 20
    config max_tokens = 40

    set image_res = 384
    set optimizer.lr = 3e-5
    set schedular.epochs = 10

    dim T = max_tokens
    dim R = image_res
    let P = image_res // patch_size
    let S = 1 + P * P

    model as "": XVLM(VisionEncoder, TextEncoder, has_bbox = true)

    optimizer adamw {
        lr = optimizer.lr
        weight_decay = optimizer.weight_decay
        lr_mult = optimizer.lr_mult
        beta1 = 0.9
        beta2 = 0.98
        epsilon = 1e-8
    }

    # Pre-training wraps the text encoder for its masked words.
    source "X-VLM pre-training" {
        let kind = "roberta" if use_roberta else "bert"
        load "text_encoder.*" = "text_encoder.{kind}.*"
    }

    # Substring rule of the official optimizer (optim.py).
    no_decay ["bias", "LayerNorm.weight", "norm.weight", "norm1.weight", "norm2.weight"]

    entry boxes(
        image: [B, 3, R, R], text_ids: int[B, T], text_atts: int[B, T], target_bbox: [B, 4]) {
        data "grounding_bbox" {}
        dim B = batch_size

        output image_embeds = model.vision_encoder(image)
        output image_atts = int(ones([B, S]))
        output text_embeds = model.text_encoder.text(text_ids, text_atts)
        output cross_embeds = model.text_encoder.fusion(
            text_embeds, text_atts, image_embeds, image_atts)
        output bbox_head_out = model.bbox_head(cross_embeds[:, 0])
        output output_coord = sigmoid(bbox_head_out)
        counts = ones([B])
        output loss_bbox = box_l1(output_coord, target_bbox, counts)
        output loss_giou = box_giou(output_coord, target_bbox, counts)

        iou, giou = box_overlap(output_coord, target_bbox)
        metric box_accuracy = sum(float(iou >= 0.5)), float(B)
        minimise loss_bbox + loss_giou
    }

    # The box of each text: centre, width and height in units of the image.
    entry locate(image: [B, 3, R, R], text_ids: int[B, T], text_atts: int[B, T]) {
        data "grounding_bbox" {}
        dim B = batch_size
        image_embeds = model.vision_encoder(image)
        cross = model.text_encoder.multi_modal(text_ids, text_atts, image_embeds, int(ones([B, S])))
        output output_coord as "eval.output_coord" = sigmoid(model.bbox_head(cross[:, 0]))
    }
}
