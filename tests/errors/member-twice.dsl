module Part() {
    param weight: [8] init ones
}

module Net() {
    part: Part()
    part as "other": Part()
}

task probe {
    dim B = 4
    net as "": Net()

    optimizer adamw {
        lr = 1e-3
        beta1 = 0.9
        beta2 = 0.98
        epsilon = 1e-8
    }

    entry step(x: [B, 8], ids: int[B]) {
        output loss = sum(x * net.part.weight)
        minimise loss
    }
}
