// Opening of byte-level BPE vocabularies; see vocabulary.h and bpe_merges.h.
//
// Merges are checked to join pieces that are bytes or made by earlier merges. Then joining the best pair
// first, wherever it stands, gives the same pieces as the official loop, which joins all places of the best
// pair before it looks again.
#include "runtime/data/bpe_merges.h"

#include "runtime/data/json_line.h"
#include "runtime/data/unicode.h"
#include "runtime/data/vocabulary_table.h"

#include <stdlib.h>
#include <string.h>

static uint32_t hash_pair(int32_t left, int32_t right)
{
    uint64_t key = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u;
    return (uint32_t)(key >> 32);
}

// The slot that holds the pair, or the empty one where it belongs.
static XvMerge *find_slot(const XvMerges *merges, int32_t left, int32_t right)
{
    uint32_t at = hash_pair(left, right) & merges->mask;
    while (merges->slots[at].left >= 0 &&
           (merges->slots[at].left != left || merges->slots[at].right != right)) {
        at = (at + 1) & merges->mask;
    }
    return &merges->slots[at];
}

const XvMerge *xv_merges_find(const XvMerges *merges, int32_t left, int32_t right)
{
    const XvMerge *slot = find_slot(merges, left, right);
    return slot->left >= 0 ? slot : NULL;
}

void xv_merges_free(XvMerges *merges)
{
    if (merges) {
        free(merges->slots);
        free(merges);
    }
}

// ---- vocab.json

static int32_t count_members(const cJSON *object)
{
    int32_t count = 0;
    for (const cJSON *item = object->child; item; item = item->next) {
        count++;
    }
    return count;
}

// Copies the keys into the vocabulary's text, one after the other.
static bool enter_pieces(XvVocabulary *vocabulary, const cJSON *object, const char *path, XvError *error)
{
    char *next = (char *)vocabulary->text.data;
    for (const cJSON *item = object->child; item; item = item->next) {
        double id = cJSON_IsNumber(item) ? item->valuedouble : -1;
        if (!(id >= 0 && id < vocabulary->count) || id != (double)(int32_t)id ||
            vocabulary->pieces[(int32_t)id]) {
            return xv_fail(error, "%s: piece \"%.60s\" needs an id of its own in 0..%d", path, item->string,
                           vocabulary->count - 1);
        }
        size_t length = strlen(item->string) + 1;
        memcpy(next, item->string, length);
        xv_vocabulary_enter(vocabulary, next, (int32_t)id);
        next += length;
    }
    return true;
}

static bool read_pieces(XvVocabulary *vocabulary, const char *path, XvError *error)
{
    XvBytes file = {0};
    XvError reason = {""};
    cJSON *object = NULL;
    bool ok = xv_file_read(path, &file, error);
    if (ok) {
        object = xv_json_parse_line((const char *)file.data, file.count, &reason);
        ok = cJSON_IsObject(object) ||
             xv_fail(error, "%s: not a vocabulary of RoBERTa, which is a JSON object of pieces and ids%s%s",
                     path, reason.text[0] ? ": " : "", reason.text);
    }
    ok = ok &&
         (xv_bytes_reserve(&vocabulary->text, file.count) ||
          xv_fail(error, "%s: no memory for the pieces", path)) &&
         xv_vocabulary_reserve(vocabulary, count_members(object), path, error) &&
         enter_pieces(vocabulary, object, path, error);
    cJSON_Delete(object);
    xv_bytes_free(&file);
    return ok;
}

// GPT-2 spells the bytes that are no visible Latin-1 characters by the letters from U+0100 on, in order.
static bool find_bytes(XvVocabulary *vocabulary, const char *path, XvError *error)
{
    int32_t next = 0x100;
    for (int byte = 0; byte < 256; byte++) {
        bool is_visible = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
        char piece[4];
        int length = xv_utf8_encode(is_visible ? byte : next++, piece);
        int32_t id = xv_vocabulary_find(vocabulary, piece, (size_t)length);
        vocabulary->merges->bytes[byte] = id;
        if (id < 0) {
            return xv_fail(error, "%s: no piece for the byte 0x%02X; this is not a byte-level vocabulary",
                           path, byte);
        }
    }
    return true;
}

// ---- merges.txt

// One line of the list.
typedef struct MergeLine {
    const char *text;
    size_t length;
    int32_t rank;
} MergeLine;

static bool add_merge(XvVocabulary *vocabulary, MergeLine line, uint8_t *is_made, XvError *error)
{
    const char *space = memchr(line.text, ' ', line.length);
    size_t left_length = space ? (size_t)(space - line.text) : line.length;
    size_t right_length = space ? line.length - left_length - 1 : 0;
    char joined[512];
    if (left_length == 0 || right_length == 0 || line.length > sizeof joined) {
        return xv_fail(error, "two pieces with a space between are expected");
    }
    memcpy(joined, line.text, left_length);
    memcpy(joined + left_length, space + 1, right_length);
    int32_t left = xv_vocabulary_find(vocabulary, line.text, left_length);
    int32_t right = xv_vocabulary_find(vocabulary, space + 1, right_length);
    int32_t made = xv_vocabulary_find(vocabulary, joined, left_length + right_length);
    if (left < 0 || right < 0 || made < 0 || !is_made[left] || !is_made[right]) {
        return xv_fail(error, "\"%.*s\" joins pieces that the vocabulary lacks or that are made later",
                       (int)line.length, line.text);
    }
    is_made[made] = 1;
    XvMerge *slot = find_slot(vocabulary->merges, left, right);
    if (slot->left < 0) {
        *slot = (XvMerge){left, right, line.rank, made};
    }
    return true;
}

static bool make_table(XvVocabulary *vocabulary, size_t n_lines)
{
    XvMerges *merges = vocabulary->merges;
    uint32_t size = 64;
    while (size < 2 * n_lines) {
        size *= 2;
    }
    merges->mask = size - 1;
    merges->slots = malloc(size * sizeof *merges->slots);
    if (merges->slots) {
        memset(merges->slots, 0xFF, size * sizeof *merges->slots);  // left -1: empty
    }
    return merges->slots != NULL;
}

static bool add_lines(XvVocabulary *vocabulary, const XvBytes *file, uint8_t *is_made, const char *path,
                      XvError *error)
{
    const char *at = (const char *)file->data, *end = at + file->count;
    int32_t rank = 0;
    for (int number = 1; at < end; number++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        size_t length = (size_t)(stop - at) - (stop > at && stop[-1] == '\r');
        bool is_title = number == 1 && length >= 8 && memcmp(at, "#version", 8) == 0;
        if (length > 0 && !is_title &&
            !add_merge(vocabulary, (MergeLine){at, length, rank++}, is_made, error)) {
            return xv_fail_in(error, "%s:%d", path, number);
        }
        at = stop + 1;
    }
    return rank > 0 || xv_fail(error, "%s: no merges", path);
}

static bool read_merges(XvVocabulary *vocabulary, const char *path, XvError *error)
{
    XvBytes file = {0};
    if (!xv_file_read(path, &file, error)) {
        return false;
    }
    size_t n_lines = 1;
    for (size_t i = 0; i < file.count; i++) {
        n_lines += file.data[i] == '\n';
    }
    uint8_t *is_made =
        calloc((size_t)vocabulary->count, 1);  // the piece is a byte, or an earlier merge makes it
    bool ok = is_made && make_table(vocabulary, n_lines);
    if (ok) {
        for (int byte = 0; byte < 256; byte++) {
            is_made[vocabulary->merges->bytes[byte]] = 1;
        }
        ok = add_lines(vocabulary, &file, is_made, path, error);
    } else {
        xv_fail(error, "%s: no memory for the merges", path);
    }
    free(is_made);
    xv_bytes_free(&file);
    return ok;
}

XvVocabulary *xv_vocabulary_open_bpe(const char *vocab_path, const char *merges_path, XvError *error)
{
    static const char *const names[5] = {"<pad>", "<unk>", "<s>", "</s>", "<mask>"};
    XvVocabulary *vocabulary = calloc(1, sizeof *vocabulary);
    XvMerges *merges = calloc(1, sizeof *merges);
    if (!vocabulary || !merges) {
        free(vocabulary);
        free(merges);
        xv_fail(error, "%s: no memory", vocab_path);
        return NULL;
    }
    vocabulary->merges = merges;
    if (!read_pieces(vocabulary, vocab_path, error) ||
        !xv_vocabulary_find_specials(vocabulary, names, vocab_path, error) ||
        !find_bytes(vocabulary, vocab_path, error) || !read_merges(vocabulary, merges_path, error)) {
        xv_vocabulary_close(vocabulary);
        return NULL;
    }
    return vocabulary;
}
