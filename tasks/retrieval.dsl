# Image-text retrieval (Retrieval.py): contrast and matching where equal `idx` means the same image, and the
# two-stage evaluation. Defaults are those of COCO.

import "../models/losses.dsl"
import "training.dsl"

task retrieval {
    config image_root = none
    config batch_size_train = 20
    config batch_size_test = 12
    config batch_size_test_text = 64
    config max_tokens = 40
    config k_test = 256

    set image_res = 384
    set optimizer.lr = 3e-5
    set schedular.epochs = 10

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

    # Image-text pairs.
    entry pairs(image: [B, 3, R, R], text_ids: int[B, T], text_atts: int[B, T], idx: int[B]) {
        data "retrieval" {}
        dim B = batch_size_train

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

    # The two-stage evaluation (runtime/loop/ranking.h): features of all images and texts, then match scores of the
    # k_test best texts of each image and images of each text, from what the two encoders left.
    entry encode_image(image as "eval.image": [B, 3, R, R]) {
        data "retrieval" {}
        dim B = batch_size_test
        output image_embeds as "eval.image_embeds" = model.vision_encoder(image)
        output image_feat as "eval.image_feat" = model.image_feature(image_embeds)
    }

    entry encode_text(
        text_ids as "eval.text_ids": int[B, T], text_atts as "eval.text_atts": int[B, T],
        idx as "eval.txt2img": int[B]) {
        data "retrieval" {}
        dim B = batch_size_test_text
        output text_embeds as "eval.text_embeds" = model.text_encoder.text(text_ids, text_atts)
        output text_feat as "eval.text_feat" = model.text_feature(text_embeds)
        output image_of_text as "eval.image_of_text" = idx
    }

    entry match(
        image_embeds as "eval.image_embeds": [B, S, model.vision_encoder.width],
        text_embeds as "eval.text_embeds": [B, T, text_config.hidden_size],
        text_atts as "eval.text_atts": int[B, T]) {
        dim B = batch_size_test_text
        cross = model.text_encoder.fusion(text_embeds, text_atts, image_embeds, int(ones([B, S])))
        output match_score as "eval.match_score" = model.match(cross)[:, 1]
    }
}
