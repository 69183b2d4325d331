// What a kind of data must know of all its records before the first batch: which of them show the same picture, and
// which of them hold several texts that are samples of their own.
#pragma once

#include "runtime/data/loader_kind.h"
#include "runtime/data/records.h"

#include <stdint.h>

typedef struct XvSurvey XvSurvey;

typedef struct XvSurveyOptions {
    XvSurveyNeed need;
    bool is_split;  // an item per caption instead of one per record; its label is the record's number
} XvSurveyOptions;

// Reads every record once. Broken records are items as well: they are refused, by name, when their turn comes.
// NULL with a message without memory, or when a file cannot be read.
XvSurvey *xv_survey_open(const XvRecordFiles *files, const XvSurveyOptions *options, XvError *error);
void xv_survey_close(XvSurvey *survey);

// Without a survey (NULL) the items are the records.
int64_t xv_survey_items(const XvSurvey *survey, const XvRecordFiles *files);
int64_t xv_survey_record(const XvSurvey *survey, int64_t item);

// Number of the picture, equal for equal pictures, in the order of their first record; the item without a survey.
int32_t xv_survey_label(const XvSurvey *survey, int64_t item);

// Which caption of its record the item is; -1 when items are not split.
int xv_survey_text(const XvSurvey *survey, int64_t item);

// The records that show the picture of an item of XV_SURVEY_GROUP; returns how many.
int xv_survey_members(const XvSurvey *survey, int64_t item, const int64_t **records);
