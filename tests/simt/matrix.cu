// Elements of two bytes, matrices and asynchronous copies without a fault; what is computed is checked in the last
// line of each kernel, -1 where it is wrong. See tests/groups/simt.sh.

// What follows from the definition of rounding, for every pattern of 16 bits: a value comes back as itself, the
// middle of two neighbours becomes the even one, beside the middle the nearer one.
template <class T> XV_FN bool is_rounded(uint32_t pattern, uint32_t infinity)
{
    T low, high;
    low.bits = (uint16_t)pattern;
    high.bits = (uint16_t)(pattern + 1);
    const float x = low, sign = pattern & 0x8000u ? -1.0f : 1.0f;
    if ((pattern & 0x7fffu) > infinity) {
        return x != x && T(x).bits == 0x7fff;
    }
    if ((pattern & 0x7fffu) == infinity) {
        return x - x != 0.0f && T(x).bits == pattern;
    }
    double next = (double)(float)high;
    if ((pattern & 0x7fffu) + 1 == infinity) {  // above the largest number: one more step, which becomes infinity
        T before;
        before.bits = (uint16_t)(pattern - 1);
        next = 2.0 * (double)x - (double)(float)before;
    }
    const float middle = (float)(((double)x + next) / 2), step = middle * 0x1p-23f + sign * 0x1p-149f;
    bool is_good = T(x).bits == pattern && T(middle).bits == pattern + (pattern & 1);
    if (step != 0.0f && middle != x) {
        is_good = is_good && T(middle - step).bits == pattern && T(middle + step).bits == pattern + 1;
    }
    return is_good;
}

XV_KERNEL(64) conversions(XvSpan<int32_t> data)
{
    const int t = (int)blockIdx.x * 64 + (int)threadIdx.x;
    bool is_good = true;
    for (uint32_t pattern = (uint32_t)t; pattern < 0x10000u; pattern += 128) {
        is_good = is_good && is_rounded<XvF16>(pattern, 0x7c00) && is_rounded<XvBf16>(pattern, 0x7f80);
    }
    const float x = xv_bits_float(0x3f801000u), y = xv_bits_float(0x3f800fffu), z = xv_bits_float(0xbf803000u);
    is_good = is_good && xv_float_bits(xv_tf32(x)) == 0x3f802000u && xv_float_bits(xv_tf32(y)) == 0x3f800000u;
    is_good = is_good && xv_float_bits(xv_tf32(z)) == 0xbf804000u && xv_tf32(INFINITY) == INFINITY;
    is_good = is_good && xv_tf32(NAN) != xv_tf32(NAN) && xv_pair<XvBf16>(1.0f, -2.0f) == 0xc0003f80u;
    data[t] = is_good ? t : -1;
}
XV_ENTRY(conversions)

XV_FN float a_of(int row, int k)
{
    return (float)((row * 7 + k * 3) % 11 - 5);
}

XV_FN float b_of(int k, int column)
{
    return (float)((k * 5 + column * 2) % 13 - 6);
}

template <int DEPTH> XV_FN bool is_product(const float (&c)[4])
{
    const int group = (int)threadIdx.x % 32 >> 2, in_group = (int)threadIdx.x % 4;
    bool is_good = true;
    for (int i = 0; i < 4; i++) {  // PTX ISA: row = groupID for i < 2, else + 8; col = threadID_in_group * 2 + (i & 1)
        const int row = i < 2 ? group : group + 8, column = in_group * 2 + (i & 1);
        float sum = 1.0f;
        for (int k = 0; k < DEPTH; k++) {
            sum += a_of(row, k) * b_of(k, column);
        }
        is_good = is_good && c[i] == sum;
    }
    return is_good;
}

// The formulas of PTX ISA for elements a0..a7 and b0..b3 of m16n8k16.
template <class T> XV_FN bool is_multiplied()
{
    const int group = (int)threadIdx.x % 32 >> 2, in_group = (int)threadIdx.x % 4;
    uint32_t a[4], b[2];
    float element[8], c[4] = {1.0f, 1.0f, 1.0f, 1.0f};
    for (int i = 0; i < 8; i++) {
        const int row = i < 2 || (4 <= i && i < 6) ? group : group + 8;
        element[i] = a_of(row, in_group * 2 + (i & 1) + (i < 4 ? 0 : 8));
    }
    for (int i = 0; i < 4; i++) {
        a[i] = xv_pair<T>(element[2 * i], element[2 * i + 1]);
    }
    for (int i = 0; i < 4; i++) {
        element[i] = b_of(in_group * 2 + (i & 1) + (i < 2 ? 0 : 8), group);
    }
    b[0] = xv_pair<T>(element[0], element[1]);
    b[1] = xv_pair<T>(element[2], element[3]);
    xv_multiply<T>(c, a, b);
    return is_product<16>(c);
}

XV_KERNEL(64) fragments(XvSpan<int32_t> data)
{
    bool is_good = is_multiplied<XvBf16>() && is_multiplied<XvF16>();
    const int group = (int)threadIdx.x % 32 >> 2, in_group = (int)threadIdx.x % 4;
    uint32_t a[4], b[2];
    float c[4] = {1.0f, 1.0f, 1.0f, 1.0f};
    for (int i = 0; i < 4; i++) {  // m16n8k8 of tf32
        const int row = i == 0 || i == 2 ? group : group + 8, column = i < 2 ? in_group : in_group + 4;
        a[i] = xv_float_bits(a_of(row, column));
    }
    for (int i = 0; i < 2; i++) {
        b[i] = xv_float_bits(b_of(i == 0 ? in_group : in_group + 4, group));
    }
    xv_multiply_tf32(c, a, b);
    is_good = is_good && is_product<8>(c);
    const int t = (int)blockIdx.x * 64 + (int)threadIdx.x;
    data[t] = is_good ? t : -1;
}
XV_ENTRY(fragments)

// Matrices from shared memory, rows and columns: tile[i][j] = 100 i + j.
XV_KERNEL(32) matrices(XvSpan<int32_t> data)
{
    XV_SHARED(XvBf16, tile, 16 * 24);
    const int lane = (int)threadIdx.x;
    for (int e = lane; e < 16 * 16; e += 32) {
        XvBf16 element;
        element.bits = (uint16_t)(e / 16 * 100 + e % 16);
        tile[e / 16 * 24 + e % 16] = element;
    }
    xv_sync_warp();
    uint32_t rows[4], columns[4];
    const int first = lane % 16 * 24 + lane / 16 * 8;
    xv_load_matrix<false>(rows, tile, first);
    xv_load_matrix<true>(columns, tile, first);
    bool is_good = true;
    for (int i = 0; i < 4; i++) {
        const int row = lane / 4 + i % 2 * 8, column = 2 * (lane % 4) + i / 2 * 8;
        is_good = is_good && rows[i] == (uint32_t)(100 * row + column) * 0x10001u + 0x10000u;
        const int from = 2 * (lane % 4) + i % 2 * 8, to = lane / 4 + i / 2 * 8;
        is_good = is_good && columns[i] == (uint32_t)(100 * from + to) * 0x10001u + 100 * 0x10000u;
    }
    data[blockIdx.x * 32 + lane] = is_good ? lane : -1;
}
XV_ENTRY(matrices)

// Two groups are under way; the first is used while the second may still be.
XV_KERNEL(64) copies(XvSpan<int32_t> data)
{
    XV_SHARED(int32_t, tile, 3 * 64);
    const int t = (int)threadIdx.x, first = (int)blockIdx.x * 64;
    const XvSpan<const int32_t> source = {data.at, data.count};
    for (int part = 0; part < 3; part++) {
        if (t < 16) {
            xv_copy_async(tile, part * 64 + 4 * t, source, first + 4 * t, part != 1);
        }
        xv_copy_commit();
    }
    xv_copy_wait<2>();
    xv_sync_block();
    const int32_t early = tile[63 - t];
    xv_copy_wait<0>();
    xv_sync_block();
    data[first + t] = early + tile[64 + t] + 1000 * tile[128 + t];
}
XV_ENTRY(copies)
