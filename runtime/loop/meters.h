// Sums of losses between two lines of the log.
#pragma once

#include "runtime/base/error.h"
#include "runtime/program.h"

#include <cjson/cJSON.h>
#include <stdio.h>

typedef struct XvMeter {
    char
        name[96];  // "loss_itc"; "regions_loss_itc" for an entry that is not the main one and shares the name
    double sum;
    int64_t count;
    double last;
} XvMeter;

// One meter per loss term and one for the minimised sum of each entry, where that is not itself a term.
typedef struct XvMeters {
    XvMeter *meters;
    int n_meters;
    int *first;  // per entry; n_entries + 1 of them
} XvMeters;

bool xv_meters_create(XvMeters *meters, const XvProgram *program, XvError *error);
void xv_meters_free(XvMeters *meters);

// The name of the output behind meter `i` of an entry, i from 0 to xv_entry_losses - 1: the terms, then the sum; an
// evaluation entry has none.
int xv_entry_losses(const XvEntry *entry);
const char *xv_entry_loss(const XvEntry *entry, int i);

void xv_meter_add(XvMeter *meter, double value);
void xv_meters_reset(XvMeters *meters);  // sums and counts; the last values stay

// Adds PREFIX + name: mean to a JSON object, for each meter that counted anything.
void xv_meters_to_json(const XvMeters *meters, const char *prefix, cJSON *json);
