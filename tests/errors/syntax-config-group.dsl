config text {
    width = 3, depth = 4
    heads: 5
    bias true
}
