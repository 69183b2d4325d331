config hidden_size = 8

let heads = hidden_sizes // 4
