// Word tables, text composing and WordPiece counting; see scenes_words.h.
#include "runtime/tools/scenes_words.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

const char *const XV_SHAPE_NAMES[XV_N_SHAPES] = {"circle", "square", "triangle", "star",  "heart",
                                                 "cross",  "ring",   "diamond",  "arrow", "moon"};
const char *const XV_SHAPE_PLURALS[XV_N_SHAPES] = {"circles", "squares", "triangles", "stars",  "hearts",
                                                   "crosses", "rings",   "diamonds",  "arrows", "moons"};
const XvColourName XV_COLOURS[XV_N_COLOURS] = {
    {"red", {0.86, 0.11, 0.12}},    {"blue", {0.13, 0.27, 0.86}},   {"green", {0.10, 0.58, 0.18}},
    {"yellow", {0.97, 0.86, 0.10}}, {"purple", {0.51, 0.15, 0.68}}, {"cyan", {0.13, 0.83, 0.88}},
    {"orange", {0.98, 0.52, 0.04}}, {"white", {0.97, 0.97, 0.97}},  {"black", {0.06, 0.06, 0.07}},
    {"pink", {0.98, 0.55, 0.75}},
};
const char *const XV_TEXTURE_NAMES[XV_N_TEXTURES] = {"solid", "striped", "dotted", "checkered"};

// Everything the frames and tables say, apart from plurals, which are a word and a piece.
static const char *const WORDS[] = {
    "circle", "square",  "triangle",   "star",     "heart",   "cross",     "ring",   "diamond", "arrow",
    "moon",   "red",     "blue",       "green",    "yellow",  "purple",    "cyan",   "orange",  "white",
    "black",  "pink",    "solid",      "striped",  "dotted",  "checkered", "large",  "small",   "object",
    "image",  "picture", "background", "an",       "the",     "is",        "are",    "there",   "it",
    "in",     "on",      "of",         "to",       "and",     "or",        "with",   "than",    "both",
    "one",    "two",     "three",      "four",     "five",    "six",       "no",     "yes",     "not",
    "only",   "exactly", "at",         "least",    "more",    "fewer",     "same",   "number",  "each",
    "other",  "neither", "contain",    "contains", "has",     "have",      "shows",  "show",    "above",
    "below",  "over",    "under",      "higher",   "lower",   "left",      "right",  "inside",  "around",
    "near",   "next",    "beside",     "close",    "between", "top",       "bottom", "middle",  "side",
    "dark",   "light",   "what",       "which",    "how",     "many",      "color",  "shape",   "pattern",
    "size",   "where",   "relative",   "see",      "you",     "can",       "does",   "any",     "we",
    "big",    "here",
};
static const char *const SPECIALS[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
static const char *const PIECES[] = {"##s", "##es"};  // beside the single letters
static const char CHARACTERS[] = "0123456789.,?!'-abcdefghijklmnopqrstuvwxyz";
enum { N_WORDS = sizeof WORDS / sizeof WORDS[0] };

void xv_text_add(XvText *text, const char *format, ...)
{
    size_t used = strlen(text->text);
    va_list args;
    va_start(args, format);
    vsnprintf(text->text + used, sizeof text->text - used, format, args);
    va_end(args);
}

static bool starts_with_vowel(const char *text)
{
    return *text && strchr("aeiou", *text) != NULL;
}

// Rewrites every word "a" before a vowel; works from a copy because the text grows.
static void fix_articles(XvText *text)
{
    XvText fixed = {""};
    const char *at = text->text;
    while (*at) {
        bool starts_word = at == text->text || at[-1] == ' ';
        bool is_article = starts_word && at[0] == 'a' && at[1] == ' ' && starts_with_vowel(at + 2);
        if (is_article) {
            xv_text_add(&fixed, "an");
        } else {
            xv_text_add(&fixed, "%c", *at);
        }
        at++;
    }
    *text = fixed;
}

void xv_text_compose(XvText *text, const char *frame, const char *const *parts)
{
    text->text[0] = '\0';
    for (const char *at = frame; *at; at++) {
        if (*at >= 'A' && *at <= 'Z') {
            xv_text_add(text, "%s", parts[*at - 'A']);
        } else {
            xv_text_add(text, "%c", *at);
        }
    }
    fix_articles(text);
}

void xv_text_capitalise(XvText *text)
{
    text->text[0] = (char)toupper((unsigned char)text->text[0]);
}

int xv_text_words(const XvText *text)
{
    int count = 0;
    for (const char *at = text->text; *at; at++) {
        count += *at != ' ' && (at == text->text || at[-1] == ' ');
    }
    return count;
}

bool xv_scene_vocabulary_write(FILE *file)
{
    for (size_t i = 0; i < sizeof SPECIALS / sizeof SPECIALS[0]; i++) {
        fprintf(file, "%s\n", SPECIALS[i]);
    }
    for (const char *at = CHARACTERS; *at; at++) {
        fprintf(file, "%c\n", *at);
    }
    for (size_t i = 0; i < sizeof PIECES / sizeof PIECES[0]; i++) {
        fprintf(file, "%s\n", PIECES[i]);
    }
    for (char letter = 'a'; letter <= 'z'; letter++) {
        if (letter != 's') {
            fprintf(file, "##%c\n", letter);
        }
    }
    for (int i = 0; i < N_WORDS; i++) {
        fprintf(file, "%s\n", WORDS[i]);
    }
    return !ferror(file);
}

// The entry that starts a word and is a prefix of it: the length of the longest one. Single letters are left
// out on purpose: a generated word that falls apart into letters is as wrong as an unknown one.
static size_t match_word(const char *word, size_t length)
{
    size_t best = 0;
    for (int i = 0; i < N_WORDS; i++) {
        size_t entry = strlen(WORDS[i]);
        if (entry <= length && entry > best && strncmp(WORDS[i], word, entry) == 0) {
            best = entry;
        }
    }
    return best > 0 ? best : (length == 1 && strchr(CHARACTERS, *word) ? 1 : 0);
}

static int count_word(const char *word, size_t length)
{
    size_t used = match_word(word, length);
    if (used == 0) {
        return -1;
    }
    if (used == length) {
        return 1;
    }
    for (size_t i = 0; i < sizeof PIECES / sizeof PIECES[0]; i++) {
        const char *piece = PIECES[i] + 2;
        if (strlen(piece) == length - used && strncmp(piece, word + used, length - used) == 0) {
            return 2;
        }
    }
    return -1;
}

int xv_scene_vocabulary_count(const char *text)
{
    XvText lower = {""};
    xv_text_add(&lower, "%s", text);
    int total = 0;
    char *at = lower.text;
    while (*at) {
        if (*at == ' ') {
            at++;
            continue;
        }
        size_t length = 0;
        while (isalnum((unsigned char)at[length])) {
            at[length] = (char)tolower((unsigned char)at[length]);
            length++;
        }
        length += length == 0;  // punctuation stands alone
        int pieces = count_word(at, length);
        if (pieces < 0) {
            return -1;
        }
        total += pieces;
        at += length;
    }
    return total;
}
