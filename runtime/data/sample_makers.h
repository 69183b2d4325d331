// The functions that make samples, one per layout of records (loader_kind.c); each fills the yield from the job's
// record or fails with the field that is wrong.
#pragma once

#include <stdbool.h>

struct XvJob;
struct XvYield;

bool xv_make_pair(struct XvJob *job, struct XvYield *yield);  // sample_pretrain.c
bool xv_make_regions(struct XvJob *job, struct XvYield *yield);
bool xv_make_retrieval(struct XvJob *job, struct XvYield *yield);  // sample_tasks.c
bool xv_make_nlvr(struct XvJob *job, struct XvYield *yield);
bool xv_make_grounding_weak(struct XvJob *job, struct XvYield *yield);
bool xv_make_grounding_box(struct XvJob *job, struct XvYield *yield);  // sample_box.c
bool xv_make_vqa(struct XvJob *job, struct XvYield *yield);            // sample_vqa.c
bool xv_make_answer(struct XvJob *job, struct XvYield *yield);
bool xv_make_captioning(struct XvJob *job, struct XvYield *yield);  // sample_captions.c
bool xv_make_scst(struct XvJob *job, struct XvYield *yield);
