entry images(image: [B, 3, R, R]) {
    output x = image
}
