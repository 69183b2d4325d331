// `xvlm data tokenize`: {"text"} a line becomes {"ids", "tokens"}, without start or end token.
#include "runtime/data/json_write.h"
#include "runtime/data/vocabulary.h"
#include "runtime/tools/data.h"
#include "runtime/tools/data_lines.h"
#include "runtime/tools/tool.h"

#include <stdio.h>
#include <string.h>

typedef struct Arguments {
    const char *tokenizer, *vocab, *merges;
    bool wants_help;
} Arguments;

typedef struct Work {
    const XvVocabulary *vocabulary;
    XvTokens tokens;
} Work;

static bool tokenize_line(void *context, const cJSON *object, const char *text, XvError *error)
{
    (void)object;
    Work *work = context;
    XvTokens *tokens = &work->tokens;
    tokens->count = 0;
    if (!xv_tokenize(work->vocabulary, text, tokens, error)) {
        return false;
    }
    fputs("{\"ids\": [", stdout);
    for (int i = 0; i < tokens->count; i++) {
        printf("%s%d", i ? ", " : "", tokens->ids[i]);
    }
    fputs("], \"tokens\": [", stdout);
    for (int i = 0; i < tokens->count; i++) {
        fputs(i ? ", " : "", stdout);
        xv_json_put_text(stdout, xv_vocabulary_piece(work->vocabulary, tokens->ids[i]));
    }
    fputs("]}", stdout);
    return true;
}

static bool check_arguments(const Arguments *arguments, int n_files, XvError *error)
{
    const char *name = arguments->tokenizer ? arguments->tokenizer : "";
    bool is_roberta = strcmp(name, "roberta") == 0;
    if (!is_roberta && strcmp(name, "bert") != 0) {
        return xv_fail(error, "--tokenizer must be bert or roberta");
    }
    if (!arguments->vocab) {
        return xv_fail(error, "--vocab is needed: %s",
                       is_roberta ? "vocab.json" : "vocab.txt, one word piece per line");
    }
    if (is_roberta != (arguments->merges != NULL)) {
        return xv_fail(error, is_roberta ? "--merges is needed: the merges.txt that belongs to the vocabulary"
                                         : "--merges is for --tokenizer roberta only");
    }
    return n_files == 1 || xv_fail(error, "one file of texts is needed, got %d", n_files);
}

static int tokenize(const Arguments *arguments, const char *path)
{
    XvError error = {""};
    XvVocabulary *vocabulary = arguments->merges
                                   ? xv_vocabulary_open_bpe(arguments->vocab, arguments->merges, &error)
                                   : xv_vocabulary_open(arguments->vocab, &error);
    if (!vocabulary) {
        fprintf(stderr, "xvlm data tokenize: %s\n", error.text);
        return XV_EXIT_FAILED;
    }
    Work work = {.vocabulary = vocabulary};
    int status = xv_lines_run(&(XvLineWork){"xvlm data tokenize", &work, tokenize_line}, path);
    xv_tokens_free(&work.tokens);
    xv_vocabulary_close(vocabulary);
    return status;
}

int xv_data_tokenize(int argc, char **argv)
{
    Arguments arguments = {0};
    const XvOption options[] = {
        {"--tokenizer", "NAME", XV_OPTION_TEXT, &arguments.tokenizer, 0, 0, "bert or roberta"},
        {"--vocab", "FILE", XV_OPTION_TEXT, &arguments.vocab, 0, 0,
         "vocab.txt of BERT, vocab.json of RoBERTa"},
        {"--merges", "FILE", XV_OPTION_TEXT, &arguments.merges, 0, 0, "merges.txt of RoBERTa"},
        {"--help", NULL, XV_OPTION_FLAG, &arguments.wants_help, 0, 0, "this list"},
    };
    enum { N_OPTIONS = sizeof options / sizeof *options };
    XvError error = {""};
    bool is_parsed = xv_options_parse_some(options, N_OPTIONS, &argc, argv, &error);
    if (is_parsed && arguments.wants_help) {
        printf("usage: xvlm data tokenize --tokenizer bert|roberta --vocab FILE [--merges FILE] IN.jsonl\n\n"
               "Reads {\"text\": ...} a line, writes {\"ids\": [...], \"tokens\": [...]} a line.\n\n");
        xv_options_print(stdout, options, N_OPTIONS);
        return XV_EXIT_OK;
    }
    if (!is_parsed || !check_arguments(&arguments, argc - 1, &error)) {
        fprintf(stderr, "xvlm data tokenize: %s\n`xvlm data tokenize --help` lists the options.\n",
                error.text);
        return XV_EXIT_USAGE;
    }
    return tokenize(&arguments, argv[1]);
}
