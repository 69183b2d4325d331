import "../leaf.dsl"
import "../../imports/cycle.dsl"

let in_branch = 1
