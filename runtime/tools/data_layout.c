// The layouts that the readers of dataset/ expect; see data_layout.h.
#include "runtime/tools/data_layout.h"

#include "runtime/data/json_line.h"

#include <stdio.h>
#include <string.h>

#define NUMBER_ID(name)              \
    {                                \
        name, XV_FIELD_NUMBER, false \
    }

static const XvLayout LAYOUTS[] = {
    {"image_text",
     "pre-training pairs",
     false,
     {{NULL, XV_FIELD_PICTURE, false}, {"caption", XV_FIELD_CAPTIONS, false}, {0}}},
    {"regions",
     "pre-training regions",
     false,
     {{NULL, XV_FIELD_PICTURE, false},
      {"caption", XV_FIELD_CAPTIONS, true},
      {"elems", XV_FIELD_ELEMENTS, false},
      {0}}},
    {"retrieval",
     "retrieval or captioning",
     false,
     {{"image", XV_FIELD_PICTURE, false}, {"caption", XV_FIELD_CAPTIONS, false}, {0}}},
    {"captions",
     "captioning",
     false,
     {{"image", XV_FIELD_PICTURE, false}, {"caption", XV_FIELD_CAPTIONS, true}, {0}}},
    {"vqa",
     "questions",
     false,
     {{"image", XV_FIELD_PICTURE, false},
      {"question", XV_FIELD_QUESTION, false},
      {"question_id", XV_FIELD_ID, true},
      {"answer", XV_FIELD_ANSWERS, true},
      {0}}},
    {"nlvr",
     "statements about two pictures",
     false,
     {{"images", XV_FIELD_PICTURES, false},
      {"sentence", XV_FIELD_CAPTIONS, false},
      {"label", XV_FIELD_LABEL, false},
      {0}}},
    {"grounding_bbox",
     "expressions with boxes",
     true,
     {{"image", XV_FIELD_PICTURE, false},
      {"text", XV_FIELD_CAPTIONS, false},
      NUMBER_ID("ref_id"),
      {"bbox", XV_FIELD_REFERENCE, false},
      {0}}},
    {"grounding_weak",
     "expressions",
     true,
     {{"image", XV_FIELD_PICTURE, false}, {"text", XV_FIELD_CAPTIONS, false}, NUMBER_ID("ref_id"), {0}}},
};

enum { N_LAYOUTS = sizeof LAYOUTS / sizeof *LAYOUTS };

const XvLayout *xv_layout_find(const char *kind)
{
    static const char *const SAME[][2] = {{"nlvr_pretrain", "image_text"},
                                          {"caption_pretrain", "image_text"},
                                          {"grounding_bbox_pretrain", "regions"},
                                          {"self_critical", "captions"}};
    for (size_t i = 0; i < sizeof SAME / sizeof *SAME; i++) {
        kind = strcmp(kind, SAME[i][0]) == 0 ? SAME[i][1] : kind;
    }
    for (int i = 0; i < N_LAYOUTS; i++) {
        if (strcmp(kind, LAYOUTS[i].kind) == 0) {
            return &LAYOUTS[i];
        }
    }
    return NULL;
}

const XvLayout *xv_layout_guess(const cJSON *record)
{
    static const char *const MARKS[][2] = {
        {"elems", "regions"},          {"sentence", "nlvr"},       {"question", "vqa"},
        {"bbox", "grounding_bbox"},    {"text", "grounding_weak"}, {"binary", "image_text"},
        {"image_rpath", "image_text"}, {"caption", "retrieval"},   {"image", "captions"}};
    for (size_t i = 0; i < sizeof MARKS / sizeof *MARKS; i++) {
        if (xv_json_member(record, MARKS[i][0])) {
            return xv_layout_find(MARKS[i][1]);
        }
    }
    return NULL;
}

void xv_layout_names(char *out, size_t room)
{
    out[0] = '\0';
    for (int i = 0; i < N_LAYOUTS; i++) {
        size_t used = strlen(out);
        snprintf(out + used, room - used, "%s%s", i ? ", " : "", LAYOUTS[i].kind);
    }
}
