task empty {
    dim B = 2
}
