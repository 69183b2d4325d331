// Counter-based random numbers: Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
// SC 2011). A draw is a pure function of (key, counter), so any draw can be repeated anywhere: in a backward
// pass, on another thread, after a restart.
#pragma once

#include <stdint.h>

typedef struct XvPhilox {
    uint32_t word[4];
} XvPhilox;

// One block of four independent 32-bit words.
XvPhilox xv_philox(uint64_t key, uint64_t counter_high, uint64_t counter_low);

// Mixes purposes into one key: xv_key(xv_key(seed, epoch), sample) and so on (SplitMix64 finaliser).
uint64_t xv_key(uint64_t key, uint64_t purpose);

// A sequential reader of one stream, for host-side decisions. Copyable; its position is `block` and `used`.
typedef struct XvStream {
    uint64_t key;
    uint64_t block;  // next counter
    XvPhilox words;  // words of block - 1
    int used;        // words already handed out, 0..4
} XvStream;

XvStream xv_stream(uint64_t key);
uint32_t xv_stream_u32(XvStream *stream);
double xv_stream_uniform(XvStream *stream);                  // [0, 1), 53 bits
double xv_stream_normal(XvStream *stream);                   // mean 0, variance 1 (Box-Muller)
uint32_t xv_stream_below(XvStream *stream, uint32_t bound);  // 0..bound-1 without bias; bound >= 1
void xv_stream_shuffle(XvStream *stream, int32_t *values, int count);
