// XvDraws on top of XvStream; see draws.h.
#include "runtime/data/draws.h"

#include <stddef.h>

static double stream_uniform(void *state)
{
    return xv_stream_uniform(state);
}

static int32_t stream_between(void *state, int32_t low, int32_t high)
{
    return (int32_t)(low + (int64_t)xv_stream_below(state, (uint32_t)(high - low) + 1));
}

static void stream_shuffle(void *state, int32_t *values, int count)
{
    xv_stream_shuffle(state, values, count);
}

XvDraws xv_stream_draws(XvStream *stream)
{
    return (XvDraws){stream, stream_uniform, stream_between, stream_shuffle};
}

static double first_uniform(void *state)
{
    (void)state;
    return 1.0 - 0x1p-53;
}

static int32_t first_between(void *state, int32_t low, int32_t high)
{
    (void)state;
    (void)high;
    return low;
}

static void first_shuffle(void *state, int32_t *values, int count)
{
    (void)state;
    (void)values;
    (void)count;
}

XvDraws xv_first_draws(void)
{
    return (XvDraws){NULL, first_uniform, first_between, first_shuffle};
}
