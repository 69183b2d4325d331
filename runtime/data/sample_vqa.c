// Samples of visual question answering: a question, and its different answers with their weights
// (dataset/vqa_dataset.py).
#include "runtime/data/json_line.h"
#include "runtime/data/sample_job.h"

#include <string.h>

// Answers of VG and GQA are single and weigh a half; those of VQA weigh as much as annotators gave them.
static double weight_of(const XvJob *job, int n_given)
{
    const cJSON *set = xv_json_member(job->record, "dataset");
    bool is_vqa = !cJSON_IsString(set) || strcmp(set->valuestring, "vqa") == 0;
    return is_vqa ? 1.0 / n_given : 0.5;
}

typedef struct Answers {
    const char *texts[XV_MAX_ANSWERS];
    double weights[XV_MAX_ANSWERS];
    int count;
} Answers;

static bool add_answer(const XvJob *job, Answers *answers, const cJSON *item, double weight)
{
    if (!cJSON_IsString(item)) {
        return xv_fail(job->error, "field \"answer\" is neither a string nor a list of strings");
    }
    int at = 0;
    while (at < answers->count && strcmp(answers->texts[at], item->valuestring) != 0) {
        at++;
    }
    if (at == XV_MAX_ANSWERS) {
        return xv_fail(job->error, "field \"answer\" has more than %d different answers", XV_MAX_ANSWERS);
    }
    if (at == answers->count) {
        answers->texts[answers->count++] = item->valuestring;
        answers->weights[at] = 0;
    }
    answers->weights[at] += weight;
    return true;
}

static bool read_answers(const XvJob *job, Answers *answers)
{
    const cJSON *value = xv_json_member(job->record, "answer");
    *answers = (Answers){.count = 0};
    if (!value && !xv_job_is_training(job)) {
        return true;  // the test records have none
    }
    if (!cJSON_IsArray(value)) {
        return value ? add_answer(job, answers, value, weight_of(job, 1))
                     : xv_fail(job->error, "no field \"answer\"");
    }
    int count = cJSON_GetArraySize(value);
    for (const cJSON *item = value->child; item; item = item->next) {
        if (!add_answer(job, answers, item, weight_of(job, count))) {
            return false;
        }
    }
    return count > 0 || xv_fail(job->error, "field \"answer\" is an empty list");
}

static bool make_answers(const XvJob *job, const Answers *answers, XvSample *sample)
{
    sample->n_answers = answers->count;
    for (int i = 0; i < answers->count; i++) {
        sample->weights[i] = (float)answers->weights[i];
        int32_t *row = sample->answers + (size_t)i * 2 * (size_t)job->options->answer_tokens;
        if (!xv_job_answer(job, answers->texts[i], row)) {
            return false;
        }
    }
    return true;
}

static bool says_side(const char *question, const Answers *answers)
{
    bool found = xv_says_side(question);
    for (int i = 0; i < answers->count && !found; i++) {
        found = xv_says_side(answers->texts[i]);
    }
    return found;
}

bool xv_make_vqa(XvJob *job, XvYield *yield)
{
    Answers answers;
    XvSample *sample = &yield->samples[0];
    const char *question = xv_job_string(job, "question");
    yield->n_samples = 1;
    if (!question || !read_answers(job, &answers)) {
        return false;
    }
    if (xv_job_wants(job, XV_FILLS_QUESTION) &&
        !xv_job_text(job, question, &(XvTextRule){.is_question = true}, sample->text)) {
        return false;
    }
    sample->n_answers = 0;
    if (xv_job_wants(job, XV_FILLS_ANSWERS) && !make_answers(job, &answers, sample)) {
        return false;
    }
    const char *path = yield->images[0] ? xv_job_string(job, "image") : NULL;
    return !yield->images[0] ||
           (path && xv_job_picture(job, path, !says_side(question, &answers), yield->images[0]));
}

// A record of the answer list is a string.
bool xv_make_answer(XvJob *job, XvYield *yield)
{
    yield->n_samples = 1;
    Answers answers = {.count = 0};
    return add_answer(job, &answers, job->record, 1.0) && make_answers(job, &answers, &yield->samples[0]);
}
