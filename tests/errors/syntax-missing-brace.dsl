module A(width) {
    fn (x: [B, width]) {
        return x
    }

module B(width) {
    a: A(width)
}
