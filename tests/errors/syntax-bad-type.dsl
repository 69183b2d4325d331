fn f(x: float[B, N], y: B) -> int {
    return x
}
