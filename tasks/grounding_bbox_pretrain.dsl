# Domain pre-training of box grounding (Grounding_bbox_pretrain.py): boxes of region texts, several of an
# image at a time. An image is encoded once and seen whole; texts about whole images count only if
# calc_image_bbox_loss says so.

import "../models/losses.dsl"
import "training.dsl"

task grounding_bbox_pretrain {
    config regions {
        image_key = "binary"
        is_image_rpath = false
        caption_key = "caption"
        tokenized = false
        iter_perc = 1.0
        batch_size = 24
        max_images = 9
        max_regions = 5
        min_perc_in_image = 0.5
        stream = none  # of lines, or by number; none: as their size asks for
    }

    config calc_image_bbox_loss = false
    config max_words = 40
    config max_tokens = 40
    config train_dataset_size = 318547
    config train_file_regions = none

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

    model as "": XVLM(VisionEncoder, TextEncoder, has_bbox = true)

    optimizer adamw {
        lr = optimizer.lr
        weight_decay = optimizer.weight_decay
        lr_mult = optimizer.lr_mult
        beta1 = 0.9
        beta2 = 0.98
        epsilon = 1e-8
        clip = accelerator.CLIP_GRAD_NORM
    }

    # Pre-training wraps the text encoder for its masked words.
    source "X-VLM pre-training" {
        let kind = "roberta" if use_roberta else "bert"
        load "text_encoder.*" = "text_encoder.{kind}.*"
    }

    # Substring rule of the official optimizer (optim.py).
    no_decay ["bias", "LayerNorm.weight", "norm.weight", "norm1.weight", "norm2.weight"]

    entry regions(
        image: [I, 3, R, R], idx_to_group_img: int[B], text_ids: int[B, T], text_atts: int[B, T],
        target_bbox: [B, 4], is_image: int[B]) {
        data "grounding_bbox_pretrain" {}
        dim B = regions.batch_size
        dim I = regions.max_images

        output image_embeds = model.vision_encoder(image)[idx_to_group_img]
        output image_atts = int(ones([B, S]))
        output text_embeds = model.text_encoder.text(text_ids, text_atts)
        output cross_embeds = model.text_encoder.fusion(
            text_embeds, text_atts, image_embeds, image_atts)
        output bbox_head_out = model.bbox_head(cross_embeds[:, 0])
        output output_coord = sigmoid(bbox_head_out)
        counts = ones([B]) if calc_image_bbox_loss else 1.0 - float(is_image)
        output loss_bbox = box_l1(output_coord, target_bbox, counts)
        output loss_giou = box_giou(output_coord, target_bbox, counts)

        iou, giou = box_overlap(output_coord, target_bbox)
        metric box_accuracy = sum(float(iou >= 0.5) * counts), sum(counts)
        minimise loss_bbox + loss_giou
    }
}
