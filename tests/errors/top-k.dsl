module Net() {
    param weight: [8, 16] init normal(0, 0.02)

    fn (x: [N, 8]) -> [N, 16] {
        return x @ weight
    }
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
        best = top_k(net(x), 17)
        output loss = sum(float(best + top_k(ids, 2)))
        minimise loss
    }
}
