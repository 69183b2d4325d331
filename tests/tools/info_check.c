// Compares values of a JSON document, as `info --json` prints it, with expected ones.
//
//   info_check FILE PATH=VALUE...     `PATH` is dotted: info_check info.json parameters=12 config.optimizer.lr=3e-5
//
// Numbers are compared as numbers, everything else as JSON text. PATH<=VALUE and PATH>=VALUE are bounds of numbers.
#include "tests/tools/check.h"

static const cJSON *value_at(const cJSON *json, const char *path)
{
    char name[128];
    while (json && *path) {
        size_t length = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)length, path);
        json = cJSON_GetObjectItemCaseSensitive(json, name);
        path += length + (path[length] == '.');
    }
    return json;
}

static bool is_equal(const cJSON *value, const char *text)
{
    if (cJSON_IsNumber(value)) {
        char *end;
        double number = strtod(text, &end);
        return *end == 0 && end != text && fabs(value->valuedouble - number) <= 1e-12 * fabs(number);
    }
    if (cJSON_IsString(value)) {
        return strcmp(value->valuestring, text) == 0;
    }
    char *printed = cJSON_PrintUnformatted(value);
    bool is_same = printed && strcmp(printed, text) == 0;
    free(printed);
    return is_same;
}

// What the sign before "=" asks for.
static bool holds(const cJSON *value, char sign, const char *text)
{
    if (sign != '<' && sign != '>') {
        return is_equal(value, text);
    }
    double bound = strtod(text, NULL);
    return cJSON_IsNumber(value) && (sign == '<' ? value->valuedouble <= bound : value->valuedouble >= bound);
}

int main(int argc, char **argv)
{
    Check check = {0};
    if (argc < 3) {
        check_stop("usage: info_check FILE PATH=VALUE...");
    }
    cJSON *json = check_json(argv[1]);
    for (int i = 2; i < argc; i++) {
        char path[256];
        size_t length = strcspn(argv[i], "=");
        if (!argv[i][length] || length >= sizeof path) {
            check_stop("'%s' is not PATH=VALUE", argv[i]);
        }
        char sign = length > 0 ? argv[i][length - 1] : 0;
        size_t end = length - (sign == '<' || sign == '>');
        memcpy(path, argv[i], end);
        path[end] = 0;
        const cJSON *value = value_at(json, path);
        char *printed = value ? cJSON_PrintUnformatted(value) : NULL;
        check_that(&check, value && holds(value, sign, argv[i] + length + 1), "%s: got %s, want %s", path,
                   printed ? printed : "nothing", argv[i] + end);
        free(printed);
    }
    cJSON_Delete(json);
    return check_finish(&check, argv[1]);
}
