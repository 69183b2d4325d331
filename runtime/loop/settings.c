// Look-up of dotted paths in the compiled-in configuration; see settings.h.
#include "runtime/loop/settings.h"

#include <string.h>

const cJSON *xv_settings_find(const XvSettings *settings, const char *path)
{
    const cJSON *at = settings->config;
    while (at && *path) {
        size_t length = strcspn(path, ".");
        const cJSON *child = cJSON_IsObject(at) ? at->child : NULL;
        while (child && (strlen(child->string) != length || strncmp(child->string, path, length) != 0)) {
            child = child->next;
        }
        at = child;
        path += length + (path[length] == '.');
    }
    return at;
}

bool xv_settings_set(XvSettings *settings, const char *key, cJSON *value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(settings->config, key);
    if (!value || !cJSON_AddItemToObject(settings->config, key, value)) {
        cJSON_Delete(value);
        return false;
    }
    return true;
}

double xv_settings_number(const XvSettings *settings, const char *path, double otherwise)
{
    const cJSON *json = xv_settings_find(settings, path);
    return cJSON_IsNumber(json) ? json->valuedouble : otherwise;
}

bool xv_settings_truth(const XvSettings *settings, const char *path, bool otherwise)
{
    const cJSON *json = xv_settings_find(settings, path);
    return cJSON_IsBool(json) ? cJSON_IsTrue(json) : otherwise;
}

const char *xv_settings_text(const XvSettings *settings, const char *path, const char *otherwise)
{
    const cJSON *json = xv_settings_find(settings, path);
    return cJSON_IsString(json) ? json->valuestring : otherwise;
}

bool xv_settings_read(XvSettings *settings, const char *config, XvError *error)
{
    *settings = (XvSettings){.config = cJSON_Parse(config)};
    if (!cJSON_IsObject(settings->config)) {
        xv_settings_free(settings);
        return xv_fail(error, "the program's configuration is not a JSON object; compile it anew");
    }
    settings->lr = xv_settings_number(settings, "optimizer.lr", 1e-4);
    settings->lr_mult = xv_settings_number(settings, "optimizer.lr_mult", 1.0);
    settings->weight_decay = xv_settings_number(settings, "optimizer.weight_decay", 0.01);
    settings->warmup = xv_settings_number(settings, "schedular.num_warmup_steps", 0.1);
    settings->epochs = xv_settings_number(settings, "schedular.epochs", 1.0);
    settings->steps = xv_settings_number(settings, "schedular.num_training_steps", 0.0);
    settings->clip = xv_settings_number(settings, "accelerator.CLIP_GRAD_NORM", 0.0);
    settings->seed = (uint64_t)xv_settings_number(settings, "accelerator.RNG_SEED", 42.0);
    return true;
}

void xv_settings_free(XvSettings *settings)
{
    cJSON_Delete(settings->config);
    settings->config = NULL;
}
