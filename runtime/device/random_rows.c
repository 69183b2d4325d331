// Keep values in bulk: Philox 4x32-10 on many counters at once. The words are those of xv_philox, bit for
// bit.
#include "runtime/device/random_rows.h"

#include "runtime/device/vector.h"

// Words live in the low halves of 64-bit lanes, one counter per lane, as the widening multiply wants them;
// the high halves are rubbish that no operation carries down.
enum { WIDE_LANES = XV_LANES / 2, GROUPS = 2, BLOCKS = GROUPS * WIDE_LANES };  // counters per step

typedef uint64_t Wide __attribute__((vector_size(XV_LANES * 4)));
typedef uint32_t Words __attribute__((vector_size(XV_LANES * 4)));

bool xv_keep_is_active(const XvDraw *draw)
{
    return draw != NULL && (draw->given_mask != NULL || draw->threshold > 0 || draw->scale != 1.0f);
}

XV_INLINE Wide wide_all(uint64_t x)
{
    return x + (Wide){0};
}

// Products of the low halves.
XV_INLINE Wide multiply_low(Wide a, Wide b)
{
#if defined(__AVX512F__)
    return (Wide)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (Wide)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#else
    return (a & 0xFFFFFFFFu) * (b & 0xFFFFFFFFu);
#endif
}

// Lanes of a and b in turn, the lower and the upper half of the result.
XV_INLINE void interleave(Wide a, Wide b, Wide *low, Wide *high)
{
#if defined(__AVX512F__)
    *low = __builtin_shuffle(a, b, (Wide){0, 8, 1, 9, 2, 10, 3, 11});
    *high = __builtin_shuffle(a, b, (Wide){4, 12, 5, 13, 6, 14, 7, 15});
#elif defined(__AVX__)
    *low = __builtin_shuffle(a, b, (Wide){0, 4, 1, 5});
    *high = __builtin_shuffle(a, b, (Wide){2, 6, 3, 7});
#else
    *low = __builtin_shuffle(a, b, (Wide){0, 2});
    *high = __builtin_shuffle(a, b, (Wide){1, 3});
#endif
}

XV_INLINE void store_keep(const XvDraw *draw, Wide words, float *keep)
{
    XvVecInt is_kept = (XvVecInt)((Words)words >= draw->threshold + (Words){0});
    xv_vec_store(keep, (XvVec)((XvVecInt)xv_vec_all(draw->scale) & is_kept));
}

// keep[4 * i + w] for the counters first_block + i, 0 <= i < BLOCKS.
static void keep_blocks(const XvDraw *draw, uint64_t first_block, float *keep)
{
    const Wide low_half = wide_all(0xFFFFFFFFu);
    Wide c[GROUPS][4];
#pragma GCC unroll 4
    for (uint64_t g = 0; g < GROUPS; g++) {
        Wide counter = {0};
#pragma GCC unroll 8
        for (uint64_t i = 0; i < WIDE_LANES; i++) {
            counter[i] = first_block + g * WIDE_LANES + i;
        }
        c[g][0] = counter;
        c[g][1] = counter >> 32;
        c[g][2] = c[g][3] = (Wide){0};
    }
    uint32_t k0 = (uint32_t)draw->key, k1 = (uint32_t)(draw->key >> 32);
    for (int round = 0; round < 10; round++) {
#pragma GCC unroll 4
        for (int g = 0; g < GROUPS; g++) {
            Wide p0 = multiply_low(c[g][0], wide_all(0xD2511F53u));
            Wide p1 = multiply_low(c[g][2], wide_all(0xCD9E8D57u));
            c[g][0] = (p1 >> 32) ^ c[g][1] ^ wide_all(k0);
            c[g][1] = p1;
            c[g][2] = (p0 >> 32) ^ c[g][3] ^ wide_all(k1);
            c[g][3] = p0;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
#pragma GCC unroll 4
    for (int g = 0; g < GROUPS; g++) {
        Wide low, high;
        interleave((c[g][0] & low_half) | c[g][1] << 32, (c[g][2] & low_half) | c[g][3] << 32, &low, &high);
        store_keep(draw, low, keep + 2 * g * XV_LANES);
        store_keep(draw, high, keep + (2 * g + 1) * XV_LANES);
    }
}

static void keep_random(const XvDraw *draw, uint64_t first_index, int64_t count, float *keep)
{
    float some[4 * BLOCKS];
    int64_t done = 0;
    while (done < count) {
        uint64_t index = first_index + (uint64_t)done;
        int64_t skip = (int64_t)(index % 4),
                take = 4 * BLOCKS - skip;  // a row may begin inside a counter's words
        if (skip == 0 && count - done >= 4 * BLOCKS) {
            keep_blocks(draw, index / 4, keep + done);
            done += 4 * BLOCKS;
            continue;
        }
        take = take < count - done ? take : count - done;
        keep_blocks(draw, index / 4, some);
        for (int64_t i = 0; i < take; i++) {
            keep[done + i] = some[skip + i];
        }
        done += take;
    }
}

void xv_keep_row(const XvDraw *draw, uint64_t first_index, int64_t count, float *keep)
{
    const float scale = draw->scale;
    if (draw->given_mask != NULL) {
        const float *mask = draw->given_mask + first_index;
        for (int64_t i = 0; i < count; i++) {
            keep[i] = mask[i] * scale;
        }
    } else if (draw->threshold == 0) {
        for (int64_t i = 0; i < count; i++) {
            keep[i] = scale;
        }
    } else {
        keep_random(draw, first_index, count, keep);
    }
}
