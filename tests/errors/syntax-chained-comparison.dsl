fn f(x) {
    assert 0 < x < 3, "out of range"
}
