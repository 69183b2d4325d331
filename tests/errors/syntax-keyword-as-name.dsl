let if = 3
fn for(x) {
    return x
}
