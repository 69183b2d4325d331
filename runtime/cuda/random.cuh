// Philox 4x32-10 and keep draws, word for word those of runtime/base/random.c and runtime/device/random_rows.c.

struct XvWords {
    uint32_t word[4];
};

XV_FN XvWords xv_philox(uint64_t key, uint64_t counter)
{
    uint32_t c0 = (uint32_t)counter, c1 = (uint32_t)(counter >> 32), c2 = 0, c3 = 0;
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
#pragma unroll
    for (int round = 0; round < 10; round++) {
        uint32_t high0 = xv_multiply_high(0xD2511F53u, c0), low0 = 0xD2511F53u * c0;
        uint32_t high1 = xv_multiply_high(0xCD9E8D57u, c2), low1 = 0xCD9E8D57u * c2;
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return XvWords{{c0, c1, c2, c3}};
}

// Value of one element of a keep draw: 0 or the scale.
XV_FN float xv_keep(const XvDraw &draw, uint64_t index)
{
    if (draw.given_mask) {
        return draw.given_mask[index] * draw.scale;
    }
    if (draw.threshold == 0) {
        return draw.scale;
    }
    XvWords words = xv_philox(draw.key, index / 4);
    return words.word[index % 4] >= draw.threshold ? draw.scale : 0.0f;
}
