module Net() {
    set steps = 3
}
