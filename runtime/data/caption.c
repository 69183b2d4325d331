// pre_caption and pre_question as sequences of passes over code points, in the official order; see caption.h.
#include "runtime/data/caption.h"

#include "runtime/data/unicode.h"

#include <stdlib.h>
#include <string.h>

typedef struct Points {
    int32_t *at;
    int count;
} Points;

static void delete_punctuation(Points *text)
{
    int kept = 0;
    for (int i = 0; i < text->count; i++) {
        int32_t point = text->at[i];
        if (point > 0 && point < 0x80 && strchr(",.'!?\"()*#:;~", (int)point)) {
            continue;
        }
        text->at[kept++] = point == '-' || point == '/' ? ' ' : point;
    }
    text->count = kept;
}

static bool has_person_at(const Points *text, int at)
{
    static const char tag[] = "<person>";
    for (int i = 0; tag[i]; i++) {
        if (at + i >= text->count || text->at[at + i] != tag[i]) {
            return false;
        }
    }
    return true;
}

static void unwrap_persons(Points *text)
{
    int kept = 0;
    for (int i = 0; i < text->count; i++) {
        if (has_person_at(text, i)) {
            memmove(text->at + kept, text->at + i + 1, 6 * sizeof *text->at);  // without the brackets
            kept += 6;
            i += 7;
        } else {
            text->at[kept++] = text->at[i];
        }
    }
    text->count = kept;
}

// Runs of two or more become one space; a single one stays what it is, even a tab.
static void collapse_space(Points *text)
{
    int kept = 0;
    for (int i = 0; i < text->count;) {
        int end = i;
        while (end < text->count && xv_is_space(text->at[end])) {
            end++;
        }
        if (end - i >= 2) {
            text->at[kept++] = ' ';
            i = end;
        } else {
            text->at[kept++] = text->at[i++];
        }
    }
    text->count = kept;
}

static void strip_end(Points *text, int32_t point)
{
    while (text->count > 0 && text->at[text->count - 1] == point) {
        text->count--;
    }
}

static void strip(Points *text)
{
    strip_end(text, '\n');
    strip_end(text, ' ');
    int first = 0;
    while (first < text->count && text->at[first] == ' ') {
        first++;
    }
    text->at += first;
    text->count -= first;
}

static void keep_words(Points *text, int max_words)
{
    int spaces = 0;
    for (int i = 0; i < text->count; i++) {
        if (text->at[i] == ' ' && ++spaces == max_words) {
            text->count = i;
            return;
        }
    }
}

static char *encode(const Points *text)
{
    char *bytes = malloc((size_t)text->count * 4 + 1);
    if (!bytes) {
        return NULL;
    }
    int used = 0;
    for (int i = 0; i < text->count; i++) {
        used += xv_utf8_encode(text->at[i], bytes + used);
    }
    bytes[used] = '\0';
    return bytes;
}

// The text in lower case without punctuation. `points` has room for both the decoded text and its lower case of at most
// twice that size.
static Points lower_words(const char *text, size_t length, int32_t *points)
{
    int decoded = xv_utf8_decode(text, points);
    Points lower = {points + length + 1, 0};
    lower.count = xv_lower_text(points, decoded, lower.at);
    delete_punctuation(&lower);
    return lower;
}

static int32_t *reserve_points(size_t length, XvError *error)
{
    int32_t *points = malloc((length + 1) * 3 * sizeof *points);
    if (!points) {
        xv_fail(error, "no memory for a text of %zu bytes", length);
    }
    return points;
}

char *xv_pre_caption(const char *text, int max_words, XvError *error)
{
    size_t length = strlen(text);
    int32_t *points = reserve_points(length, error);
    if (!points) {
        return NULL;
    }
    Points lower = lower_words(text, length, points);
    unwrap_persons(&lower);
    collapse_space(&lower);
    strip(&lower);
    keep_words(&lower, max_words);

    char *clean = NULL;
    if (lower.count == 0) {
        xv_fail(error, "caption \"%.60s\" has no word left after cleaning", text);
    } else {
        clean = encode(&lower);
        if (!clean) {
            xv_fail(error, "no memory for a caption of %zu bytes", length);
        }
    }
    free(points);
    return clean;
}

char *xv_pre_question(const char *text, int max_words, XvError *error)
{
    size_t length = strlen(text);
    int32_t *points = reserve_points(length, error);
    if (!points) {
        return NULL;
    }
    Points lower = lower_words(text, length, points);
    strip_end(&lower, ' ');
    keep_words(&lower, max_words);
    char *clean = encode(&lower);
    if (!clean) {
        xv_fail(error, "no memory for a question of %zu bytes", length);
    }
    free(points);
    return clean;
}
