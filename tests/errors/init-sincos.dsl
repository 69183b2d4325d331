module Net() {
    param grid: [1, 12, 8] init sincos_2d(0.5, 10)
    param narrow: [1, 16, 6] init sincos_2d(0.5, 10)
    param still: [1, 16, 8] init sincos_2d(0.5, 0)
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
        output loss = sum(x)
        minimise loss
    }
}
