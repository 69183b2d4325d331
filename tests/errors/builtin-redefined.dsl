fn softmax(x) {
    return x
}
