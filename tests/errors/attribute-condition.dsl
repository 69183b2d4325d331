module Head(width) {
    param weight: [width] init ones fresh(true, false)
    param bias: [width] init zeros fresh(width)
}

task train {
    model: Head(8)
}
