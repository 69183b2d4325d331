config steps = 3

task probe {
    set step = 4

    entry look(x: [4]) {
        output y = x
    }
}
