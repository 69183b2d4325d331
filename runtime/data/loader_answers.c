// The answers of a batch of questions, one after the other in rows of their own; see loader.h.
#include "runtime/data/loader_batch.h"

#include <string.h>

// Lists the answers of the questions that count; returns how many.
static int list_answers(const XvBatchPlan *plan, XvBatchBuffer *buffer)
{
    int count = 0;
    for (int b = 0; b < buffer->valid; b++) {
        const XvSample *sample = buffer->flat[buffer->chosen[b]];
        for (int i = 0; i < sample->n_answers; i++) {
            const int32_t *ids = sample->answers + (size_t)i * 2 * (size_t)plan->options.answer_tokens;
            buffer->answer_rows[count++] = (XvAnswerRow){b, sample->weights[i], ids};
        }
    }
    return count;
}

// Drops the row that weighs least, the last of several.
static int drop_lightest(XvAnswerRow *rows, int count)
{
    int lightest = 0;
    for (int i = 1; i < count; i++) {
        lightest = rows[i].weight <= rows[lightest].weight ? i : lightest;
    }
    memmove(rows + lightest, rows + lightest + 1, (size_t)(count - lightest - 1) * sizeof *rows);
    return count - 1;
}

static void write_row(const XvBatchPlan *plan, XvRole role, const XvAnswerRow *row, void *out)
{
    size_t L = (size_t)plan->options.answer_tokens;
    switch (role) {
    case XV_ROLE_ANSWER_IDS: memcpy(out, row->ids, L * sizeof *row->ids); break;
    case XV_ROLE_ANSWER_ATTS: memcpy(out, row->ids + L, L * sizeof *row->ids); break;
    case XV_ROLE_WEIGHTS: *(float *)out = row->weight; break;
    default: *(int32_t *)out = row->question; break;
    }
}

static void write_counts(const XvBatchPlan *plan, const XvBatchBuffer *buffer, int count, int32_t *out)
{
    memset(out, 0, (size_t)plan->binding.batch_size * sizeof *out);
    for (int i = 0; i < count; i++) {
        out[buffer->answer_rows[i].question]++;
    }
}

void xv_batch_answers(const XvBatchPlan *plan, XvBatchBuffer *buffer)
{
    int32_t blank[2 * XV_MAX_TOKENS];
    int L = plan->options.answer_tokens, A = plan->binding.answer_rows;
    xv_sample_empty_answer(&plan->sampler, blank, blank + L);
    const XvAnswerRow rest = {0, 0, blank};
    int count = list_answers(plan, buffer);
    while (count > A && A > 0) {
        count = drop_lightest(buffer->answer_rows, count);
    }
    for (int i = 0; i < plan->binding.n_inputs; i++) {
        XvRole role = plan->binding.roles[i];
        XvTensor *tensor = &buffer->tensors[i];
        if (role == XV_ROLE_ANSWERS_EACH) {
            write_counts(plan, buffer, count, tensor->data);
        }
        size_t bytes = role == XV_ROLE_ANSWER_IDS || role == XV_ROLE_ANSWER_ATTS ? (size_t)L * sizeof(int32_t)
                                                                                 : sizeof(int32_t);
        for (int row = 0; role > XV_ROLE_ANSWERS_EACH && row < A; row++) {
            const XvAnswerRow *answer = row < count ? &buffer->answer_rows[row] : &rest;
            write_row(plan, role, answer, (char *)tensor->data + (size_t)row * bytes);
        }
    }
}
