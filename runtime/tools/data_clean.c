// `xvlm data clean`: {"text", "max_words"} a line becomes {"out"}, or {"error"} where the official cleaner raises one.
#include "runtime/data/caption.h"
#include "runtime/data/json_line.h"
#include "runtime/data/json_write.h"
#include "runtime/tools/data.h"
#include "runtime/tools/data_lines.h"
#include "runtime/tools/tool.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_WORDS = 30 };

typedef char *Cleaner(const char *text, int max_words, XvError *error);

typedef struct Rule {
    const char *name;
    Cleaner *clean;
} Rule;

static const Rule RULES[] = {{"caption", xv_pre_caption}, {"question", xv_pre_question}};

static bool clean_line(void *context, const cJSON *object, const char *text, XvError *error)
{
    const Rule *rule = context;
    const cJSON *limit = xv_json_member(object, "max_words");
    double words = cJSON_IsNumber(limit) ? limit->valuedouble : DEFAULT_WORDS;
    if ((limit && !cJSON_IsNumber(limit)) || !(words >= 1 && words <= INT_MAX)) {
        return xv_fail(error, "field \"max_words\" must be a number from 1");
    }
    XvError reason = {""};
    char *clean = rule->clean(text, (int)words, &reason);
    fputs(clean ? "{\"out\": " : "{\"error\": ", stdout);
    xv_json_put_text(stdout, clean ? clean : reason.text);
    putchar('}');
    free(clean);
    return true;
}

static const Rule *find_rule(const char *name)
{
    for (size_t i = 0; name && i < sizeof RULES / sizeof *RULES; i++) {
        if (strcmp(RULES[i].name, name) == 0) {
            return &RULES[i];
        }
    }
    return NULL;
}

int xv_data_clean(int argc, char **argv)
{
    const char *name = NULL;
    bool wants_help = false;
    const XvOption options[] = {
        {"--rule", "NAME", XV_OPTION_TEXT, &name, 0, 0, "caption or question"},
        {"--help", NULL, XV_OPTION_FLAG, &wants_help, 0, 0, "this list"},
    };
    XvError error = {""};
    bool ok = xv_options_parse_some(options, 2, &argc, argv, &error);
    if (ok && wants_help) {
        printf(
            "usage: xvlm data clean --rule caption|question IN.jsonl\n\n"
            "Reads {\"text\": ..., \"max_words\": %d} a line, writes {\"out\": ...} or {\"error\": ...} a line.\n\n",
            DEFAULT_WORDS);
        xv_options_print(stdout, options, 2);
        return XV_EXIT_OK;
    }
    const Rule *rule = find_rule(name);
    if (ok && !rule) {
        ok = xv_fail(&error, "--rule must be caption or question");
    }
    if (ok && argc != 2) {
        ok = xv_fail(&error, "one file of texts is needed, got %d", argc - 1);
    }
    if (!ok) {
        fprintf(stderr, "xvlm data clean: %s\n`xvlm data clean --help` lists the options.\n", error.text);
        return XV_EXIT_USAGE;
    }
    Rule chosen = *rule;
    XvLineWork work = {"xvlm data clean", &chosen, clean_line};
    return xv_lines_run(&work, argv[1]);
}
