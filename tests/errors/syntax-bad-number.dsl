let a = 12px
let b = 1e400
let c = 99999999999999999999
let d = 1.
