module Linear(n) {
    param weight: [n]
}

module Linear(n, m) {
    param weight: [n, m]
}
