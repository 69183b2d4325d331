config optimizer {
    lr = 1e-4
}

set optimizer.lrr = 1e-3
