config depths = [2, 2, 18, 2]

let last = depths[4]
