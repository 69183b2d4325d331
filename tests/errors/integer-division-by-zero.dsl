config depth = 0

let share = 12 // depth
