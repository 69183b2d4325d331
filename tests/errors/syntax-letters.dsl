let breite = 3
let größe = 4
