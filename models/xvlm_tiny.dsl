# X-VLM small enough to learn within minutes on two cores, from the scenes that `xvlm scenes` draws.

import "encoders.dsl"
import "xvlm.dsl"
import "../tasks/pretrain.dsl"

config image_res = 64
config patch_size = 16
config embed_dim = 64
config temp = 0.07

config vision_config {
    vision_width = none
    image_res = image_res
    window_size = image_res // 16
    embed_dim = 32
    depths = [1, 2, 1]
    num_heads = [2, 4, 8]
    drop_path_rate = 0.0
    ape = true
    ape_temperature = 10.0
    position_range = 0.7
    initializer_range = 0.1
}

config text_config {
    hidden_size = 96
    num_attention_heads = 4
    num_hidden_layers = 4
    fusion_layer = 2
    intermediate_size = 192
    vocab_size = 256
    max_position_embeddings = 32
    type_vocab_size = 2
    pad_token_id = 0
    hidden_act = "gelu"
    layer_norm_eps = 1e-12
    hidden_dropout_prob = 0.0
    attention_probs_dropout_prob = 0.0
    initializer_range = 0.1
}

set randaug.ops = 0

task pretrain {
    set images.image_key = "image"
    set images.is_image_rpath = true
    set images.batch_size = 32
    set images.min_crop_scale = 0.6
    set regions.image_key = "image"
    set regions.is_image_rpath = true
    set regions.batch_size = 32
    set regions.iter_perc = 1.0
    set regions.max_images = 12
    set regions.min_margin = 0.9
    set bbox_weight = 2.0
    set max_words = 16
    set max_tokens = 14
    set max_masks = 4
    set optimizer.lr = 8e-4
    set optimizer.lr_mult = 0.5
    set schedular.num_warmup_steps = 100
}
