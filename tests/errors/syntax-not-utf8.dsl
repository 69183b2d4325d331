# café
let a = 1
