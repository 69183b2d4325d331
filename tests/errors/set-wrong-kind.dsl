config use_swin = true

set use_swin = 3
