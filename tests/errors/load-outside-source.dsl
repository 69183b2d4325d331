module Net() {
    param weight: [8, 16] init normal(0, 0.02)

    fn (x: [N, 8]) -> [N, 16] {
        return x @ weight
    }
}

task probe {
    dim B = 4
    net as "": Net()

    load "weight" = "head.weight"

    entry look(x: [B, 8]) {
        output y = net(x)
    }
}
