module A(width) {
    module B(width) {
        b: Linear(width, width)
    }
}
