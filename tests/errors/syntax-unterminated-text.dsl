import "layers.dsl
let a = 1
