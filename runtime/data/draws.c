// XvDraws on top of XvStream; see draws.h.
#include "runtime/data/draws.h"

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
