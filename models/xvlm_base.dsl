# X-VLM base: Swin-B at 224 pixels and BERT base by default, the sizes of the published 4M and 16M models.

import "encoders.dsl"
import "xvlm.dsl"
import "../tasks/captioning.dsl"
import "../tasks/captioning_pretrain.dsl"
import "../tasks/captioning_scst.dsl"
import "../tasks/grounding_bbox.dsl"
import "../tasks/grounding_bbox_pretrain.dsl"
import "../tasks/grounding_weak.dsl"
import "../tasks/nlvr.dsl"
import "../tasks/nlvr_pretrain.dsl"
import "../tasks/pretrain.dsl"
import "../tasks/retrieval.dsl"
import "../tasks/vqa.dsl"

config image_res = 224
config patch_size = 32 if use_swin and not use_clip_vit else 16
config embed_dim = 256
config temp = 0.07

# What the encoder in use needs: Swin the first part, CLIP the second. DeiT has fixed sizes unless `depth` is given.
config vision_config {
    vision_width = none
    initializer_range = 0.02

    image_res = image_res
    window_size = image_res // 32
    embed_dim = 128
    depths = [2, 2, 18, 2]
    num_heads = [4, 8, 16, 32]
    drop_path_rate = 0.1
    ape = false
    ape_temperature = none
    position_range = 0.02

    patch_size = 16
    hidden_act = "quick_gelu"
    num_attention_heads = 12
    attention_dropout = 0.0
    intermediate_size = 3072
    num_hidden_layers = 12
    local_attn_depth = 4

    depth = none
    mlp_ratio = 4
    layer_norm_eps = 1e-6
}

config text_config {
    hidden_size = 768
    num_attention_heads = 12
    num_hidden_layers = 12
    fusion_layer = 6
    intermediate_size = 3072
    vocab_size = 50265 if use_roberta else 30522
    max_position_embeddings = 514 if use_roberta else 512
    type_vocab_size = 1 if use_roberta else 2
    pad_token_id = 1 if use_roberta else 0
    hidden_act = "gelu"
    layer_norm_eps = 1e-5 if use_roberta else 1e-12
    hidden_dropout_prob = 0.1
    attention_probs_dropout_prob = 0.1
    initializer_range = 0.02
}
