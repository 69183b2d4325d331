modul A(width) {
}

task t {
    entri images(x: [B]) {
    }
}
