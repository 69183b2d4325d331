fn f(x) {
    g(x) = 3
    x.a, y = x
}
