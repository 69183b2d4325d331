// libFuzzer target: any bytes are a JSON document or refused with a reason; every text in a document, and the bytes
// themselves where they are UTF-8, pass through both cleaners and both tokenizers, and come back unchanged from JSON.
#include "runtime/data/caption.h"
#include "runtime/data/encode.h"
#include "runtime/data/json_line.h"
#include "runtime/data/json_write.h"
#include "runtime/data/unicode.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static XvVocabulary *bert, *roberta;

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    XvError error;
    bert = xv_vocabulary_open("tests/data/vocab/bert-base-uncased-vocab.txt", &error);
    roberta = xv_vocabulary_open_bpe("tests/data/vocab/roberta-base-vocab.json",
                                     "tests/data/vocab/roberta-base-merges.txt", &error);
    require(bert && roberta);
    return 0;
}

static void check_tokens(const XvVocabulary *vocabulary, const char *text)
{
    XvTokens tokens = {0};
    XvError error = {""};
    XvEncoding encoding = {.has_end = true, .max_tokens = 20};
    bool ok = xv_encode(vocabulary, encoding, text, &tokens, &error);
    require(ok ? tokens.count >= 2 && tokens.count <= encoding.max_tokens : error.text[0] != '\0');
    for (int i = 0; ok && i < tokens.count; i++) {
        require(tokens.ids[i] >= 0 && tokens.ids[i] < xv_vocabulary_count(vocabulary));
    }
    xv_tokens_free(&tokens);
}

static void check_round_trip(const char *text)
{
    char *line = NULL;
    size_t length = 0;
    XvError error = {""};
    FILE *file = open_memstream(&line, &length);
    require(file != NULL);
    xv_json_put_text(file, text);
    fclose(file);
    cJSON *tree = xv_json_parse_line(line, length, &error);
    require(tree && strcmp(tree->valuestring, text) == 0);
    cJSON_Delete(tree);
    free(line);
}

static void check_text(const char *text)
{
    XvError error = {""};
    char *caption = xv_pre_caption(text, 30, &error);
    char *question = xv_pre_question(text, 30, &error);
    require(question && (caption || error.text[0]));
    check_tokens(bert, text);
    check_tokens(roberta, text);
    check_tokens(bert, question);
    check_tokens(roberta, question);
    check_round_trip(text);
    free(caption);
    free(question);
}

static void check_tree(const cJSON *tree)
{
    for (const cJSON *item = tree->child; item; item = item->next) {
        check_tree(item);
    }
    if (cJSON_IsString(tree)) {
        check_text(tree->valuestring);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *line = malloc(size + 1);
    memcpy(line, data, size);
    line[size] = '\0';
    XvError error = {""};
    cJSON *tree = xv_json_parse_line(line, size, &error);
    if (tree) {
        check_tree(tree);
    } else {
        require(error.text[0] != '\0');
    }
    if (xv_utf8_valid(line, strlen(line)) == strlen(line)) {
        check_text(line);
    }
    cJSON_Delete(tree);
    free(line);
    return 0;
}
