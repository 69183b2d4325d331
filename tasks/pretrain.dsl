# X-VLM pre-training (Pretrain.py): contrast, matching with hard negatives, masked words on image-text pairs;
# the same and boxes on region-text pairs. Defaults are those of the published 4M recipe.

import "../models/losses.dsl"
import "training.dsl"

task pretrain {
    config images {
        image_key = "binary"
        is_image_rpath = false
        caption_key = "caption"
        tokenized = false
        batch_size = 128
        min_crop_scale = 0.2
        stream = none  # of lines, or by number; none: as their size asks for
    }

    config regions {
        image_key = "binary"
        is_image_rpath = false
        caption_key = "caption"
        tokenized = false
        iter_perc = 0.5
        batch_size = 128
        max_images = 48
        max_regions = 5
        min_perc_in_image = 0.5
        min_margin = 0.0
        stream = none  # of lines, or by number; none: as their size asks for
    }

    config calc_image_bbox_loss = false
    config bbox_weight = 1.0
    config max_words = 40
    config max_tokens = 40
    config mask_prob = 0.25
    config max_masks = 8
    config mask_whole_word = true
    config skipgram_prb = 0.2
    config skipgram_size = 3
    config train_dataset_size = 5114489
    config train_file_regions = none

    set optimizer.lr = 1e-4
    set schedular.epochs = 41
    set schedular.num_warmup_steps = 2500

    config accelerator {
        CLIP_GRAD_NORM = 1.0
        RNG_SEED = 42
    }

    dim T = max_tokens
    dim M = max_masks
    dim R = image_res
    let P = image_res // patch_size
    let S = 1 + P * P

    model as "": XVLM(
        VisionEncoder, MaskedLM, has_contrastive = true, has_matching = true, has_bbox = true,
        is_pretraining = true)

    optimizer adamw {
        lr = optimizer.lr
        weight_decay = optimizer.weight_decay
        lr_mult = optimizer.lr_mult
        beta1 = 0.9
        beta2 = 0.98
        epsilon = 1e-8
        clip = accelerator.CLIP_GRAD_NORM
    }

    # Substring rule of the official optimizer (optim.py).
    no_decay ["bias", "LayerNorm.weight", "norm.weight", "norm1.weight", "norm2.weight"]

    # Pre-trained encoders; what they lack starts fresh.
    source "Swin or DeiT" {
        load "vision_encoder.*" = "*"
        load "text_encoder.*" = none
    }

    source "CLIP" {
        load "vision_encoder.class_embedding" = "vision_model.embeddings.class_embedding"
        load "vision_encoder.patch_embed.weight" = "vision_model.embeddings.patch_embedding.weight"
        load "vision_encoder.pos_embed.weight" = "vision_model.embeddings.position_embedding.weight"
        load "vision_encoder.*" = "vision_model.*"
        load "text_encoder.*" = none
    }

    source "BERT or RoBERTa" {
        load "text_encoder.*" = "*"
        load "text_encoder.*.weight" = "*.gamma"
        load "text_encoder.*.bias" = "*.beta"
        load "vision_encoder.*" = none
    }

    # In both entry points the texts and the masked texts, and then all fusions, go through the layers as one batch.
    # The outputs text_embeds and cross_pos are computed apart, as they are observed; training does not read them.

    # Region-text pairs: text about a part of an image, and where that part is.
    entry regions(
        image: [I, 3, R, R], idx_to_group_img: int[B], text_ids: int[B, T], text_atts: int[B, T],
        text_ids_masked: int[B, T], masked_pos: int[B, M], masked_ids: int[B, M],
        image_atts: int[B, S], target_bbox: [B, 4], is_image: int[B]) {
        data "regions" {}
        probability regions.iter_perc
        advances false
        dim B = regions.batch_size
        dim I = regions.max_images

        image_embeds, full = model.vision_encoder.regions(image, idx_to_group_img, image_atts)
        output image_embeds = image_embeds
        output image_embeds_fullatts = full
        output image_atts = image_atts
        output text_embeds = model.text_encoder.text(text_ids, text_atts)
        both = model.text_encoder.text(
            concat([text_ids_masked, text_ids], 0), concat([text_atts, text_atts], 0))
        masked = both[:B]
        text = both[B:]
        output image_feat = model.image_feature(image_embeds)
        output text_feat = model.text_feature(text)
        output itc_logits = all_gather(image_feat) @ all_gather(text_feat).T / model.temp
        output loss_itc = itc(itc_logits)

        similarity = image_feat @ text_feat.T / model.temp
        output itm_weights_i2t = negative_weights(similarity)
        output itm_weights_t2i = negative_weights(similarity.T)
        draw neg_image_idx = sample_categorical(itm_weights_t2i)
        draw neg_text_idx = sample_categorical(itm_weights_i2t)
        output cross_pos = model.text_encoder.fusion(
            text_embeds, text_atts, image_embeds, image_atts)
        cross = model.fused_together(
            [masked, text, text, text[neg_text_idx], text],
            [text_atts, text_atts, text_atts, text_atts[neg_text_idx], text_atts],
            [image_embeds, image_embeds, image_embeds[neg_image_idx], image_embeds, full],
            [image_atts, image_atts, image_atts[neg_image_idx], image_atts, int(ones([B, S]))])
        output cross_neg = cross[2 * B:4 * B]
        rows = model.rows_read(cross, masked_pos)
        let first = B * M
        output itm_logits = model.itm_head(rows[first:first + 3 * B])
        matched = int(arange(3 * B) < B)
        output loss_itm = mean(cross_entropy(itm_logits, matched), 0)

        output mlm_logits = model.text_encoder.logits(
            reshape(rows[:first], [B, M, text_config.hidden_size]))
        output loss_mlm = masked_cross_entropy(
            reshape(mlm_logits, [B * M, text_config.vocab_size]), reshape(masked_ids, [B * M]))

        output cross_bbox = cross[4 * B:]
        output bbox_head_out = model.bbox_head(rows[first + 3 * B:])
        output output_coord = sigmoid(bbox_head_out)
        counts = ones([B]) if calc_image_bbox_loss else 1.0 - float(is_image)
        output loss_bbox = box_l1(output_coord, target_bbox, counts)
        output loss_giou = box_giou(output_coord, target_bbox, counts)

        iou, giou = box_overlap(output_coord, target_bbox)
        metric box_accuracy = sum(float(iou >= 0.5) * counts), sum(counts)
        # Chance: the box of the record before.
        chance, chance_giou = box_overlap(roll(target_bbox, [1, 0]), target_bbox)
        metric box_accuracy_chance = sum(float(chance >= 0.5) * counts), sum(counts)
        minimise loss_itc + loss_itm + loss_mlm + bbox_weight * loss_bbox + bbox_weight * loss_giou
    }

    # Image-text pairs.
    entry images(
        image: [B, 3, R, R], text_ids: int[B, T], text_atts: int[B, T], text_ids_masked: int[B, T],
        masked_pos: int[B, M], masked_ids: int[B, M]) {
        data "image_text" {}
        probability 1.0
        advances true
        dim B = images.batch_size

        output image_embeds = model.vision_encoder(image)
        output image_atts = int(ones([B, S]))
        output text_embeds = model.text_encoder.text(text_ids, text_atts)
        both = model.text_encoder.text(
            concat([text_ids_masked, text_ids], 0), concat([text_atts, text_atts], 0))
        masked = both[:B]
        text = both[B:]
        output image_feat = model.image_feature(image_embeds)
        output text_feat = model.text_feature(text)
        output itc_logits = all_gather(image_feat) @ all_gather(text_feat).T / model.temp
        output loss_itc = itc(itc_logits)

        similarity = image_feat @ text_feat.T / model.temp
        output itm_weights_i2t = negative_weights(similarity)
        output itm_weights_t2i = negative_weights(similarity.T)
        draw neg_image_idx = sample_categorical(itm_weights_t2i)
        draw neg_text_idx = sample_categorical(itm_weights_i2t)
        output cross_pos = model.text_encoder.fusion(
            text_embeds, text_atts, image_embeds, image_atts)
        cross = model.fused_together(
            [masked, text, text, text[neg_text_idx]],
            [text_atts, text_atts, text_atts, text_atts[neg_text_idx]],
            [image_embeds, image_embeds, image_embeds[neg_image_idx], image_embeds],
            [image_atts, image_atts, image_atts[neg_image_idx], image_atts])
        output cross_neg = cross[2 * B:4 * B]
        rows = model.rows_read(cross, masked_pos)
        let first = B * M
        output itm_logits = model.itm_head(rows[first:first + 3 * B])
        matched = int(arange(3 * B) < B)
        output loss_itm = mean(cross_entropy(itm_logits, matched), 0)

        output mlm_logits = model.text_encoder.logits(
            reshape(rows[:first], [B, M, text_config.hidden_size]))
        labels = reshape(masked_ids, [B * M])
        flat = reshape(mlm_logits, [B * M, text_config.vocab_size])
        output loss_mlm = masked_cross_entropy(flat, labels)

        metric itm_accuracy = sum(float(argmax(itm_logits, -1) == matched)), float(3 * B)
        metric mlm_accuracy = sum(float(argmax(flat, -1) == labels)), sum(float(labels != -100))
        minimise loss_itc + loss_itm + loss_mlm
    }
}
