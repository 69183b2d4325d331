import "nowhere/layers.dsl"
let a = 1
import "../errors"
