fn f(x: [B N], y) {
    return g(x, axis = 1 keep = true)
}
