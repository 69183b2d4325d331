// Philox 4x32-10 and the stream reader; see random.h.
#include "runtime/base/random.h"

#include <math.h>

XvPhilox xv_philox(uint64_t key, uint64_t counter_high, uint64_t counter_low)
{
    uint32_t c0 = (uint32_t)counter_low, c1 = (uint32_t)(counter_low >> 32);
    uint32_t c2 = (uint32_t)counter_high, c3 = (uint32_t)(counter_high >> 32);
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return (XvPhilox){{c0, c1, c2, c3}};
}

uint64_t xv_key(uint64_t key, uint64_t purpose)
{
    uint64_t z = key + 0x9E3779B97F4A7C15u * (purpose + 1);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

XvStream xv_stream(uint64_t key)
{
    return (XvStream){.key = key, .used = 4};
}

uint32_t xv_stream_u32(XvStream *stream)
{
    if (stream->used == 4) {
        stream->words = xv_philox(stream->key, 0, stream->block++);
        stream->used = 0;
    }
    return stream->words.word[stream->used++];
}

double xv_stream_uniform(XvStream *stream)
{
    uint64_t high = xv_stream_u32(stream) >> 5;
    uint64_t low = xv_stream_u32(stream) >> 6;
    return (double)(high << 26 | low) * 0x1p-53;
}

double xv_stream_normal(XvStream *stream)
{
    double radius = sqrt(-2.0 * log(1.0 - xv_stream_uniform(stream)));
    return radius * cos(6.283185307179586 * xv_stream_uniform(stream));
}

uint32_t xv_stream_below(XvStream *stream, uint32_t bound)
{
    uint32_t reject = (uint32_t)(-bound) % bound;  // 2^32 mod bound: draws below it would favour small values
    for (;;) {
        uint32_t word = xv_stream_u32(stream);
        if (word >= reject) {
            return word % bound;
        }
    }
}

void xv_stream_shuffle(XvStream *stream, int32_t *values, int count)
{
    for (int i = count - 1; i > 0; i--) {
        int j = (int)xv_stream_below(stream, (uint32_t)i + 1);
        int32_t swapped = values[i];
        values[i] = values[j];
        values[j] = swapped;
    }
}
