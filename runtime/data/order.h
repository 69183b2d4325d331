// The order in which records are visited: a permutation that is computed, not stored.
#pragma once

#include <stdint.h>

// The image of `index` under a permutation of 0..count-1 that depends on the key alone; 0 <= index < count.
// A balanced Feistel network over the next power of four, walked until the value is in range.
int64_t xv_permute(uint64_t key, int64_t count, int64_t index);
