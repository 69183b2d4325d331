let a = 
let b = 3 +
let c = (1, 2
let d = [1 2]
let e = 3
fn f(x {
    return x
}
let g = *
