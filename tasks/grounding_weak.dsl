# Weakly supervised grounding of RefCOCO+ (Grounding.py): trained like retrieval, without boxes; where a text
# is, gradient- weighted cross-attention of a fusion layer says (Selvaraju et al. 2017).

import "../models/losses.dsl"
import "training.dsl"

task grounding_weak {
    config image_root = none
    config refcoco_data = none
    config batch_size = 20
    config max_tokens = 40
    config block_num = 9
    config block_nums = [block_num]

    set image_res = 384
    set optimizer.lr = 2e-5
    set schedular.epochs = 5

    dim T = max_tokens
    dim R = image_res
    let P = image_res // patch_size
    let S = 1 + P * P

    model as "": XVLM(VisionEncoder, TextEncoder, has_contrastive = true, has_matching = true)

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

    # Expressions and the images they are about.
    entry pairs(image: [B, 3, R, R], text_ids: int[B, T], text_atts: int[B, T], idx: int[B]) {
        data "grounding_weak" {}
        dim B = batch_size

        output image_embeds = model.vision_encoder(image)
        output image_atts = int(ones([B, S]))
        output text_embeds = model.text_encoder.text(text_ids, text_atts)
        output image_feat = model.image_feature(image_embeds)
        output text_feat = model.text_feature(text_embeds)
        output itc_logits = all_gather(image_feat) @ all_gather(text_feat).T / model.temp
        output loss_itc = itc_of(itc_logits, all_gather(idx))

        similarity = image_feat @ text_feat.T / model.temp
        output itm_weights_i2t = negative_weights_of(similarity, idx)
        output itm_weights_t2i = negative_weights_of(similarity.T, idx)
        draw neg_image_idx = sample_categorical(itm_weights_t2i)
        draw neg_text_idx = sample_categorical(itm_weights_i2t)
        output cross_pos = model.text_encoder.fusion(
            text_embeds, text_atts, image_embeds, image_atts)
        output cross_neg = model.fused_negatives(
            text_embeds, text_atts, image_embeds, image_atts, neg_image_idx, neg_text_idx)
        output itm_logits = concat([model.match(cross_pos), model.match(cross_neg)], 0)
        matched = int(arange(3 * B) < B)
        output loss_itm = mean(cross_entropy(itm_logits, matched), 0)

        metric itm_accuracy = sum(float(argmax(itm_logits, -1) == matched)), float(3 * B)
        minimise loss_itc + loss_itm
    }

    # Which cells of the image speak for a match: the attention of `block_nums` times its positive gradient.
    entry localise(image: [B, 3, R, R], text_ids: int[B, T], text_atts: int[B, T]) {
        data "grounding_weak" {}
        probability 0.0
        advances false
        dim B = batch_size

        output image_embeds = model.vision_encoder(image)
        everywhere = int(ones([B, S]))
        cross, attention = model.text_encoder.multi_modal_maps(
            text_ids, text_atts, image_embeds, everywhere)
        output itm_logits = model.match(cross)
        output loss = sum(itm_logits[:, 1])
        said = float(text_atts)[:, none, :, none]
        for i in block_nums {
            assert text_config.fusion_layer <= i and i < text_config.num_hidden_layers, "block_nums: not a fusion layer"
            output map as "block{i}.attention_map" = attention[i - text_config.fusion_layer]
            output slope as "block{i}.attention_grad" = gradient(loss, map)
            weighted = (map * said * maximum(slope, 0.0) * said)[:, :, :, 1:]
            cam = reshape(mean(weighted, 1), [B, T, P, P])
            output cam as "block{i}.cam_per_token" = cam
            output where_is as "block{i}.gradcam" = mean(cam, 1)
        }
        minimise loss
    }
}
