config lr = 1e-4
config lr = 1e-3
