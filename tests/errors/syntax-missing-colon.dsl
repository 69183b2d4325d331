module A(width) {
    first Linear(width, width)
    param weight [width] init zeros
}
