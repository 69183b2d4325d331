// Feistel permutation with cycle walking; see order.h. At most four steps of the walk are expected.
#include "runtime/data/order.h"

#include "runtime/base/random.h"

enum { ROUNDS = 6 };

int64_t xv_permute(uint64_t key, int64_t count, int64_t index)
{
    int half = 1;  // bits of each half
    while (half < 31 && (int64_t)1 << (2 * half) < count) {
        half++;
    }
    uint64_t mask = ((uint64_t)1 << half) - 1;
    uint64_t value = (uint64_t)index;
    do {
        uint64_t left = value >> half, right = value & mask;
        for (uint64_t round = 0; round < ROUNDS; round++) {
            uint64_t mixed = xv_key(xv_key(key, round), right) & mask;
            uint64_t next = left ^ mixed;
            left = right;
            right = next;
        }
        value = left << half | right;
    } while (value >= (uint64_t)count);
    return (int64_t)value;
}
