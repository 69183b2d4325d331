// The tokenizer of wordpiece.h.
//
// Text passes through code points -> cleaned UTF-8 -> NFD code points -> words -> pieces. Doing NFD on the
// whole text instead of word by word changes nothing: white space never combines.
#include "runtime/data/wordpiece.h"

#include "runtime/data/unicode.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { WORD_CHARACTERS = 100, WORD_BYTES = 4 * WORD_CHARACTERS };

// A word under construction. Two bytes in front leave room for "##".
typedef struct Word {
    char bytes[2 + WORD_BYTES];
    int starts[WORD_CHARACTERS + 1];  // byte offset of each character, and of the end
    int count;                        // characters; may exceed WORD_CHARACTERS, nothing is stored beyond
} Word;

static bool is_cjk(int32_t c)
{
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
           (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) ||
           (c >= 0x2B820 && c <= 0x2CEAF) || (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

static bool is_punctuation(int32_t c)
{
    if (c < 0x80) {
        return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126);
    }
    utf8proc_category_t category = utf8proc_category(c);
    return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

// Categories C*, unassigned included; tab, newline and carriage return are white space instead.
static bool is_dropped(int32_t c)
{
    if (c < 0x80) {
        return (c < 32 && c != '\t' && c != '\n' && c != '\r') || c == 127;
    }
    if (c == 0xFFFD) {
        return true;
    }
    utf8proc_category_t category = utf8proc_category(c);
    return category == UTF8PROC_CATEGORY_CN ||
           (category >= UTF8PROC_CATEGORY_CC && category <= UTF8PROC_CATEGORY_CO);
}

// Lower case one character at a time (no final sigma), cleaning, spaces around CJK. `clean` has room for 12
// bytes per code point: up to two lower-case characters of four bytes, or one with a space on each side.
static size_t clean_text(const int32_t *points, int count, char *clean)
{
    size_t used = 0;
    for (int i = 0; i < count; i++) {
        int32_t lower[2];
        int n_lower = xv_lower(points[i], lower);
        for (int k = 0; k < n_lower; k++) {
            int32_t c = lower[k];
            if (is_dropped(c)) {
                continue;
            }
            if (c == '\t' || c == '\n' || c == '\r' ||
                (c >= 0x80 && utf8proc_category(c) == UTF8PROC_CATEGORY_ZS)) {
                clean[used++] = ' ';
            } else if (is_cjk(c)) {
                clean[used++] = ' ';
                used += (size_t)xv_utf8_encode(c, clean + used);
                clean[used++] = ' ';
            } else {
                used += (size_t)xv_utf8_encode(c, clean + used);
            }
        }
    }
    clean[used] = '\0';
    return used;
}

// NFD without category Mn. Returns new code points in *out (the caller frees) and their number; -1 without
// memory.
static int strip_accents(const char *text, size_t length, int32_t **out)
{
    const utf8proc_uint8_t *bytes = (const utf8proc_uint8_t *)text;
    utf8proc_option_t options = UTF8PROC_DECOMPOSE | UTF8PROC_STABLE;
    utf8proc_ssize_t room = utf8proc_decompose(bytes, (utf8proc_ssize_t)length, NULL, 0, options);
    int32_t *points = room < 0 ? NULL : malloc(((size_t)room + 1) * sizeof *points);
    *out = points;
    if (!points) {
        return -1;
    }
    utf8proc_decompose(bytes, (utf8proc_ssize_t)length, points, room, options);
    int kept = 0;
    for (utf8proc_ssize_t i = 0; i < room; i++) {
        if (points[i] < 0x80 || utf8proc_category(points[i]) != UTF8PROC_CATEGORY_MN) {
            points[kept++] = points[i];
        }
    }
    return kept;
}

static void word_add(Word *word, int32_t point)
{
    if (word->count < WORD_CHARACTERS) {
        int at = word->starts[word->count];
        word->starts[word->count + 1] = at + xv_utf8_encode(point, word->bytes + 2 + at);
    }
    word->count++;
}

// The longest piece that starts at character `from`: its id and, in *to, the character after it. -1 for none.
static int32_t longest_piece(const XvVocabulary *vocabulary, Word *word, int from, int *to)
{
    char *piece = word->bytes + 2 + word->starts[from];
    if (from > 0) {
        piece -= 2;
        memcpy(piece, "##", 2);  // over characters that are already consumed
    }
    for (int end = word->count; end > from; end--) {
        size_t length = (size_t)(word->bytes + 2 + word->starts[end] - piece);
        int32_t id = xv_vocabulary_find(vocabulary, piece, length);
        if (id >= 0) {
            *to = end;
            return id;
        }
    }
    return -1;
}

// Appends the pieces of the word, or one [UNK] for all of it, and empties it.
static bool word_end(const XvVocabulary *vocabulary, Word *word, XvTokens *tokens)
{
    int before = tokens->count;
    bool is_known = word->count <= WORD_CHARACTERS;
    bool ok = true;
    for (int from = 0; ok && is_known && from < word->count;) {
        int to = from;
        int32_t id = longest_piece(vocabulary, word, from, &to);
        is_known = id >= 0;
        ok = !is_known || xv_tokens_add(tokens, id, from > 0);
        from = to;
    }
    if (!is_known) {
        tokens->count = before;
        ok = xv_tokens_add(tokens, xv_vocabulary_specials(vocabulary).unk, false);
    }
    word->count = 0;
    return ok;
}

static bool add_words(const XvVocabulary *vocabulary, const int32_t *points, int count, XvTokens *tokens)
{
    Word word = {.count = 0, .starts = {0}};
    for (int i = 0; i < count; i++) {
        bool is_apart = is_punctuation(points[i]);
        if ((is_apart || xv_is_space(points[i])) && !word_end(vocabulary, &word, tokens)) {
            return false;
        }
        if (is_apart) {
            word_add(&word, points[i]);
            if (!word_end(vocabulary, &word, tokens)) {
                return false;
            }
        } else if (!xv_is_space(points[i])) {
            word_add(&word, points[i]);
        }
    }
    return word_end(vocabulary, &word, tokens);
}

// Tokenizes `length` bytes that hold no special token.
static bool add_text(const XvVocabulary *vocabulary, const char *text, size_t length, XvTokens *tokens)
{
    char *copy = malloc(length + 1);
    int32_t *points = malloc((length + 1) * sizeof *points);
    char *clean = malloc(12 * length + 1);
    int32_t *plain = NULL;
    bool ok = copy && points && clean;
    if (ok) {
        memcpy(copy, text, length);
        copy[length] = '\0';
        int count = xv_utf8_decode(copy, points);
        size_t clean_length = clean_text(points, count, clean);
        int n_plain = strip_accents(clean, clean_length, &plain);
        ok = n_plain >= 0 && add_words(vocabulary, plain, n_plain, tokens);
    }
    free(copy);
    free(points);
    free(clean);
    free(plain);
    return ok;
}

// Length of the special token that starts here, 0 for none.
static size_t special_at(const char *text)
{
    static const char *const specials[] = {"[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"};
    for (size_t i = 0; i < sizeof specials / sizeof *specials; i++) {
        size_t length = strlen(specials[i]);
        if (strncmp(text, specials[i], length) == 0) {
            return length;
        }
    }
    return 0;
}

static bool add_piece(const XvVocabulary *vocabulary, const char *piece, size_t length, XvTokens *tokens)
{
    int32_t id = xv_vocabulary_find(vocabulary, piece, length);
    bool is_continuation = length >= 2 && memcmp(piece, "##", 2) == 0;
    return xv_tokens_add(tokens, id >= 0 ? id : xv_vocabulary_specials(vocabulary).unk, is_continuation);
}

bool xv_wordpiece(const XvVocabulary *vocabulary, const char *text, XvTokens *tokens, XvError *error)
{
    bool ok = true;
    const char *begin = text;
    for (const char *p = text; ok && *p;) {
        size_t special = *p == '[' ? special_at(p) : 0;
        if (special == 0) {
            p++;
            continue;
        }
        ok = add_text(vocabulary, begin, (size_t)(p - begin), tokens) &&
             add_piece(vocabulary, p, special, tokens);
        p += special;
        begin = p;
    }
    ok = ok && add_text(vocabulary, begin, strlen(begin), tokens);
    return ok || xv_fail(error, "no memory to tokenize %zu bytes", strlen(text));
}

bool xv_wordpiece_split(const XvVocabulary *vocabulary, const char *text, XvTokens *tokens, XvError *error)
{
    const char *end = text + strlen(text);
    while (text < end && (*text == ' ' || (*text >= '\t' && *text <= '\r'))) {
        text++;
    }
    while (end > text && (end[-1] == ' ' || (end[-1] >= '\t' && end[-1] <= '\r'))) {
        end--;
    }
    while (text < end) {
        const char *stop = memchr(text, ' ', (size_t)(end - text));
        stop = stop ? stop : end;
        if (!add_piece(vocabulary, text, (size_t)(stop - text), tokens)) {
            return xv_fail(error, "no memory to tokenize a caption");
        }
        text = stop + (stop < end);
    }
    return true;
}
