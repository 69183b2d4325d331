# Which encoders a model has, by the official configuration keys. A model with encoders of its own gives these three
# names itself instead of importing this file.

import "bert.dsl"
import "swin.dsl"

let VisionEncoder = Swin
let TextEncoder = Bert
let MaskedLM = BertForMaskedLM
