// Index tables and masks as the official modules register them; see buffers.h. Windows and shifts follow from the
// shape: a buffer exists only where the official code has one.
#include "runtime/checkpoint/buffers.h"

static int64_t root_of(int64_t square)
{
    int64_t root = 0;
    while (root * root < square) {
        root++;
    }
    return root;
}

// models/swin_transformer.py, WindowAttention: the row of the bias table for query i and key j.
static void fill_window_index(int64_t tokens, int64_t *out)
{
    int64_t window = root_of(tokens);
    for (int64_t i = 0; i < tokens; i++) {
        for (int64_t j = 0; j < tokens; j++) {
            int64_t down = i / window - j / window + window - 1,
                    across = i % window - j % window + window - 1;
            out[i * tokens + j] = down * (2 * window - 1) + across;
        }
    }
}

// Which of the three parts of a rolled axis: before the last window, before the rolled rows, the rolled rows.
static int64_t part_of(int64_t at, int64_t side, int64_t window)
{
    return at < side - window ? 0 : at < side - window / 2 ? 1 : 2;
}

// models/swin_transformer.py, SwinTransformerBlock: -100 between tokens that come from different regions.
static void fill_shift_mask(int64_t windows, int64_t tokens, float *out)
{
    int64_t window = root_of(tokens), across = root_of(windows), side = window * across;
    for (int64_t at = 0; at < windows * tokens * tokens; at++) {
        int64_t w = at / (tokens * tokens), token[2] = {at / tokens % tokens, at % tokens}, region[2];
        for (int k = 0; k < 2; k++) {
            int64_t row = w / across * window + token[k] / window,
                    column = w % across * window + token[k] % window;
            region[k] = 3 * part_of(row, side, window) + part_of(column, side, window);
        }
        out[at] = region[0] == region[1] ? 0.0f : -100.0f;
    }
}

void xv_buffer_values(const XvBuffer *buffer, void *out)
{
    switch (buffer->fill) {
    case XV_FILL_POSITIONS:
        for (int64_t i = 0; i < buffer->shape[1]; i++) {
            ((int64_t *)out)[i] = i;
        }
        break;
    case XV_FILL_WINDOW_INDEX: fill_window_index(buffer->shape[0], out); break;
    case XV_FILL_SHIFT_MASK: fill_shift_mask(buffer->shape[0], buffer->shape[1], out); break;
    case XV_FILL_NONE: break;
    }
}
