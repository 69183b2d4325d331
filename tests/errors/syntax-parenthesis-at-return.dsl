fn f(x) {
    y = g(x, h(x)
    return y
}

let z = = 3
