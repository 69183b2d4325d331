fn f(x) {
    while x > 0 {
        x = x - 1
    }
    return x
}
