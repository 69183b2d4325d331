width = 3
let depth = 2
first: Linear(width, width)
