// Fresh parameter values; see weights.h. Four words of Philox give four values, whose positions decide about them:
// any part of a parameter can be drawn on any thread.
#include "runtime/base/random.h"
#include "runtime/checkpoint/weights.h"

#include <math.h>
#include <string.h>

enum { PURPOSE_PARAMETERS = 0x1717, BLOCKS_PER_PART = 4096, MAX_REDRAWS = 64 };

uint64_t xv_text_hash(const char *text)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        hash = (hash ^ *c) * 0x100000001B3u;
    }
    return hash;
}

// Two standard normal values from two words (Box and Muller).
static void normal_pair(const uint32_t words[2], float out[2])
{
    float radius = sqrtf(-2.0f * logf(((float)words[0] + 0.5f) * 0x1p-32f));
    float angle = (float)words[1] * (6.2831853f * 0x1p-32f);
    out[0] = radius * cosf(angle);
    out[1] = radius * sinf(angle);
}

// Values 4 * block .. 4 * block + 3; `attempt` selects other words for the same place.
static void draw_block(const XvParameter *parameter, uint64_t key, uint64_t attempt, uint64_t block,
                       float out[4])
{
    XvPhilox words = xv_philox(key, attempt, block);
    float a = (float)parameter->init_a, b = (float)parameter->init_b;
    if (parameter->init == XV_INIT_UNIFORM) {
        for (int i = 0; i < 4; i++) {
            out[i] = a + (b - a) * ((float)(words.word[i] >> 8) * 0x1p-24f);
        }
        return;
    }
    normal_pair(words.word, out);
    normal_pair(words.word + 2, out + 2);
    for (int i = 0; i < 4; i++) {
        out[i] = a + b * out[i];
    }
}

// Values beyond 2 are drawn again, at their place; one that is never inside ends at the border.
static void draw_truncated(const XvParameter *parameter, uint64_t key, uint64_t block, float out[4])
{
    draw_block(parameter, key, 0, block, out);
    for (int i = 0; i < 4; i++) {
        for (uint64_t attempt = 1; fabsf(out[i]) > 2.0f && attempt <= MAX_REDRAWS; attempt++) {
            float again[4];
            draw_block(parameter, key, attempt, block, again);
            out[i] = again[i];
        }
        out[i] = fminf(fmaxf(out[i], -2.0f), 2.0f);
    }
}

static void init_part(const XvParameter *parameter, uint64_t key, int64_t first_block, float *values)
{
    int64_t last_block = first_block + BLOCKS_PER_PART;
    for (int64_t block = first_block; block < last_block && 4 * block < parameter->count; block++) {
        float drawn[4];
        if (parameter->init == XV_INIT_TRUNCATED) {
            draw_truncated(parameter, key, (uint64_t)block, drawn);
        } else {
            draw_block(parameter, key, 0, (uint64_t)block, drawn);
        }
        for (int64_t i = 4 * block; i < 4 * block + 4 && i < parameter->count; i++) {
            values[i] = drawn[i - 4 * block];
        }
    }
}

static void draw_parameter(const XvParameter *parameter, uint64_t seed, float *values)
{
    uint64_t key = xv_key(xv_key(seed, PURPOSE_PARAMETERS), xv_text_hash(parameter->name));
    int64_t blocks = (parameter->count + 3) / 4;
#pragma omp parallel for schedule(static) if (blocks > BLOCKS_PER_PART)
    for (int64_t block = 0; block < blocks; block += BLOCKS_PER_PART) {
        init_part(parameter, key, block, values);
    }
}

// Sines along x, cosines along x, sines along y, cosines along y: a quarter of the channels each.
static void place_waves(const XvParameter *parameter, float *values)
{
    int64_t channels = parameter->shape[parameter->rank - 1], quarter = channels / 4;
    int64_t positions = parameter->shape[parameter->rank - 2];
    int64_t side = (int64_t)lround(sqrt((double)positions));
    for (int64_t i = 0; i < parameter->count; i++) {
        int64_t position = i / channels % positions, part = i % channels / quarter, k = i % quarter;
        double along = (double)(part < 2 ? position % side : position / side);
        double angle = along * pow(parameter->init_b, -(double)k / (double)quarter);
        values[i] = (float)(parameter->init_a * (part % 2 == 0 ? sin(angle) : cos(angle)));
    }
}

void xv_weights_init(const XvProgram *program, uint64_t seed, float *parameters)
{
    for (int i = 0; i < program->n_parameters; i++) {
        const XvParameter *parameter = &program->parameters[i];
        float *values = parameters + parameter->offset;
        if (parameter->init == XV_INIT_CONSTANT) {
            for (int64_t j = 0; j < parameter->count; j++) {
                values[j] = (float)parameter->init_a;
            }
        } else if (parameter->init == XV_INIT_SINCOS_2D) {
            place_waves(parameter, values);
        } else {
            draw_parameter(parameter, seed, values);
        }
        if (parameter->has_zero_row) {
            int64_t width = parameter->count / parameter->shape[0];
            memset(values + parameter->zero_row * width, 0, (size_t)width * sizeof *values);
        }
    }
}

void xv_weights_clamp(const XvProgram *program, float *parameters)
{
    for (int i = 0; i < program->n_parameters; i++) {
        const XvParameter *parameter = &program->parameters[i];
        float *values = parameters + parameter->offset;
        float low = (float)parameter->clamp_low, high = (float)parameter->clamp_high;
        for (int64_t j = 0; parameter->has_clamp && j < parameter->count; j++) {
            values[j] = values[j] < low ? low : values[j] > high ? high : values[j];  // NaN stays
        }
    }
}
