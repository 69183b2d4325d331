// The parts of Unicode that the official text cleaning relies on, with Python's rules.
//
// Text is UTF-8, checked once at the door (xv_utf8_valid); inside, code points are int32_t. JSON can spell characters
// that C strings and UTF-8 cannot hold; inside, U+0000 is written as the bytes C0 80 and a lone surrogate as its three
// bytes ED A0 80 .. ED BF BF. Both are decoded and encoded by the functions below, and never pass xv_utf8_valid.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Bytes at the front that are valid UTF-8 (no surrogates, nothing above U+10FFFF); `length` when all are.
size_t xv_utf8_valid(const char *text, size_t length);

// Decodes one character before the end of the text; returns its bytes. Any other byte counts as one U+FFFD.
int xv_utf8_next(const char *text, int32_t *point);

// Decodes to the zero byte; `points` has room for strlen(text). Returns how many.
int xv_utf8_decode(const char *text, int32_t *points);

// Writes 1..4 bytes, never a zero byte; returns how many.
int xv_utf8_encode(int32_t point, char *bytes);

// str.isspace: what str.split() and \s treat as white space.
bool xv_is_space(int32_t point);

// Lower case of one character without context: 1 code point, 2 for U+0130. Returns how many.
int xv_lower(int32_t point, int32_t lower[2]);

// str.lower: like xv_lower for each, and capital sigma at the end of a word becomes final sigma. `lower` has
// room for 2 * count. Returns how many.
int xv_lower_text(const int32_t *points, int count, int32_t *lower);
