config a = [1, 2, 3
config b = 2

let c = b
