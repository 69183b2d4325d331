module A(width) {
    first: Linear(width, width)
    return first
}
