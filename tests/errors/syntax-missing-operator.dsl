fn f(x, y) {
    return 2 x + y
}
