module Net() {
    param weight: [8, 16]
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
        output other = sum(x)
        minimise 2 * (loss + other) + loss * other
    }
}
