module A(width) {
    first: Linear(width, width)
}
}

module B(width) {
    first: Linear(width width)
}
