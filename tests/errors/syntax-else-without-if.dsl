fn f(x) {
    else {
        return x
    }
}
