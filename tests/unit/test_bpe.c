// Byte-level BPE and the rows of both tokenizers against the official results, and files that are no vocabularies.
#include "data_golden.h"

#include "runtime/data/encode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct Vocabularies {
    XvVocabulary *bert, *roberta;
} Vocabularies;

static int open_vocabularies(void **state)
{
    XvError error;
    Vocabularies *both = calloc(1, sizeof *both);
    both->bert = xv_vocabulary_open("tests/data/vocab/bert-base-uncased-vocab.txt", &error);
    both->roberta = xv_vocabulary_open_bpe("tests/data/vocab/roberta-base-vocab.json",
                                           "tests/data/vocab/roberta-base-merges.txt", &error);
    *state = both;
    return both->bert && both->roberta ? 0 : -1;
}

static int close_vocabularies(void **state)
{
    Vocabularies *both = *state;
    xv_vocabulary_close(both->bert);
    xv_vocabulary_close(both->roberta);
    free(both);
    return 0;
}

static bool same_ids(const XvTokens *tokens, const cJSON *ids)
{
    bool same = tokens->count == cJSON_GetArraySize(ids);
    const cJSON *id = ids->child;
    for (int i = 0; same && i < tokens->count; i++, id = id->next) {
        same = tokens->ids[i] == id->valueint;
    }
    return same;
}

static void test_specials(void **state)
{
    const XvVocabulary *roberta = ((Vocabularies *)*state)->roberta;
    XvSpecialIds ids = xv_vocabulary_specials(roberta);
    assert_int_equal(xv_vocabulary_count(roberta), 50265);
    assert_int_equal(ids.cls, 0);
    assert_int_equal(ids.pad, 1);
    assert_int_equal(ids.sep, 2);
    assert_int_equal(ids.unk, 3);
    assert_int_equal(ids.mask, 50264);
    assert_string_equal(xv_vocabulary_piece(roberta, 693), "Ġwoman");
    assert_true(xv_vocabulary_is_bpe(roberta));
    assert_false(xv_vocabulary_is_bpe(((Vocabularies *)*state)->bert));
}

static void test_bpe(void **state)
{
    const XvVocabulary *roberta = ((Vocabularies *)*state)->roberta;
    GoldenLines lines = golden_lines("tests/data/text/roberta_bpe.jsonl");
    XvTokens tokens = {0};
    XvError error;
    int wrong = 0;
    for (int i = 0; i < lines.count; i++) {
        const char *text = golden_string(lines.items[i], "text");
        tokens.count = 0;
        assert_true(xv_tokenize(roberta, text, &tokens, &error));
        bool same = same_ids(&tokens, golden_get(lines.items[i], "ids"));
        const cJSON *piece = golden_get(lines.items[i], "tokens")->child;
        for (int k = 0; same && k < tokens.count; k++, piece = piece->next) {
            bool continues = k > 0 && strncmp(piece->valuestring, "Ġ", 2) != 0;
            same = strcmp(xv_vocabulary_piece(roberta, tokens.ids[k]), piece->valuestring) == 0 &&
                   tokens.is_continuation[k] == continues;
        }
        if (!same) {
            print_error("line %d: %s\n", i + 1, text);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
    assert_true(lines.count > 500);
    xv_tokens_free(&tokens);
    golden_lines_free(&lines);
}

// A word without end takes no time to speak of: the official loop is quadratic.
static void test_long_word(void **state)
{
    enum { LENGTH = 1 << 20 };
    char *text = malloc(LENGTH + 1);
    for (int i = 0; i < LENGTH; i++) {
        text[i] = (char)('a' + (long)i * i % 7 % 3);
    }
    text[LENGTH] = '\0';
    XvTokens tokens = {0};
    XvError error;
    assert_true(xv_tokenize(((Vocabularies *)*state)->roberta, text, &tokens, &error));
    assert_in_range(tokens.count, LENGTH / 8, LENGTH);
    xv_tokens_free(&tokens);
    free(text);
}

static void test_surrogate(void **state)
{
    Vocabularies *both = *state;
    XvTokens tokens = {0};
    XvError error = {""};
    assert_false(xv_tokenize(both->roberta, "lone \xED\xA0\x80", &tokens, &error));
    assert_non_null(strstr(error.text, "surrogate"));
    tokens.count = 0;
    assert_true(xv_tokenize(both->bert, "lone \xED\xA0\x80", &tokens, &error));
    assert_int_equal(tokens.count, 1);
    xv_tokens_free(&tokens);
}

// The calls of the training scripts: padding apart, a row is what xv_encode makes.
static void check_rows(const XvVocabulary *vocabulary, const cJSON *line)
{
    const cJSON *options = golden_get(line, "options");
    const cJSON *max_length = cJSON_GetObjectItemCaseSensitive(options, "max_length");
    bool is_cut = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(options, "truncation"));
    XvEncoding encoding = {.has_end = strcmp(golden_string(line, "tokenizer"), "bert_stock") == 0,
                           .max_tokens = is_cut ? max_length->valueint : 0};
    XvTokens tokens = {0};
    XvError error;
    const cJSON *text = golden_get(line, "texts")->child, *ids = golden_get(line, "input_ids")->child;
    const cJSON *atts = golden_get(line, "attention_mask")->child;
    for (; text; text = text->next, ids = ids->next, atts = atts->next) {
        assert_true(xv_encode(vocabulary, encoding, text->valuestring, &tokens, &error));
        int length = cJSON_GetArraySize(ids);
        assert_true(tokens.count <= length);
        for (int i = 0; i < length; i++) {
            bool is_pad = i >= tokens.count;
            assert_int_equal(cJSON_GetArrayItem(atts, i)->valueint, !is_pad);
            assert_int_equal(cJSON_GetArrayItem(ids, i)->valueint,
                             is_pad ? xv_vocabulary_specials(vocabulary).pad : tokens.ids[i]);
        }
    }
    xv_tokens_free(&tokens);
}

static void test_rows(void **state)
{
    const Vocabularies *both = *state;
    GoldenLines lines = golden_lines("tests/data/text/batch_encode.jsonl");
    for (int i = 0; i < lines.count; i++) {
        bool is_roberta = strncmp(golden_string(lines.items[i], "tokenizer"), "roberta", 7) == 0;
        check_rows(is_roberta ? both->roberta : both->bert, lines.items[i]);
    }
    assert_true(lines.count > 40);
    golden_lines_free(&lines);
}

static void test_nlvr(void **state)
{
    const Vocabularies *both = *state;
    GoldenLines lines = golden_lines("tests/data/text/nlvr2_tokens.jsonl");
    XvTokens tokens = {0};
    XvError error;
    for (int i = 0; i < lines.count; i++) {
        const char *text = golden_string(lines.items[i], "pre_caption");
        assert_true(xv_encode(both->bert, (XvEncoding){0}, text, &tokens, &error));
        assert_true(same_ids(&tokens, golden_get(lines.items[i], "bert_ids")));
        assert_true(xv_encode(both->roberta, (XvEncoding){0}, text, &tokens, &error));
        assert_true(same_ids(&tokens, golden_get(lines.items[i], "roberta_ids")));
    }
    assert_int_equal(lines.count, 200);
    xv_tokens_free(&tokens);
    golden_lines_free(&lines);
}

static void test_replaced_utf8(void **state)
{
    const Vocabularies *both = *state;
    GoldenLines lines = golden_lines("tests/data/text/invalid_utf8.jsonl");
    XvTokens tokens = {0};
    XvError error;
    for (int i = 0; i < lines.count; i++) {
        const char *text = golden_string(lines.items[i], "replaced");
        tokens.count = 0;
        assert_true(xv_tokenize(both->bert, text, &tokens, &error));
        assert_true(same_ids(&tokens, golden_get(lines.items[i], "bert_ids")));
        tokens.count = 0;
        assert_true(xv_tokenize(both->roberta, text, &tokens, &error));
        assert_true(same_ids(&tokens, golden_get(lines.items[i], "roberta_ids")));
    }
    xv_tokens_free(&tokens);
    golden_lines_free(&lines);
}

// A vocabulary of the bytes, the special tokens and some made pieces, with the given end of its JSON object.
static void write_vocabulary(const char *path, const char *rest)
{
    FILE *file = fopen(path, "w");
    fputs("{\"<s>\": 0, \"<pad>\": 1, \"</s>\": 2, \"<unk>\": 3, \"<mask>\": 4", file);
    int next = 0x100;
    for (int byte = 0; byte < 256; byte++) {
        bool is_visible = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
        fprintf(file, ", \"\\u%04x\": %d", is_visible ? byte : next++, 5 + byte);
    }
    fprintf(file, "%s}", rest);
    fclose(file);
}

typedef struct BadCase {
    const char *pieces, *merges, *message;
} BadCase;

static void test_bad_files(void **state)
{
    (void)state;
    static const BadCase cases[] = {
        {"", "", "no merges"},
        {"", "#version: 0.2\n", "no merges"},
        {"", "#version: 0.2\nx y\n", "merges.txt:2"},
        {", \"ab\": 261", "ab\n", "merges.txt:1"},
        {", \"ab\": 261, \"abc\": 262", "ab c\na b\n", "merges.txt:1"},
        {", \"ab\": 262", "a b\n", "id of its own"},
        {", \"ab\": 5", "a b\n", "id of its own"},
        {", \"ab\": 261.5", "a b\n", "id of its own"},
        {", \"ab\": \"x\"", "a b\n", "id of its own"},
        {", 1", "a b\n", "JSON object"},
    };
    char *folder = golden_folder();
    char vocab[4096], merges[4096];
    snprintf(vocab, sizeof vocab, "%s/vocab.json", folder);
    snprintf(merges, sizeof merges, "%s/merges.txt", folder);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        XvError error = {""};
        write_vocabulary(vocab, cases[i].pieces);
        golden_write(merges, cases[i].merges);
        assert_null(xv_vocabulary_open_bpe(vocab, merges, &error));
        if (!strstr(error.text, cases[i].message)) {
            fail_msg("%s: %s", cases[i].message, error.text);
        }
    }
    XvError error = {""};
    golden_write(vocab, "{\"<s>\": 0}");
    assert_null(xv_vocabulary_open_bpe(vocab, merges, &error));
    assert_non_null(strstr(error.text, "<pad>"));
    assert_null(xv_vocabulary_open_bpe("tests/data/vocab/bert-base-uncased-vocab.txt", merges, &error));
    assert_non_null(strstr(error.text, "JSON object"));

    write_vocabulary(vocab, ", \"ab\": 261, \"abc\": 262");
    golden_write(merges, "#version: 0.2\r\na b\r\nab c\r\n\r\n");
    XvVocabulary *vocabulary = xv_vocabulary_open_bpe(vocab, merges, &error);
    assert_non_null(vocabulary);
    XvTokens tokens = {0};
    assert_true(xv_tokenize(vocabulary, "abcabb", &tokens, &error));
    assert_int_equal(tokens.count, 3);
    assert_int_equal(tokens.ids[0], 262);
    assert_int_equal(tokens.ids[1], 261);
    assert_int_equal(tokens.ids[2], 5 + 'b');
    xv_tokens_free(&tokens);
    xv_vocabulary_close(vocabulary);
    golden_remove(folder);
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_specials),      cmocka_unit_test(test_bpe),
        cmocka_unit_test(test_long_word),     cmocka_unit_test(test_surrogate),
        cmocka_unit_test(test_rows),          cmocka_unit_test(test_nlvr),
        cmocka_unit_test(test_replaced_utf8), cmocka_unit_test(test_bad_files),
    };
    return cmocka_run_group_tests(tests, open_vocabularies, close_vocabularies);
}
