// Running sums per loss; see meters.h.
#include "runtime/loop/meters.h"

#include <stdlib.h>
#include <string.h>

static bool has_loss(const XvEntry *entry, const char *name)
{
    for (int i = 0; i < entry->n_losses; i++) {
        if (strcmp(entry->losses[i], name) == 0) {
            return true;
        }
    }
    return entry->loss && strcmp(entry->loss, name) == 0;
}

int xv_entry_losses(const XvEntry *entry)
{
    if (!entry->loss) {
        return 0;
    }
    for (int i = 0; i < entry->n_losses; i++) {
        if (strcmp(entry->losses[i], entry->loss) == 0) {
            return entry->n_losses;
        }
    }
    return entry->n_losses + 1;
}

const char *xv_entry_loss(const XvEntry *entry, int i)
{
    return i < entry->n_losses ? entry->losses[i] : entry->loss;
}

bool xv_meters_create(XvMeters *meters, const XvProgram *program, XvError *error)
{
    *meters = (XvMeters){.first = calloc((size_t)program->n_entries + 1, sizeof *meters->first)};
    if (!meters->first) {
        return xv_fail(error, "no memory");
    }
    for (int e = 0; e < program->n_entries; e++) {
        meters->first[e + 1] = meters->first[e] + xv_entry_losses(&program->entries[e]);
    }
    meters->n_meters = meters->first[program->n_entries];
    meters->meters = calloc((size_t)meters->n_meters + 1, sizeof *meters->meters);
    if (!meters->meters) {
        xv_meters_free(meters);
        return xv_fail(error, "no memory");
    }
    const XvEntry *main_entry = &program->entries[program->n_entries - 1];
    for (int e = 0; e < program->n_entries; e++) {
        const XvEntry *entry = &program->entries[e];
        for (int i = 0; i < xv_entry_losses(entry); i++) {
            const char *name = xv_entry_loss(entry, i);
            bool is_shared = entry != main_entry && has_loss(main_entry, name);
            XvMeter *meter = &meters->meters[meters->first[e] + i];
            snprintf(meter->name, sizeof meter->name, "%s%s%s", is_shared ? entry->name : "",
                     is_shared ? "_" : "", name);
        }
    }
    return true;
}

void xv_meters_free(XvMeters *meters)
{
    free(meters->meters);
    free(meters->first);
    *meters = (XvMeters){0};
}

void xv_meter_add(XvMeter *meter, double value)
{
    meter->sum += value;
    meter->count++;
    meter->last = value;
}

void xv_meters_reset(XvMeters *meters)
{
    for (int i = 0; i < meters->n_meters; i++) {
        meters->meters[i].sum = 0.0;
        meters->meters[i].count = 0;
    }
}

void xv_meters_to_json(const XvMeters *meters, const char *prefix, cJSON *json)
{
    for (int i = 0; i < meters->n_meters; i++) {
        const XvMeter *meter = &meters->meters[i];
        if (meter->count > 0) {
            char key[128];
            snprintf(key, sizeof key, "%s%s", prefix, meter->name);
            cJSON_AddNumberToObject(json, key, meter->sum / (double)meter->count);
        }
    }
}
