// Replaying recorded draws; see data_draws.h.
#include "data_draws.h"

#include <string.h>

static const cJSON *take(Recording *recording, const char *kind, const char *other)
{
    const cJSON *draw = recording->next;
    if (!draw ||
        (strcmp(draw->child->valuestring, kind) != 0 && strcmp(draw->child->valuestring, other) != 0)) {
        recording->is_wrong = true;
        return NULL;
    }
    recording->next = draw->next;
    return draw->child->next;
}

static bool is_choice_of_one(const cJSON *draw)
{
    return draw && strcmp(draw->child->valuestring, "choice") == 0 && draw->child->next->valueint == 1;
}

static double recorded_uniform(void *state)
{
    const cJSON *value = take(state, "rand", "flip");
    return value ? value->valuedouble : 0;
}

static int32_t recorded_between(void *state, int32_t low, int32_t high)
{
    Recording *recording = state;
    while (high > low && is_choice_of_one(recording->next)) {  // recorded, but nothing that anyone asks for
        recording->next = recording->next->next;
    }
    const cJSON *draw = recording->next;
    bool is_choice = draw && strcmp(draw->child->valuestring, "choice") == 0;
    const cJSON *value = take(recording, "randint", "choice");
    if (!value) {
        return low;
    }
    if (is_choice) {
        recording->is_wrong |= low != 0 || high != value->valueint - 1;
        return value->next->valueint;
    }
    recording->is_wrong |= low != value->valueint || high != value->next->valueint;
    return value->next->next->valueint;
}

static void recorded_shuffle(void *state, int32_t *values, int count)
{
    Recording *recording = state;
    const cJSON *order = take(recording, "shuffle", "sample");
    if (!order || cJSON_GetArraySize(order) != count) {
        recording->is_wrong = true;
        return;
    }
    for (const cJSON *value = order->child; value; value = value->next) {
        bool found = false;
        for (int i = 0; i < count; i++) {
            found |= values[i] == value->valueint;
        }
        recording->is_wrong |= !found;
    }
    for (const cJSON *value = order->child; value; value = value->next) {
        *values++ = value->valueint;
    }
}

XvDraws recorded_draws(Recording *recording)
{
    return (XvDraws){recording, recorded_uniform, recorded_between, recorded_shuffle};
}
