// Lines of texts; see data_lines.h.
#include "runtime/tools/data_lines.h"

#include "runtime/base/options.h"
#include "runtime/data/json_line.h"
#include "runtime/data/json_write.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool run_line(const XvLineWork *work, const char *line, size_t length, XvError *error)
{
    cJSON *object = xv_json_parse_line(line, length, error);
    if (!object) {
        return false;
    }
    const cJSON *text = xv_json_member(cJSON_IsObject(object) ? object : NULL, "text");
    bool ok = cJSON_IsString(text)
                  ? work->run(work->context, object, text->valuestring, error)
                  : xv_fail(error, "an object with a field \"text\" that is a string is needed");
    cJSON_Delete(object);
    return ok;
}

// Returns how many lines could not be used.
static long run_file(const XvLineWork *work, const char *path, FILE *file)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    long n_bad = 0;
    for (long number = 1; (length = getline(&line, &room, file)) >= 0; number++) {
        XvError error = {""};
        if (length > 0 && line[length - 1] == '\n') {
            line[--length] = '\0';
        }
        if (strspn(line, " \t\r") == (size_t)length) {
            continue;  // a blank line is no record
        }
        if (!run_line(work, line, (size_t)length, &error)) {
            n_bad++;
            fprintf(stderr, "%s: %s:%ld: %s\n", work->command, path, number, error.text);
            fputs("{\"error\": ", stdout);
            xv_json_put_text(stdout, error.text);
            putchar('}');
        }
        putchar('\n');
    }
    free(line);
    return n_bad;
}

int xv_lines_run(const XvLineWork *work, const char *path)
{
    bool is_input = strcmp(path, "-") == 0;
    FILE *file = is_input ? stdin : fopen(path, "r");
    if (!file) {
        fprintf(stderr, "%s: cannot open %s: %s\n", work->command, path, strerror(errno));
        return XV_EXIT_FAILED;
    }
    errno = 0;
    long n_bad = run_file(work, path, file);
    bool is_whole = !ferror(file);
    if (!is_whole) {
        fprintf(stderr, "%s: cannot read %s: %s\n", work->command, path, strerror(errno));
    }
    if (!is_input) {
        fclose(file);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "%s: cannot write the results: %s\n", work->command, strerror(errno));
        return XV_EXIT_FAILED;
    }
    return n_bad == 0 && is_whole ? XV_EXIT_OK : XV_EXIT_FAILED;
}
