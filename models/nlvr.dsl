# X-VLM for texts about two images (models/model_nlvr.py): every fusion layer twice, the two looking at the
# first and the second image in turns and sharing the keys and values of cross-attention.

import "bert.dsl"
import "losses.dsl"

module XVLMForPairs(Vision, Text, has_classes = false, has_pretraining = false) {
    let fusion_layer = text_config.fusion_layer
    vision_encoder: Vision(vision_config, image_res, patch_size)
    text_encoder: Text(
        text_config, vision_encoder.width, "nothing",
        fusion_layer + 2 * (text_config.num_hidden_layers - fusion_layer), fusion_layer,
        has_pairs = true)
    if has_pretraining {
        vision_proj: DefaultLinear(vision_encoder.width, embed_dim)
        ta_head: DefaultLinear(text_config.hidden_size, 3) fresh
    }
    if has_classes {
        cls_head: MlpHead(text_config.hidden_size, 2) fresh
    }

    # Unit vectors of the global tokens; they choose pairs of images and are not learnt here (vision_proj of
    # models/model_nlvr_pretrain.py).
    fn image_feature(image: [B, S, D]) {
        return stop_gradient(l2_normalised(vision_proj(image[:, 0])))
    }
}
