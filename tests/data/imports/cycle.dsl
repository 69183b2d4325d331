# Imports of itself, of a file that imports it, and of files already read are no error.
import "cycle.dsl"
import "./main.dsl"

let in_cycle = 1
