import "leaf.dsl"
import "deeper/branch.dsl"
import "cycle.dsl"

let in_main = 1
