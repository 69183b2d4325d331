module A(n) {
    a.b: Linear(n, n)
    c[i, j]: Linear(n, n)
}
