# What every training recipe has in common (configs/), under the official names. Tasks set their own numbers.

config optimizer {
    opt = "adamW"
    lr = 1e-4
    weight_decay = 0.01
    lr_mult = 2
}

config schedular {
    sched = "linear"
    lr = optimizer.lr
    epochs = 10
    num_training_steps = none  # instead of epochs
    num_warmup_steps = 0.1
}

# RandAugment of the training pictures: two of ten ops (of five where there are boxes). Two ops are not what their names
# say, and published weights were trained with them so.
config randaug {
    ops = 2
    level = 7
    fix_autocontrast = false
    fix_sharpness = false
}

# Where a run finds its data: what the program reads when its flags (--data, --val, --vocab) do not say otherwise. A
# path, or a list of paths; text_encoder is the folder of the vocabulary.
config train_file = none
config val_file = none
config test_file = none
config text_encoder = none
