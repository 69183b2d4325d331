// Flags before configuration; see data_paths.h.
#include "runtime/loop/data_paths.h"

#include "runtime/storage/storage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Appends with a comma; false without memory.
static bool append(char **list, const char *path)
{
    char *longer = NULL;
    if (asprintf(&longer, "%s%s%s", *list ? *list : "", *list ? "," : "", path) < 0) {
        return false;
    }
    free(*list);
    *list = longer;
    return true;
}

static bool take_configured(XvDataPath *path, const XvSettings *settings, XvError *error)
{
    const cJSON *value = xv_settings_find(settings, path->key);
    if (!value || cJSON_IsNull(value) || (cJSON_IsArray(value) && !value->child)) {
        path->key = NULL;
        return true;
    }
    const cJSON *item = cJSON_IsArray(value) ? value->child : value;
    for (; item; item = cJSON_IsArray(value) ? item->next : NULL) {
        if (!cJSON_IsString(item) || !*item->valuestring) {
            return xv_fail(error, "it is neither a path nor a list of paths");
        }
        if (!append(&path->list, item->valuestring)) {
            return xv_fail(error, "no memory for the paths");
        }
    }
    return true;
}

// Remote ones are asked for when they are opened.
static bool check_there(const char *list, XvError *error)
{
    char *copy = strdup(list), *rest = NULL;
    bool ok = copy || xv_fail(error, "no memory for the paths");
    for (char *item = ok ? strtok_r(copy, ",", &rest) : NULL; item && ok; item = strtok_r(NULL, ",", &rest)) {
        ok = xv_is_remote(item) || access(item, R_OK) == 0 ||
             xv_fail(error, "cannot open %s: %s; paths start from the working folder", item, strerror(errno));
    }
    free(copy);
    return ok;
}

bool xv_data_path(XvDataPath *path, const char *given, const XvSettings *settings, XvError *error)
{
    if (given) {
        path->key = NULL;
        path->list = strcmp(given, "none") == 0 ? NULL : strdup(given);
        return path->list || strcmp(given, "none") == 0 || xv_fail(error, "no memory for the paths");
    }
    if (!path->key) {
        return true;
    }
    const char *key = path->key;
    bool ok = take_configured(path, settings, error) && (!path->list || check_there(path->list, error));
    path->key = ok ? path->key : key;
    return ok || xv_data_path_fail(path, error);
}

void xv_data_path_free(XvDataPath *path)
{
    free(path->list);
    *path = (XvDataPath){0};
}

bool xv_data_path_fail(const XvDataPath *path, XvError *error)
{
    return path->key && error->text[0]
               ? xv_fail_in(error, "%s of the configuration (%s names others)", path->key, path->flag)
               : false;
}

bool xv_data_places_apply(const XvDataPlaces *places, XvSettings *settings, XvError *error)
{
    const char *const pairs[][2] = {{"image_root", places->image_root},
                                    {"vqa_root", places->vqa_root},
                                    {"vg_root", places->vg_root},
                                    {"refcoco_data", places->refcoco_data}};
    bool ok = true;
    for (size_t i = 0; ok && i < sizeof pairs / sizeof *pairs; i++) {
        ok = !pairs[i][1] || xv_settings_set(settings, pairs[i][0], cJSON_CreateString(pairs[i][1]));
    }
    if (ok && places->dataset_size >= 0) {
        cJSON *size = cJSON_CreateNumber((double)places->dataset_size);
        ok = xv_settings_set(settings, "train_dataset_size", size);
    }
    return ok || xv_fail(error, "no memory for the settings");
}

const char *xv_train_key(const XvEntry *entry)
{
    bool has_regions =
        strcmp(entry->data, "regions") == 0 || strcmp(entry->data, "grounding_bbox_pretrain") == 0;
    return has_regions ? "train_file_regions" : "train_file";
}

const XvDataPath *xv_entry_path(const XvProgram *program, int entry, const XvDataPath *data,
                                const XvDataPath *regions)
{
    if (entry == program->n_entries - 1) {
        return data;
    }
    return strcmp(program->entries[entry].data, "regions") == 0 ? regions : NULL;
}
