// Unicode helpers over utf8proc; see unicode.h.
#include "runtime/data/unicode.h"

#include <utf8proc.h>

enum {
    CAPITAL_SIGMA = 0x3A3,
    SMALL_SIGMA = 0x3C3,
    FINAL_SIGMA = 0x3C2,
    CAPITAL_DOTTED_I = 0x130,
    DOT_ABOVE = 0x307,
    REPLACEMENT = 0xFFFD,
};

size_t xv_utf8_valid(const char *text, size_t length)
{
    size_t i = 0;
    while (i < length) {
        if ((unsigned char)text[i] < 0x80) {
            i++;
            continue;
        }
        utf8proc_int32_t point;
        utf8proc_ssize_t used =
            utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)(length - i), &point);
        if (used <= 0) {
            return i;
        }
        i += (size_t)used;
    }
    return i;
}

int xv_utf8_next(const char *text, int32_t *point)
{
    const unsigned char *bytes = (const unsigned char *)text;
    unsigned first = bytes[0];
    if (first < 0x80) {
        *point = (int32_t)first;
        return 1;
    }
    int length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    int32_t value = (int32_t)(first & (0xFFu >> (length + 1)));
    for (int i = 1; i < length; i++) {
        if ((bytes[i] & 0xC0) != 0x80) {  // stops at the zero byte, too
            *point = REPLACEMENT;
            return 1;
        }
        value = value << 6 | (bytes[i] & 0x3F);
    }
    bool is_stray = first < 0xC0 || value > 0x10FFFF;
    *point = is_stray ? REPLACEMENT : value;
    return is_stray ? 1 : length;
}

int xv_utf8_decode(const char *text, int32_t *points)
{
    int count = 0;
    while (*text) {
        text += xv_utf8_next(text, &points[count++]);
    }
    return count;
}

int xv_utf8_encode(int32_t point, char *bytes)
{
    if (point == 0) {
        bytes[0] = (char)0xC0;
        bytes[1] = (char)0x80;
        return 2;
    }
    return (int)utf8proc_encode_char(point, (utf8proc_uint8_t *)bytes);
}

bool xv_is_space(int32_t point)
{
    if (point < 0x80) {
        return (point >= 9 && point <= 13) || (point >= 28 && point <= 32);
    }
    return point == 0x85 || point == 0x2028 || point == 0x2029 ||
           utf8proc_category(point) == UTF8PROC_CATEGORY_ZS;
}

int xv_lower(int32_t point, int32_t lower[2])
{
    if (point == CAPITAL_DOTTED_I) {
        lower[0] = 'i';
        lower[1] = DOT_ABOVE;
        return 2;
    }
    lower[0] = point < 0x80 ? (point >= 'A' && point <= 'Z' ? point + 32 : point) : utf8proc_tolower(point);
    return 1;
}

static bool is_case_ignorable(int32_t point)
{
    static const int32_t middle_of_words[] = {0x27,   0x2E,   0x3A,   0xB7,   0x387,  0x55F,
                                              0x5F4,  0x2018, 0x2019, 0x2024, 0x2027, 0xFE13,
                                              0xFE52, 0xFE55, 0xFF07, 0xFF0E, 0xFF1A};
    for (size_t i = 0; i < sizeof middle_of_words / sizeof *middle_of_words; i++) {
        if (point == middle_of_words[i]) {
            return true;
        }
    }
    switch (utf8proc_category(point)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK: return true;
    default: return false;
    }
}

// Property Cased: letters with case, and the signs made of such letters.
static bool is_cased(int32_t point)
{
    static const int32_t signs[][2] = {{0xAA, 0xAA},      {0xBA, 0xBA},       {0x2160, 0x217F},
                                       {0x24B6, 0x24E9},  {0x1F130, 0x1F149}, {0x1F150, 0x1F169},
                                       {0x1F170, 0x1F189}};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        if (point >= signs[i][0] && point <= signs[i][1]) {
            return true;
        }
    }
    utf8proc_category_t category = utf8proc_category(point);
    return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
           category == UTF8PROC_CATEGORY_LT;
}

// Condition Final_Sigma of the Unicode standard: a cased letter before, none after, case-ignorable ones
// skipped.
static bool ends_word(const int32_t *points, int count, int at)
{
    int before = at - 1;
    while (before >= 0 && is_case_ignorable(points[before])) {
        before--;
    }
    if (before < 0 || !is_cased(points[before])) {
        return false;
    }
    int after = at + 1;
    while (after < count && is_case_ignorable(points[after])) {
        after++;
    }
    return after == count || !is_cased(points[after]);
}

int xv_lower_text(const int32_t *points, int count, int32_t *lower)
{
    int used = 0;
    for (int i = 0; i < count; i++) {
        if (points[i] == CAPITAL_SIGMA) {
            lower[used++] = ends_word(points, count, i) ? FINAL_SIGMA : SMALL_SIGMA;
        } else {
            used += xv_lower(points[i], lower + used);
        }
    }
    return used;
}
