let width = widht + 1
