// Filling of batches; see loader_batch.h and, for the rules, loader.h.
#include "runtime/data/loader_batch.h"

#include "runtime/base/random.h"
#include "runtime/data/order.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_ATTEMPTS = 1000,
    MAX_STREAM_ATTEMPTS = 64,  // the lines up to there are kept in memory
};

// Purposes of random numbers; each kind of data has its own.
typedef enum Purpose { PURPOSE_ORDER, PURPOSE_SAMPLE, PURPOSE_COLLATE, PURPOSE_EVAL, PURPOSE_COUNT } Purpose;

static uint64_t key_of(const XvBatchPlan *plan, Purpose purpose)
{
    uint64_t kind = (uint64_t)xv_loader_kind_number(plan->binding.kind);
    return xv_key(xv_key(plan->options.seed, 0xDA7A), kind * PURPOSE_COUNT + (uint64_t)purpose);
}

// ---- memory

static bool init_tensors(const XvBatchPlan *plan, XvBatchBuffer *buffer)
{
    for (int i = 0; i < plan->binding.n_inputs; i++) {
        const XvValue *input = &plan->binding.inputs[i];
        XvTensor *tensor = &buffer->tensors[i];
        *tensor = (XvTensor){.name = input->name, .dtype = input->dtype, .rank = input->rank};
        memcpy(tensor->shape, input->shape, sizeof tensor->shape);
        size_t bytes = (xv_tensor_bytes(tensor) + 63) / 64 * 64;
        tensor->data = aligned_alloc(64, bytes);
        if (!tensor->data) {
            return false;
        }
        memset(tensor->data, 0, bytes);
    }
    return true;
}

// Row of the image tensor; the pictures of number `picture` of all slots stand together.
static float *image_row(const XvBatchPlan *plan, const XvBatchBuffer *buffer, int picture, int row)
{
    if (plan->binding.image_input < 0) {
        return NULL;
    }
    size_t res = (size_t)plan->options.image_res;
    size_t at = (size_t)picture * (size_t)plan->n_slots + (size_t)row;
    return (float *)buffer->tensors[plan->binding.image_input].data + at * 3 * res * res;
}

static bool wants(const XvBatchPlan *plan, unsigned group)
{
    return (plan->binding.wants & group) != 0;
}

static void init_slots(const XvBatchPlan *plan, XvBatchBuffer *buffer)
{
    size_t text_size = (size_t)xv_sample_text_size(&plan->options);
    size_t answers_size = (size_t)xv_sample_answers_size(&plan->options);
    int n_samples = plan->n_slots * plan->samples_per_slot;
    for (int i = 0; i < n_samples; i++) {
        buffer->samples[i].text = buffer->texts + (size_t)i * text_size;
        buffer->samples[i].answers = buffer->answers ? buffer->answers + (size_t)i * answers_size : NULL;
    }
    xv_sample_empty_text(&plan->sampler, buffer->texts + (size_t)n_samples * text_size);
    for (int i = 0; i < plan->n_slots; i++) {
        buffer->slots[i].yield.samples = buffer->samples + i * plan->samples_per_slot;
        for (int picture = 0; picture < plan->binding.kind->pictures; picture++) {
            buffer->slots[i].yield.images[picture] = image_row(plan, buffer, picture, i);
        }
    }
}

// The prompt is the same in every row of every batch.
static void init_prompt(const XvBatchPlan *plan, XvBatchBuffer *buffer)
{
    size_t bytes = (size_t)plan->options.prompt_tokens * sizeof(int32_t);
    for (int i = 0; i < plan->binding.n_inputs; i++) {
        for (int b = 0; plan->binding.roles[i] == XV_ROLE_PROMPT && b < plan->binding.batch_size; b++) {
            memcpy((char *)buffer->tensors[i].data + (size_t)b * bytes, plan->prompt, bytes);
        }
    }
}

static bool init_answers(const XvBatchPlan *plan, XvBatchBuffer *buffer, size_t n_samples)
{
    if (!wants(plan, XV_FILLS_ANSWERS)) {
        return true;
    }
    size_t size = (size_t)xv_sample_answers_size(&plan->options);
    buffer->answers = calloc(n_samples * size + 1, sizeof *buffer->answers);
    buffer->answer_rows = calloc(n_samples * XV_MAX_ANSWERS, sizeof *buffer->answer_rows);
    return buffer->answers && buffer->answer_rows;
}

bool xv_batch_buffer_init(const XvBatchPlan *plan, XvBatchBuffer *buffer, XvError *error)
{
    size_t n_samples = (size_t)plan->n_slots * (size_t)plan->samples_per_slot;
    size_t B = (size_t)plan->binding.batch_size;
    *buffer = (XvBatchBuffer){0};
    buffer->slots = calloc((size_t)plan->n_slots, sizeof *buffer->slots);
    buffer->samples = calloc(n_samples, sizeof *buffer->samples);
    buffer->texts =
        calloc((n_samples + 1) * (size_t)xv_sample_text_size(&plan->options), sizeof *buffer->texts);
    buffer->flat = calloc(n_samples + 1, sizeof *buffer->flat);
    buffer->flat_slot = calloc(n_samples + 1, sizeof *buffer->flat_slot);
    buffer->order = calloc(n_samples + 1, sizeof *buffer->order);
    buffer->chosen = calloc(B, sizeof *buffer->chosen);
    buffer->records = calloc(B, sizeof *buffer->records);
    buffer->references = calloc(B * XV_REFERENCES, sizeof *buffer->references);
    if (!buffer->slots || !buffer->samples || !buffer->texts || !buffer->flat || !buffer->flat_slot ||
        !buffer->order || !buffer->chosen || !buffer->records || !buffer->references ||
        !init_answers(plan, buffer, n_samples) || !init_tensors(plan, buffer)) {
        xv_batch_buffer_free(plan, buffer);
        return xv_fail(error, "no memory for a batch of %zu", B);
    }
    init_slots(plan, buffer);
    init_prompt(plan, buffer);
    return true;
}

static void forget_skips(const XvBatchPlan *plan, XvBatchBuffer *buffer)
{
    for (int i = 0; buffer->slots && i < plan->n_slots; i++) {
        XvSlot *slot = &buffer->slots[i];
        for (int k = 0; k < slot->n_skips; k++) {
            free(slot->skips[k].reason);
        }
        slot->n_skips = 0;
    }
}

void xv_batch_buffer_free(const XvBatchPlan *plan, XvBatchBuffer *buffer)
{
    forget_skips(plan, buffer);
    for (int i = 0; buffer->slots && i < plan->n_slots; i++) {
        free(buffer->slots[i].skips);
    }
    for (int i = 0; i < XV_BATCH_TENSORS; i++) {
        free(buffer->tensors[i].data);
    }
    for (int i = 0; buffer->samples && i < plan->n_slots * plan->samples_per_slot; i++) {
        for (int k = 0; k < XV_REFERENCES; k++) {
            free(buffer->samples[i].references[k]);
        }
    }
    free(buffer->slots);
    free(buffer->samples);
    free(buffer->answers);
    free(buffer->answer_rows);
    free(buffer->references);
    free(buffer->texts);
    free(buffer->flat);
    free(buffer->flat_slot);
    free(buffer->order);
    free(buffer->chosen);
    free(buffer->records);
    *buffer = (XvBatchBuffer){0};
}

// ---- slots

void xv_batch_begin(const XvBatchPlan *plan, XvBatchBuffer *buffer, int64_t index)
{
    forget_skips(plan, buffer);
    buffer->index = index;
    for (int i = 0; i < plan->n_slots; i++) {
        buffer->slots[i].is_filled = false;
    }
}

static bool note_skip(XvSlot *slot, int64_t record, const XvError *reason)
{
    if (slot->n_skips == slot->skips_room) {
        int room = 2 * slot->skips_room + 4;
        XvSkip *skips = realloc(slot->skips, (size_t)room * sizeof *skips);
        if (!skips) {
            return false;
        }
        slot->skips = skips;
        slot->skips_room = room;
    }
    char *copy = strdup(reason->text);
    if (copy) {
        slot->skips[slot->n_skips++] = (XvSkip){record, copy};
    }
    return copy != NULL;
}

static int64_t position_of(const XvBatchPlan *plan, const XvBatchBuffer *buffer, int slot)
{
    const XvLoaderOptions *options = &plan->options;
    if (options->by_batch) {
        return (buffer->index * options->world + options->rank) * plan->n_slots + slot;
    }
    int64_t at = buffer->index * plan->n_slots + slot;
    return plan->sampler.stream ? at : at * options->world + options->rank;
}

// Line and key in a stream. The key belongs to the line, wherever a run was begun.
static bool pick_line(const XvBatchPlan *plan, int64_t position, int attempt, XvPick *out, XvError *error)
{
    XvLineStream *stream = plan->sampler.stream;
    out->item = position + (int64_t)attempt * plan->n_slots;
    int64_t place = xv_line_stream_position(stream, out->item);
    if (place < 0) {
        XvBytes none = {0};
        const char *path;
        xv_line_stream_read(stream, out->item, &none, &path, error);  // for the reason
        xv_bytes_free(&none);
        return false;
    }
    out->key = xv_key(xv_key(key_of(plan, PURPOSE_SAMPLE), (uint64_t)place), (uint64_t)attempt);
    return true;
}

// The record that a slot tries in its attempt-th attempt, and the key of everything random about it.
static void pick(const XvBatchPlan *plan, int64_t position, int attempt, XvPick *out)
{
    if (plan->options.mode == XV_LOADER_EVAL) {
        out->item = position;
        out->key = xv_key(key_of(plan, PURPOSE_EVAL), (uint64_t)position);
        return;
    }
    int64_t at = position + (int64_t)attempt * plan->n_slots * plan->options.world;
    uint64_t order_key = xv_key(key_of(plan, PURPOSE_ORDER), (uint64_t)(at / plan->n_items));
    out->item = xv_permute(order_key, plan->n_items, at % plan->n_items);
    out->key = xv_key(xv_key(key_of(plan, PURPOSE_SAMPLE), (uint64_t)position), (uint64_t)attempt);
}

// What a message calls the record: its number, or its position in the stream.
static int64_t name_of(const XvBatchPlan *plan, int64_t item)
{
    return plan->sampler.stream ? xv_line_stream_position(plan->sampler.stream, item)
                                : xv_survey_record(plan->sampler.survey, item);
}

void xv_batch_place(const XvBatchPlan *plan, int64_t record, char *out, size_t room)
{
    if (plan->sampler.stream) {
        xv_line_stream_place(plan->sampler.stream, record, out, room);
        return;
    }
    XvRecordPlace place = xv_records_place(plan->sampler.files, record);
    int length = snprintf(out, room, "%s:%lld", place.path, (long long)place.line);
    if (place.column > 1 && length > 0 && (size_t)length < room) {
        snprintf(out + length, room - (size_t)length, ":%lld", (long long)place.column);
    }
}

bool xv_batch_fill_slot(const XvBatchPlan *plan, XvBatchBuffer *buffer, int slot_index,
                        XvWorkspace *workspace, XvError *error)
{
    XvSlot *slot = &buffer->slots[slot_index];
    int64_t position = position_of(plan, buffer, slot_index);
    int attempts = plan->sampler.stream ? MAX_STREAM_ATTEMPTS : MAX_ATTEMPTS;
    bool is_eval = plan->options.mode == XV_LOADER_EVAL;
    XvPick picked = {0};
    XvError reason = {""};
    for (int attempt = 0; attempt < attempts; attempt++) {
        if (is_eval && (attempt > 0 || position >= plan->n_items)) {
            return true;  // the slot stays empty
        }
        if (!plan->sampler.stream) {
            pick(plan, position, attempt, &picked);
        } else if (!pick_line(plan, position, attempt, &picked, error)) {
            return false;
        }
        if (xv_sample_make(&plan->sampler, workspace, picked, &slot->yield, &reason)) {
            slot->item = picked.item;
            slot->is_filled = true;
            return true;
        }
        if (!note_skip(slot, name_of(plan, picked.item), &reason)) {
            return xv_fail(error, "no memory to note a broken record");
        }
    }
    char place[1100];
    xv_batch_place(plan, name_of(plan, picked.item), place, sizeof place);
    return xv_fail(error, "%d records in a row cannot be used; the last one is %.300s: %.500s", attempts,
                   place, reason.text);
}

// ---- the whole batch

// Gives every filled slot its row in `rows`; returns how many there are.
static int number_images(const XvBatchPlan *plan, const XvBatchBuffer *buffer, int32_t *rows)
{
    int filled = 0;
    for (int i = 0; i < plan->n_slots; i++) {
        rows[i] = buffer->slots[i].is_filled ? filled++ : 0;
    }
    return filled;
}

// Moves the pictures of filled slots to the front and repeats the first one behind them.
static void gather_images(const XvBatchPlan *plan, XvBatchBuffer *buffer, const int32_t *rows, int filled)
{
    size_t bytes = (size_t)plan->options.image_res * (size_t)plan->options.image_res * 3 * sizeof(float);
    int pictures = plan->binding.kind->pictures;
    int n_rows = (int)buffer->tensors[plan->binding.image_input].shape[0] / pictures;
    for (int picture = 0; picture < pictures; picture++) {
        for (int i = 0; i < plan->n_slots; i++) {
            if (buffer->slots[i].is_filled && rows[i] != i) {
                memcpy(image_row(plan, buffer, picture, rows[i]), image_row(plan, buffer, picture, i), bytes);
            }
        }
        for (int row = filled; row < n_rows; row++) {
            if (filled > 0) {
                memcpy(image_row(plan, buffer, picture, row), image_row(plan, buffer, picture, 0), bytes);
            } else {
                memset(image_row(plan, buffer, picture, row), 0, bytes);
            }
        }
    }
}

// Lists the samples of all slots; returns how many.
static int gather_samples(const XvBatchPlan *plan, XvBatchBuffer *buffer)
{
    int count = 0;
    for (int i = 0; i < plan->n_slots; i++) {
        const XvSlot *slot = &buffer->slots[i];
        for (int k = 0; slot->is_filled && k < slot->yield.n_samples; k++) {
            buffer->flat_slot[count] = i;
            buffer->flat[count++] = &slot->yield.samples[k];
        }
    }
    return count;
}

// Decides which samples become the rows of the batch.
static void choose_rows(const XvBatchPlan *plan, XvBatchBuffer *buffer, int n_samples)
{
    int B = plan->binding.batch_size;
    if (plan->binding.kind->is_regions && plan->options.mode == XV_LOADER_TRAIN) {
        int64_t name = plan->sampler.stream ? name_of(plan, buffer->index * plan->n_slots) : buffer->index;
        uint64_t key = xv_key(key_of(plan, PURPOSE_COLLATE), (uint64_t)name);
        XvStream stream = xv_stream(xv_key(key, (uint64_t)plan->options.rank));
        XvDraws draws = xv_stream_draws(&stream);
        xv_region_collate(n_samples, B, &draws, buffer->order, buffer->chosen);
        buffer->valid = B;
        return;
    }
    buffer->valid = n_samples < B ? n_samples : B;
    for (int i = 0; i < B; i++) {
        buffer->chosen[i] = i < buffer->valid ? i : 0;
    }
}

static void write_text(const XvBatchPlan *plan, XvRole role, const XvSample *sample, int32_t *row)
{
    int T = plan->options.max_tokens, M = plan->options.mask.max;
    int at = (int)role - (int)XV_ROLE_TEXT_IDS;  // tensors of T, T, T, M, M
    int offset = at <= 3 ? at * T : 3 * T + M;
    memcpy(row, sample->text + offset, (size_t)(at < 3 ? T : M) * sizeof *row);
}

static void write_row(const XvBatchPlan *plan, XvRole role, const XvSample *sample, void *row)
{
    switch (role) {
    case XV_ROLE_IMAGE_ATTS:
        xv_region_atts(&sample->region, plan->options.image_res, plan->options.patch_size, row);
        break;
    case XV_ROLE_TARGET_BBOX: xv_region_target(&sample->region, plan->options.image_res, row); break;
    case XV_ROLE_IS_IMAGE: *(int32_t *)row = sample->region.is_image; break;
    case XV_ROLE_LABEL: *(int32_t *)row = sample->label; break;
    case XV_ROLE_PROMPT: break;
    default: write_text(plan, role, sample, row); break;
    }
}

static void write_tensor(const XvBatchPlan *plan, XvBatchBuffer *buffer, int input, const int32_t *image_rows)
{
    XvRole role = plan->binding.roles[input];
    XvTensor *tensor = &buffer->tensors[input];
    int64_t width = xv_tensor_count(tensor) / plan->binding.batch_size;
    for (int b = 0; b < plan->binding.batch_size; b++) {
        void *row = (char *)tensor->data + (size_t)(b * width) * xv_dtype_size(tensor->dtype);
        if (role == XV_ROLE_GROUP) {
            *(int32_t *)row = image_rows[buffer->flat_slot[buffer->chosen[b]]];
        } else {
            write_row(plan, role, buffer->flat[buffer->chosen[b]], row);
        }
    }
}

static void list_references(const XvBatchPlan *plan, XvBatchBuffer *buffer)
{
    for (int b = 0; b < plan->binding.batch_size; b++) {
        for (int k = 0; k < XV_REFERENCES; k++) {
            buffer->references[b * XV_REFERENCES + k] = buffer->flat[buffer->chosen[b]]->references[k];
        }
    }
}

static int64_t record_of(const XvBatchPlan *plan, const XvBatchBuffer *buffer, int b)
{
    return name_of(plan, buffer->slots[buffer->flat_slot[buffer->chosen[b]]].item);
}

void xv_batch_finish(const XvBatchPlan *plan, XvBatchBuffer *buffer)
{
    XvSample empty = {
        .region = {.is_image = true, .w = plan->options.image_res, .h = plan->options.image_res}};
    int n_samples = gather_samples(plan, buffer);
    if (n_samples == 0) {  // evaluation, a rank without records: rows that attend to the start token alone
        size_t n_texts = (size_t)plan->n_slots * (size_t)plan->samples_per_slot;
        empty.text = buffer->texts + n_texts * (size_t)xv_sample_text_size(&plan->options);
        buffer->flat[0] = &empty;
        buffer->flat_slot[0] = 0;
    }
    choose_rows(plan, buffer, n_samples);

    int32_t *image_rows = buffer->order;  // free again, and at least as long as the slots are many
    int filled = number_images(plan, buffer, image_rows);
    if (plan->binding.image_input >= 0) {
        gather_images(plan, buffer, image_rows, filled);
    }
    for (int i = 0; i < plan->binding.n_inputs; i++) {
        if (plan->binding.roles[i] != XV_ROLE_IMAGE && plan->binding.roles[i] < XV_ROLE_ANSWERS_EACH) {
            write_tensor(plan, buffer, i, image_rows);
        }
    }
    if (wants(plan, XV_FILLS_ANSWERS)) {
        xv_batch_answers(plan, buffer);
    }
    list_references(plan, buffer);
    for (int b = 0; b < plan->binding.batch_size; b++) {
        buffer->records[b] = n_samples > 0 ? record_of(plan, buffer, b) : -1;
    }
}
