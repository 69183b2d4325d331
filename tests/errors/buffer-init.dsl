module Net() {
    param weight: [8, 16] init normal(0, 1)
    buffer index: int[6, 6] init window_index
    buffer order: int[1, 4] init ascending
    buffer mask: [4, 9, 9] frozen
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
        output loss = sum(x @ net.weight)
        minimise loss
    }
}
