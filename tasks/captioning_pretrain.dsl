# Domain pre-training of the caption writer (Captioning_pretrain.py): plain next-word loss on whole texts,
# without a prompt.

import "../models/losses.dsl"
import "../models/xvlm_caption.dsl"
import "training.dsl"

task captioning_pretrain {
    config images {
        image_key = "binary"
        is_image_rpath = false
        caption_key = "desc"
        tokenized = false
        batch_size = 128
        min_crop_scale = 0.2
        stream = none  # of lines, or by number; none: as their size asks for
    }

    config max_words = 40
    config max_tokens = 40
    config end_token_id = 102  # [SEP]
    config train_dataset_size = 5114489

    set optimizer.lr = 3e-5
    set schedular.epochs = 2
    set schedular.num_warmup_steps = 0.1

    config accelerator {
        CLIP_GRAD_NORM = 1.0
        RNG_SEED = 42
    }

    dim T = max_tokens
    let R = image_res

    model as "": CaptionModel()

    optimizer adamw {
        lr = optimizer.lr
        weight_decay = optimizer.weight_decay
        lr_mult = optimizer.lr_mult
        beta1 = 0.9
        beta2 = 0.98
        epsilon = 1e-8
        clip = accelerator.CLIP_GRAD_NORM
    }

    # The text encoder with its head for masked words becomes the decoder.
    source "X-VLM pre-training" {
        load "text_decoder.*" = "text_encoder.*"
    }

    # Substring rule of the official optimizer (optim.py).
    no_decay ["bias", "LayerNorm.weight", "norm.weight", "norm1.weight", "norm2.weight"]

    entry images(image: [B, 3, R, R], text_ids: int[B, T], text_atts: int[B, T]) {
        data "caption_pretrain" {}
        dim B = images.batch_size
        output image_embeds = model.vision_encoder(image)
        output logits = model.scores(text_ids, text_atts, image_embeds)
        output loss = caption_loss(logits, text_ids, text_config.pad_token_id)
        minimise loss
    }
}
