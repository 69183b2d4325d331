module Table(rows) {
    param weight: [rows, 4] init normal(0, 1) zero_row(rows)
}

task train {
    model: Table(8)
}
