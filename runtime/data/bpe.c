// The tokenizer of bpe.h.
//
// The bytes of a word are a linked list of pieces; a heap holds the pairs that can be joined, the earliest
// merge and then the leftmost place on top. Entries are left in the heap when their pieces change and skipped
// when they come up, so a word of n bytes takes n log n steps, however long it is.
#include "runtime/data/bpe.h"

#include "runtime/data/bpe_merges.h"
#include "runtime/data/unicode.h"
#include "runtime/data/vocabulary_table.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { NONE = -1 };

typedef struct Piece {
    int32_t id;  // NONE once joined to the piece on its left
    int32_t previous, next;
} Piece;

// A pair that could be joined when it was noticed.
typedef struct Pair {
    int32_t rank, at;     // at: the left piece
    int32_t left, right;  // ids it was noticed with
    int32_t made;
} Pair;

typedef struct Bpe {
    const XvVocabulary *vocabulary;
    XvTokens *tokens;
    int first;      // tokens before the text
    Piece *pieces;  // [bytes of the text]
    Pair *heap;     // [3 * bytes of the text]: every place at first, then two for each join at most
    int n_heap;
} Bpe;

// ---- joining

static bool is_before(const Pair *a, const Pair *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void push(Bpe *bpe, Pair pair)
{
    int at = bpe->n_heap++;
    while (at > 0 && is_before(&pair, &bpe->heap[(at - 1) / 2])) {
        bpe->heap[at] = bpe->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    bpe->heap[at] = pair;
}

static Pair pop(Bpe *bpe)
{
    Pair top = bpe->heap[0];
    Pair last = bpe->heap[--bpe->n_heap];
    int at = 0;
    for (;;) {
        int child = 2 * at + 1;
        if (child >= bpe->n_heap) {
            break;
        }
        if (child + 1 < bpe->n_heap && is_before(&bpe->heap[child + 1], &bpe->heap[child])) {
            child++;
        }
        if (!is_before(&bpe->heap[child], &last)) {
            break;
        }
        bpe->heap[at] = bpe->heap[child];
        at = child;
    }
    bpe->heap[at] = last;
    return top;
}

static void notice(Bpe *bpe, int32_t at)
{
    if (at == NONE || bpe->pieces[at].next == NONE) {
        return;
    }
    int32_t left = bpe->pieces[at].id, right = bpe->pieces[bpe->pieces[at].next].id;
    const XvMerge *merge = xv_merges_find(bpe->vocabulary->merges, left, right);
    if (merge) {
        push(bpe, (Pair){merge->rank, at, left, right, merge->made});
    }
}

static void join(Bpe *bpe, const Pair *pair)
{
    Piece *left = &bpe->pieces[pair->at];
    if (left->id != pair->left || left->next == NONE || bpe->pieces[left->next].id != pair->right) {
        return;
    }
    Piece *right = &bpe->pieces[left->next];
    left->id = pair->made;
    right->id = NONE;
    left->next = right->next;
    if (left->next != NONE) {
        bpe->pieces[left->next].previous = pair->at;
    }
    notice(bpe, left->previous);
    notice(bpe, pair->at);
}

static bool add_token(Bpe *bpe, int32_t id)
{
    const char *piece = bpe->vocabulary->pieces[id];
    bool starts_word = bpe->tokens->count == bpe->first || strncmp(piece, "\xC4\xA0", 2) == 0;
    return xv_tokens_add(bpe->tokens, id, !starts_word);
}

static bool add_word(Bpe *bpe, const char *word, int length)
{
    for (int i = 0; i < length; i++) {
        bpe->pieces[i] = (Piece){bpe->vocabulary->merges->bytes[(unsigned char)word[i]], i - 1,
                                 i + 1 < length ? i + 1 : NONE};
    }
    bpe->n_heap = 0;
    for (int i = 0; i < length; i++) {
        notice(bpe, i);
    }
    while (bpe->n_heap > 0) {
        Pair best = pop(bpe);
        join(bpe, &best);
    }
    for (int32_t at = 0; at != NONE; at = bpe->pieces[at].next) {
        if (!add_token(bpe, bpe->pieces[at].id)) {
            return false;
        }
    }
    return true;
}

// ---- words: 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+

typedef enum Class { CLASS_END, CLASS_SPACE, CLASS_LETTER, CLASS_NUMBER, CLASS_OTHER } Class;

// \s of the pattern: Unicode's White_Space, without the separators U+001C..U+001F that str.isspace adds.
static bool is_white_space(int32_t point)
{
    return xv_is_space(point) && !(point >= 0x1C && point <= 0x1F);
}

static Class class_of(int32_t point)
{
    if (is_white_space(point)) {
        return CLASS_SPACE;
    }
    utf8proc_category_t category = utf8proc_category(point);
    if (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) {
        return CLASS_LETTER;
    }
    return category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO ? CLASS_NUMBER : CLASS_OTHER;
}

// The class of the character at `at` and its bytes.
static Class look(const char *at, const char *end, int *length)
{
    int32_t point;
    *length = 0;
    if (at >= end) {
        return CLASS_END;
    }
    *length = xv_utf8_next(at, &point);
    return class_of(point);
}

static int contraction_at(const char *at, const char *end)
{
    static const char *const endings[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t length = strlen(endings[i]);
        if ((size_t)(end - at) >= length && memcmp(at, endings[i], length) == 0) {
            return (int)length;
        }
    }
    return 0;
}

// White space up to the next word, whose last character is left to that word: a space is taken by the word itself,
// anything else becomes a word of its own.
static int space_length(const char *at, const char *end)
{
    const char *next = at, *last = at;
    int length;
    while (look(next, end, &length) == CLASS_SPACE) {
        last = next;
        next += length;
    }
    return (int)((next < end && last > at ? last : next) - at);
}

static int word_length(const char *at, const char *end)
{
    int length = contraction_at(at, end);
    if (length > 0) {
        return length;
    }
    const char *next = at + (*at == ' ');
    Class class = look(next, end, &length);
    if (class == CLASS_SPACE || class == CLASS_END) {
        return space_length(at, end);
    }
    for (Class other = class; other == class; other = look(next, end, &length)) {
        next += length;
    }
    return (int)(next - at);
}

// The bytes of a word: U+0000 is spelled C0 80 inside texts (unicode.h), which is one byte.
static int unescape_zeros(const char *word, int length, char *out)
{
    int used = 0;
    for (int i = 0; i < length; i++) {
        bool is_zero = (unsigned char)word[i] == 0xC0;
        out[used++] = is_zero ? '\0' : word[i];
        i += is_zero;
    }
    return used;
}

// ---- texts

static bool add_words(Bpe *bpe, const char *at, const char *end, char *word)
{
    while (at < end) {
        int length = word_length(at, end);
        if (!add_word(bpe, word, unescape_zeros(at, length, word))) {
            return false;
        }
        at += length;
    }
    return true;
}

typedef struct Special {
    const char *text;
    int32_t id;
} Special;

// The special token that starts here; its text is NULL for none.
static Special special_at(const XvVocabulary *vocabulary, const char *at)
{
    const XvSpecialIds *ids = &vocabulary->specials;
    const int32_t all[] = {ids->pad, ids->unk, ids->cls, ids->sep, ids->mask};
    for (int i = 0; i < 5; i++) {
        const char *text = vocabulary->pieces[all[i]];
        if (strncmp(at, text, strlen(text)) == 0) {
            return (Special){text, all[i]};
        }
    }
    return (Special){NULL, NONE};
}

// Where the text ends once the white space at its end (str.rstrip) is gone.
static const char *strip_end(const char *begin, const char *end)
{
    const char *kept = begin;
    int32_t point;
    for (const char *at = begin; at < end;) {
        at += xv_utf8_next(at, &point);
        kept = xv_is_space(point) ? kept : at;
    }
    return kept;
}

static bool add_text(Bpe *bpe, const char *text, char *word)
{
    const char *begin = text, *at = text;
    while (*at) {
        Special special = *at == '<' ? special_at(bpe->vocabulary, at) : (Special){NULL, NONE};
        if (!special.text) {
            at++;
            continue;
        }
        bool is_mask = special.id == bpe->vocabulary->specials.mask;
        if (!add_words(bpe, begin, is_mask ? strip_end(begin, at) : at, word) ||
            !add_token(bpe, special.id)) {
            return false;
        }
        at += strlen(special.text);
        begin = at;
    }
    return add_words(bpe, begin, at, word);
}

// A lone surrogate is spelled ED A0..BF, which valid UTF-8 never has.
static bool has_surrogate(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)text[0] == 0xED && (unsigned char)text[1] >= 0xA0) {
            return true;
        }
    }
    return false;
}

bool xv_bpe(const XvVocabulary *vocabulary, const char *text, XvTokens *tokens, XvError *error)
{
    if (has_surrogate(text)) {
        return xv_fail(error, "the text has half a surrogate pair, which is no character");
    }
    size_t length = strlen(text);
    Bpe bpe = {.vocabulary = vocabulary, .tokens = tokens, .first = tokens->count};
    bpe.pieces = malloc((length + 1) * sizeof *bpe.pieces);
    bpe.heap = malloc((3 * length + 1) * sizeof *bpe.heap);
    char *word = malloc(length + 1);
    bool ok = bpe.pieces && bpe.heap && word && add_text(&bpe, text, word);
    free(bpe.pieces);
    free(bpe.heap);
    free(word);
    return ok || xv_fail(error, "no memory to tokenize %zu bytes", length);
}
