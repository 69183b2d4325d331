task t {
    entry e(x: [B]) {
        assert x == x, "100\% of it"
    }
}
