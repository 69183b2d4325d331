let in_leaf = 1
