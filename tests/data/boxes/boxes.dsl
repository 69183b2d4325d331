# The box losses alone; `move` makes the predictions, so that gradients reach them.

import "../../../models/layers.dsl"
import "../../../models/losses.dsl"

task boxes {
    config giou_weight = 2.0
    move: Linear(4, 4)

    optimizer adamw {
        lr = 1e-3
        weight_decay = 0.0
        lr_mult = 1
        beta1 = 0.9
        beta2 = 0.98
        epsilon = 1e-8
    }

    entry step(boxes: [B, 4], target: [B, 4], counts: [B]) {
        dim B = 8
        predicted = move(boxes)
        iou, giou = box_overlap(predicted, target)
        output own_giou = giou
        output loss_bbox = box_l1(predicted, target, counts)
        output loss_giou = box_giou(predicted, target, counts)
        minimise loss_bbox + giou_weight * loss_giou
    }
}
