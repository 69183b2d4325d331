fn f(x as "y": [N]) {
    return x
}
