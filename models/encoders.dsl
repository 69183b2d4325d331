# Which encoders a model has, by the official configuration keys. A model with encoders of its own gives these three
# names itself instead of importing this file.

import "bert.dsl"
import "clip_vit.dsl"
import "deit.dsl"
import "roberta.dsl"
import "swin.dsl"

config use_clip_vit = false
config use_swin = true
config use_roberta = false

let VisionEncoder = ClipVit if use_clip_vit else Swin if use_swin else Deit
let TextEncoder = Roberta if use_roberta else Bert
let MaskedLM = RobertaForMaskedLM if use_roberta else BertForMaskedLM
