// Scatter, sampling and the ends of column sums; semantics of runtime/device/rows.h.

constexpr int XV_ROWS_WARPS = (int)XV_ROWS_THREADS / 32;

// A block looks through all indices for its row of a table; a thread keeps its columns, so sums are in order.
XV_KERNEL(XV_ROWS_THREADS) xv_scatter_add(XvScatterTablesTask task)
{
    XV_SHARED(uint32_t, named, XV_ROWS_WARPS);
    int which = 0;
    while (which + 1 < task.n_tables && task.tables[which + 1].first_block <= (int64_t)blockIdx.x) {
        which++;
    }
    const XvScatterTask &t = task.tables[which];
    const int64_t block = (int64_t)blockIdx.x - t.first_block, row = block / t.column_blocks;
    const int64_t left = block % t.column_blocks * XV_SCATTER_COLUMNS, first = left + threadIdx.x;
    const int64_t end = left + XV_SCATTER_COLUMNS < t.width ? left + XV_SCATTER_COLUMNS : t.width;
    for (int64_t c = first; c < end && !task.is_added; c += XV_ROWS_THREADS) {
        t.table[row * t.width + c] = 0.0f;
    }
    for (int64_t base = 0; base < t.count; base += XV_ROWS_THREADS) {
        const int64_t mine = base + threadIdx.x;
        const uint32_t vote = xv_ballot(0xffffffffu, mine < t.count && t.index[mine] == row);
        if (threadIdx.x % 32 == 0) {
            named[threadIdx.x / 32] = vote;
        }
        xv_sync_block();
        for (int warp = 0; warp < XV_ROWS_WARPS; warp++) {
            for (uint32_t votes = named[warp], bit = 0; votes != 0; votes >>= 1, bit++) {
                const int64_t position = base + warp * 32 + bit;
                for (int64_t c = first; (votes & 1) && c < end; c += XV_ROWS_THREADS) {
                    t.table[row * t.width + c] +=
                        xv_operand_at(t.rows, position * t.row_stride + c * t.column_stride);
                }
            }
        }
        xv_sync_block();
    }
}
XV_ENTRY(xv_scatter_add)

XV_FN double xv_positive(float weight)
{
    return weight > 0.0f ? (double)weight : 0.0;
}

XV_KERNEL(XV_ROWS_THREADS) xv_sample(XvSampleTask task)
{
    const int64_t row = (int64_t)blockIdx.x * XV_ROWS_THREADS + threadIdx.x;
    if (row >= task.n_rows) {
        return;
    }
    const XvDraw draw = task.draw[0];
    if (draw.given_index) {
        task.index[row] = draw.given_index[row];
        return;
    }
    const XvWords words = xv_philox(draw.key, (uint64_t)row);
    const uint64_t bits = (uint64_t)(words.word[0] >> 5) << 26 | words.word[1] >> 6;
    double total = 0;
    for (int64_t i = 0; i < task.n; i++) {
        total += xv_positive(task.weights[row * task.n + i]);
    }
    double left = (double)bits * (1.0 / 9007199254740992.0) * total;
    int32_t last = 0;  // rounding may exhaust the row before `left`: then the last positive weight is meant
    bool is_found = false;
    for (int64_t i = 0; i < task.n && !is_found; i++) {
        const double weight = xv_positive(task.weights[row * task.n + i]);
        if (weight > 0.0) {
            last = (int32_t)i;
            is_found = left < weight;
            left -= weight;
        }
    }
    task.index[row] = last;
}
XV_ENTRY(xv_sample)

// Whether a stands before b: larger, or equal and earlier; NaN is smaller than any number.
XV_FN bool xv_is_above(XvPicked a, XvPicked b)
{
    const bool is_a_less = a.value < b.value || (a.value != a.value && b.value == b.value);
    const bool is_b_less = b.value < a.value || (b.value != b.value && a.value == a.value);
    return is_b_less || (!is_a_less && a.lane < b.lane);
}

// Lane -1 stands for nothing.
struct XvTop {
    static XV_INLINE_MEMBER XvPicked join(XvPicked a, XvPicked b)
    {
        return a.lane < 0 || (b.lane >= 0 && xv_is_above(b, a)) ? b : a;
    }
    static XV_INLINE_MEMBER const char *name() { return "largest of a team"; }
};

// A block owns a row and picks k times the first of those that stand after the last pick.
XV_KERNEL(XV_ROWS_THREADS) xv_top_k(XvTopTask task)
{
    const int64_t row = blockIdx.x;
    XvPicked last = {0.0f, -1};
    for (int64_t pick = 0; pick < task.k; pick++) {
        XvPicked best = {0.0f, -1};
        for (int64_t i = threadIdx.x; i < task.n; i += XV_ROWS_THREADS) {
            const XvPicked candidate = {task.values[row * task.n + i], (int32_t)i};
            if (last.lane < 0 || xv_is_above(last, candidate)) {
                best = XvTop::join(best, candidate);
            }
        }
        last = xv_team_reduce<XV_ROWS_THREADS, XvTop>(best);
        if (threadIdx.x == 0) {
            task.index[row * task.k + pick] = last.lane;
        }
    }
}
XV_ENTRY(xv_top_k)

constexpr int XV_COLUMNS_WARPS = (int)XV_ROWS_THREADS / (int)XV_COLUMNS_LANES;

// Ends of column sums: a block owns 32 lanes of one sum, its warps the quarters of the chunks.
XV_KERNEL(XV_ROWS_THREADS) xv_add_columns(XvColumnsTask task)
{
    XV_SHARED(float, quarters, XV_ROWS_THREADS);
    int which = 0;
    while (which + 1 < task.n_sums && task.sums[which + 1].first_block <= (int)blockIdx.x) {
        which++;
    }
    const XvColumns &sum = task.sums[which];
    const int lane = (int)threadIdx.x % XV_COLUMNS_LANES, warp = (int)threadIdx.x / XV_COLUMNS_LANES;
    const int c = ((int)blockIdx.x - sum.first_block) * XV_COLUMNS_LANES + lane;
    const int last = (int)((int64_t)(warp + 1) * sum.chunks / XV_COLUMNS_WARPS);
    float part = 0;
    for (int chunk = (int)((int64_t)warp * sum.chunks / XV_COLUMNS_WARPS); chunk < last; chunk++) {
        part += c < sum.lanes ? sum.parts[(int64_t)chunk * sum.lanes + c] : 0.0f;
    }
    quarters[threadIdx.x] = part;
    xv_sync_block();
    if (warp == 0 && c < sum.lanes) {
        float whole = quarters[lane];
        for (int i = 1; i < XV_COLUMNS_WARPS; i++) {
            whole += quarters[i * XV_COLUMNS_LANES + lane];
        }
        sum.out[c] = whole;
    }
}
XV_ENTRY(xv_add_columns)
