let depths = [2, 2, 6, 2)
let width = 3
