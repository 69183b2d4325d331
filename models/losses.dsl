# X-VLM's losses (models/xvlm.py). Masks multiply; no size depends on data.

# Image-text contrast over the features of all ranks, both directions.
loss itc(logits: [N, N]) -> [] {
    same = arange(N)
    return (mean(cross_entropy(logits, same), 0) + mean(cross_entropy(logits.T, same), 0)) / 2
}

# Weights for drawing hard negatives: likely partners, never the own one. No gradient.
fn negative_weights(logits: [B, B]) -> [B, B] {
    own = arange(B)[:, none] == arange(B)
    return where(own, 0.0, softmax(stop_gradient(logits)) + 1e-5)
}

# The same where rows and columns of equal `idx` are partners of each other: the target is spread over them.
loss itc_of(logits: [N, N], idx: int[N]) -> [] {
    partners = float(same_identity(idx))
    target = partners / sum(partners, 1, keep = true)
    rows = sum(target * log_softmax(logits), 1)
    columns = sum(target * log_softmax(logits.T), 1)
    return -(mean(rows, 0) + mean(columns, 0)) / 2
}

fn negative_weights_of(logits: [B, B], idx: int[B]) -> [B, B] {
    return where(same_identity(idx), 0.0, softmax(stop_gradient(logits)) + 1e-5)
}

fn same_identity(idx: int[N]) {
    return idx[:, none] == idx
}

# Mean over the labels that are not -100.
loss masked_cross_entropy(logits: [R, V], labels: int[R]) -> [] {
    counted = labels != -100
    return sum(where(counted, cross_entropy(logits, labels), 0.0)) /
        maximum(sum(float(counted)), 1.0)
}

# Boxes are (centre x, centre y, width, height) in [0, 1]; `counts` is 1 for rows that take part.
loss box_l1(predicted: [B, 4], target: [B, 4], counts: [B]) -> [] {
    return sum(abs(predicted - target) * counts[:, none]) / maximum(sum(counts), 1.0)
}

fn corners(box: [B, 4]) {
    return box[:, 0:2] - box[:, 2:4] / 2, box[:, 0:2] + box[:, 2:4] / 2
}

fn area(low: [B, 2], high: [B, 2]) {
    side = high - low
    return side[:, 0] * side[:, 1]
}

# Intersection over union and its generalised form (Rezatofighi et al. 2019), row by row. Empty boxes overlap by 0.
fn box_overlap(a: [B, 4], b: [B, 4]) {
    a_low, a_high = corners(a)
    b_low, b_high = corners(b)
    shared = area(maximum(a_low, b_low), maximum(minimum(a_high, b_high), maximum(a_low, b_low)))
    joint = area(a_low, a_high) + area(b_low, b_high) - shared
    hull = area(minimum(a_low, b_low), maximum(a_high, b_high))
    iou = shared / where(joint > 0.0, joint, 1.0)
    return iou, iou - (hull - joint) / where(hull > 0.0, hull, 1.0)
}

# A row with a box of negative width or height adds nothing, and the other rows count as before. (The official code
# makes the loss of the whole batch 0 for one such box.)
loss box_giou(predicted: [B, 4], target: [B, 4], counts: [B]) -> [] {
    iou, giou = box_overlap(predicted, target)
    side = minimum(predicted[:, 2:4], target[:, 2:4])
    is_turned = minimum(side[:, 0], side[:, 1]) < 0.0
    return sum(where(is_turned, 0.0, (1.0 - giou) * counts)) / maximum(sum(counts), 1.0)
}

# Cross-entropy with smoothed labels (models/xbert.py): the target weighs 1 - epsilon and every other word
# epsilon / V, so that all weights sum to 1 - epsilon / V. Mean over the labels that are not -100.
loss smoothed_cross_entropy(logits: [R, V], labels: int[R], epsilon) -> [] {
    counted = labels != -100
    own = cross_entropy(logits, labels)
    row = own
    if epsilon > 0 {
        others = -sum(log_softmax(logits), -1) - own
        row = own * (1.0 - epsilon) + others * (epsilon / V)
    }
    return sum(where(counted, row, 0.0)) / maximum(sum(float(counted)), 1.0)
}

# Next-word loss of captions: padding and the first `n_given` tokens are no targets.
loss caption_loss(
    logits: [B, T, V], ids: int[B, T], pad_token_id, n_given = 1, label_smoothing = 0) -> [] {
    let last = T - 1
    targets = ids[:, 1:]
    counted = targets != pad_token_id and arange(last) + 1 >= n_given
    return smoothed_cross_entropy(
        reshape(logits[:, :last], [B * last, V]),
        reshape(where(counted, targets, -100), [B * last]), label_smoothing)
}
