// Making, reading and judging of scene sets; see scenes_set.h.
#include "tests/unit/scenes_set.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

const char *scene_set_split(int split)
{
    static const char *const SPLITS[] = {"train", "val", "test"};
    return SPLITS[split];
}

int scene_set_count(int split)
{
    static const int COUNTS[] = {N_TRAIN, N_VAL, N_TEST};
    return COUNTS[split];
}

// ---- running and reading

int scene_set_run(const char *arguments)
{
    const char *program = getenv("XVLM");
    char command[2048];
    snprintf(command, sizeof command, "%s %s >/dev/null 2>&1", program ? program : "build/xvlm", arguments);
    int status = system(command);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

char *scene_set_read(const char *path, size_t *n_bytes)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        fail_msg("cannot read %s", path);
    }
    fseek(file, 0, SEEK_END);
    size_t length = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(length + 1);
    assert_int_equal(fread(bytes, 1, length, file), length);
    fclose(file);
    bytes[length] = '\0';
    if (n_bytes) {
        *n_bytes = length;
    }
    return bytes;
}

// An array of records, from an array file or a file of lines.
cJSON *scene_set_load(const SceneSet *set, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/main/%s", set->folder, name);
    char *text = scene_set_read(path, NULL);
    cJSON *records = NULL;
    if (strstr(name, ".jsonl")) {
        records = cJSON_CreateArray();
        char *position = NULL;
        for (char *line = strtok_r(text, "\n", &position); line; line = strtok_r(NULL, "\n", &position)) {
            cJSON *record = cJSON_Parse(line);
            assert_non_null(record);
            cJSON_AddItemToArray(records, record);
        }
    } else {
        records = cJSON_Parse(text);
    }
    assert_non_null(records);
    free(text);
    return records;
}

cJSON *scene_set_load_split(const SceneSet *set, const char *pattern, int split)
{
    char name[64];
    const char *hole = strchr(pattern, '*');
    snprintf(name, sizeof name, "%.*s%s%s", (int)(hole - pattern), pattern, scene_set_split(split), hole + 1);
    return scene_set_load(set, name);
}

const char *scene_text(const cJSON *record, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(record, key));
    assert_non_null(text);
    return text;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status, (void)kind, (void)walk;
    return remove(path);
}

int scene_set_make(void **state)
{
    SceneSet *set = calloc(1, sizeof *set);
    const char *temporary = getenv("TMPDIR");
    snprintf(set->folder, sizeof set->folder, "%s/xv_scenes_XXXXXX", temporary ? temporary : P_tmpdir);
    assert_non_null(mkdtemp(set->folder));
    char arguments[1024];
    snprintf(arguments, sizeof arguments,
             "scenes --output %s/main --train %d --val %d --test %d --size %d --seed 7", set->folder, N_TRAIN,
             N_VAL, N_TEST, PIXELS);
    if (scene_set_run(arguments) != 0) {
        fprintf(stderr, "xvlm %s failed; is build/xvlm built?\n", arguments);
        return -1;
    }
    for (int split = 0; split < 3; split++) {
        set->regions[split] = scene_set_load_split(set, "*_regions.jsonl", split);
    }
    *state = set;
    return 0;
}

int scene_set_drop(void **state)
{
    SceneSet *set = *state;
    for (int split = 0; set && split < 3; split++) {
        cJSON_Delete(set->regions[split]);
    }
    int status = set ? nftw(set->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS) : 0;
    free(set);
    return status;
}

// ---- the truth of a picture

const cJSON *scene_truth(const SceneSet *set, const char *image)
{
    for (int split = 0; split < 3; split++) {
        const cJSON *record;
        cJSON_ArrayForEach(record, set->regions[split])
        {
            if (strcmp(scene_text(record, "image"), image) == 0) {
                return record;
            }
        }
    }
    fail_msg("no region record for %s", image);
    return NULL;
}

const char *scene_shape(const cJSON *element)
{
    const cJSON *caption = cJSON_GetObjectItem(element, "caption");
    return cJSON_GetStringValue(cJSON_IsArray(caption) ? cJSON_GetArrayItem(caption, 0) : caption);
}

// The first attribute is the colour alone.
const char *scene_colour(const cJSON *element)
{
    return cJSON_GetStringValue(cJSON_GetArrayItem(cJSON_GetObjectItem(element, "attributes"), 0));
}

bool scene_is_large(const cJSON *element)
{
    const char *sized =
        cJSON_GetStringValue(cJSON_GetArrayItem(cJSON_GetObjectItem(element, "attributes"), 1));
    assert_true(strncmp(sized, "large ", 6) == 0 || strncmp(sized, "small ", 6) == 0);
    return sized[0] == 'l';
}

// Objects of a shape and colour; NULL leaves one open.
int scene_count_objects(const cJSON *record, const char *shape, const char *colour)
{
    int count = 0;
    const cJSON *element;
    cJSON_ArrayForEach(element, cJSON_GetObjectItem(record, "elems"))
    {
        count += (!shape || strcmp(scene_shape(element), shape) == 0) &&
                 (!colour || strcmp(scene_colour(element), colour) == 0);
    }
    return count;
}

const cJSON *scene_find_object(const cJSON *record, const char *colour, const char *shape)
{
    const cJSON *element;
    cJSON_ArrayForEach(element, cJSON_GetObjectItem(record, "elems"))
    {
        if (strcmp(scene_shape(element), shape) == 0 && strcmp(scene_colour(element), colour) == 0) {
            return element;
        }
    }
    return NULL;
}

double scene_centre(const cJSON *element, int axis)
{
    const cJSON *box = cJSON_GetObjectItem(element, "bb");
    return cJSON_GetArrayItem(box, axis)->valuedouble + cJSON_GetArrayItem(box, axis + 2)->valuedouble / 2;
}
