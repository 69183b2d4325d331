// The entry points of a decoder as something that scores tokens; see decoding.h. The compiler has checked that the
// tables fit each other (XvDecoder in runtime/program.h).
#include "runtime/decode/decoding.h"

#include <stdlib.h>
#include <string.h>

// Names that XvDecoder gives a meaning.
#define PROMPT "prompt_ids"
#define TOKENS "tokens"
#define POSITION "position"
#define LOGITS "logits"

enum { ROW_AXIS = 1, PLACE_AXIS = 3 };

static const XvGraph *prefill_graph(const XvDecoding *decoding)
{
    return &decoding->host->program->entries[decoding->decoder->prefill].observe;
}

static const XvGraph *step_graph(const XvDecoding *decoding)
{
    return &decoding->host->program->entries[decoding->decoder->step].observe;
}

static char *value_data(const XvHost *host, const XvValue *value)
{
    return (char *)host->arena.data + value->offset;
}

// Caches ------------------------------------------------------------------------------------------------------------

// A cache [layers, rows, heads, places, width]: blocks of `places` places, one for every head of every row.
typedef struct Cache {
    char *data;
    int64_t layers, rows, heads, places;
    size_t place_bytes;  // of one place of one head
} Cache;

static Cache cache_of(const XvHost *host, const XvValue *value)
{
    return (Cache){.data = value_data(host, value),
                   .layers = value->shape[0],
                   .rows = value->shape[ROW_AXIS],
                   .heads = value->shape[2],
                   .places = value->shape[PLACE_AXIS],
                   .place_bytes = (size_t)value->shape[4] * 4};
}

static char *cache_block(const Cache *cache, int64_t layer, int64_t row, int64_t head)
{
    int64_t block = (layer * cache->rows + row) * cache->heads + head;
    return cache->data + (size_t)(block * cache->places) * cache->place_bytes;
}

// Copies all places of `from` to those of `to` that begin at `place`; every row of `from` goes to `copies` rows.
static void copy_places(const Cache *to, int64_t place, const Cache *from, int64_t copies)
{
    for (int64_t layer = 0; layer < to->layers; layer++) {
        for (int64_t row = 0; row < to->rows; row++) {
            for (int64_t head = 0; head < to->heads; head++) {
                memcpy(cache_block(to, layer, row, head) + (size_t)place * to->place_bytes,
                       cache_block(from, layer, row / copies, head), (size_t)from->places * to->place_bytes);
            }
        }
    }
}

// Rows of a cache take over those of their parents, which belong to the same item.
static void move_rows(const XvDecoding *decoding, const Cache *cache, const int32_t *parents)
{
    size_t row_bytes = (size_t)(cache->heads * cache->places) * cache->place_bytes;
    int64_t rows = decoding->rows_per_item;
    for (int64_t item = 0; item < decoding->n_items; item++) {
        bool is_moved = false;
        for (int64_t k = 0; k < rows; k++) {
            is_moved |= parents[item * rows + k] != item * rows + k;
        }
        for (int64_t layer = 0; is_moved && layer < cache->layers; layer++) {
            char *own = cache_block(cache, layer, item * rows, 0);
            memcpy(decoding->moved, own, (size_t)rows * row_bytes);
            for (int64_t k = 0; k < rows; k++) {
                int64_t parent = parents[item * rows + k] - item * rows;
                memcpy(own + (size_t)k * row_bytes, decoding->moved + (size_t)parent * row_bytes, row_bytes);
            }
        }
    }
}

// Memory of a step: its inputs but the tokens and their position.
static bool is_memory(const XvValue *input)
{
    return strcmp(input->name, TOKENS) != 0 && strcmp(input->name, POSITION) != 0;
}

// Scoring -----------------------------------------------------------------------------------------------------------

static void take_over(XvDecoding *decoding, const XvValue *input)
{
    const XvValue *first = xv_graph_output(prefill_graph(decoding), input->name);
    char *to = value_data(&decoding->step_host, input);
    if (xv_graph_output(step_graph(decoding), input->name)) {
        memset(to, 0, xv_value_bytes(input));  // places that are not reached yet are masked, not skipped
        Cache cache = cache_of(&decoding->step_host, input);
        Cache from = cache_of(decoding->host, first);
        copy_places(&cache, 0, &from, decoding->rows_per_item);
    } else {
        memcpy(to, value_data(decoding->host, first), xv_value_bytes(input));
    }
}

static const float *logits_of(const XvHost *host, const XvGraph *graph)
{
    return (const float *)(const void *)value_data(host, xv_graph_output(graph, LOGITS));
}

static void run(XvHost *host, const XvProgram *program, int entry)
{
    const XvGraph *graph = &program->entries[entry].observe;
    xv_host_set_draws(host, &program->entries[entry], graph, &(XvDrawMoment){0});
    xv_host_run(host, graph);
}

static const float *start(void *state)
{
    XvDecoding *decoding = state;
    run(decoding->host, decoding->host->program, decoding->decoder->prefill);
    const XvGraph *step = step_graph(decoding);
    for (int i = 0; i < step->n_inputs; i++) {
        if (is_memory(&step->inputs[i])) {
            take_over(decoding, &step->inputs[i]);
        }
    }
    decoding->position = decoding->prompt_length;
    return logits_of(decoding->host, prefill_graph(decoding));
}

static void fill(const XvDecoding *decoding, const char *name, const int32_t *values)
{
    // An input that the graph does not read has no place in the arena.
    const XvValue *value = xv_graph_input(step_graph(decoding), name);
    if (value) {
        memcpy(value_data(&decoding->step_host, value), values, xv_value_bytes(value));
    }
}

static const float *advance(void *state, const int32_t *tokens, const int32_t *parents)
{
    XvDecoding *decoding = state;
    const XvGraph *graph = step_graph(decoding);
    int32_t position = (int32_t)decoding->position;
    for (int i = 0; parents && i < graph->n_inputs; i++) {
        if (is_memory(&graph->inputs[i]) && xv_graph_output(graph, graph->inputs[i].name)) {
            Cache cache = cache_of(&decoding->step_host, &graph->inputs[i]);
            move_rows(decoding, &cache, parents);
        }
    }
    fill(decoding, TOKENS, tokens);
    fill(decoding, POSITION, &position);
    run(&decoding->step_host, decoding->host->program, decoding->decoder->step);
    for (int i = 0; i < graph->n_inputs; i++) {
        const XvValue *added = xv_graph_output(graph, graph->inputs[i].name);
        if (added && is_memory(&graph->inputs[i])) {
            Cache cache = cache_of(&decoding->step_host, &graph->inputs[i]);
            Cache from = cache_of(&decoding->step_host, added);
            copy_places(&cache, decoding->position, &from, 1);
        }
    }
    decoding->position++;
    return logits_of(&decoding->step_host, graph);
}

// Runs --------------------------------------------------------------------------------------------------------------

static int64_t program_rows(const XvProgram *program, const XvDecoder *decoder)
{
    return xv_graph_output(&program->entries[decoder->step].observe, LOGITS)->shape[0];
}

int64_t xv_decoder_sequences(const XvProgram *program, const XvDecoder *decoder)
{
    const XvGraph *prefill = &program->entries[decoder->prefill].observe;
    return decoder->method == XV_DECODE_BEAM ? xv_graph_output(prefill, LOGITS)->shape[0]
                                             : program_rows(program, decoder);
}

bool xv_entry_is_decoders(const XvProgram *program, int entry)
{
    for (int i = 0; i < program->n_decoders; i++) {
        if (program->decoders[i].prefill == entry || program->decoders[i].step == entry) {
            return true;
        }
    }
    return false;
}

// Bytes of the cache rows of one item in one layer, of the largest cache.
static size_t moved_bytes(const XvDecoding *decoding)
{
    const XvGraph *graph = step_graph(decoding);
    size_t most = 1;
    for (int i = 0; i < graph->n_inputs; i++) {
        const XvValue *input = &graph->inputs[i];
        if (is_memory(input) && xv_graph_output(graph, input->name)) {
            size_t bytes = xv_value_bytes(input) / (size_t)(input->shape[0] * decoding->n_items);
            most = bytes > most ? bytes : most;
        }
    }
    return most;
}

bool xv_decoding_create(XvDecoding *decoding, XvHost *host, const XvDecoder *decoder, XvError *error)
{
    *decoding = (XvDecoding){.host = host, .decoder = decoder, .step_host = *host};
    decoding->n_items = xv_graph_output(prefill_graph(decoding), LOGITS)->shape[0];
    decoding->rows_per_item = program_rows(host->program, decoder) / decoding->n_items;
    decoding->step_host.arena = (XvRegion){0};
    decoding->moved = malloc(moved_bytes(decoding));
    if (!decoding->moved) {
        return xv_fail(error, "no memory to decode");
    }
    if (!xv_region_create(&decoding->step_host.arena, step_graph(decoding)->arena_bytes,
                          "the arena of the decoder", error)) {
        xv_decoding_free(decoding);
        return false;
    }
    return true;
}

void xv_decoding_free(XvDecoding *decoding)
{
    xv_region_free(&decoding->step_host.arena);
    free(decoding->moved);
    decoding->moved = NULL;
}

static const XvTensor *tensor_named(const XvTensor *tensors, int n_tensors, const char *name)
{
    for (int i = 0; i < n_tensors; i++) {
        if (strcmp(tensors[i].name, name) == 0) {
            return &tensors[i];
        }
    }
    return NULL;
}

bool xv_decode(XvDecoding *decoding, const XvTensor *inputs, int n_inputs, const XvDecodeChoice *choice,
               XvSequences *found, XvError *error)
{
    const XvDecoder *decoder = decoding->decoder;
    const XvGraph *prefill = prefill_graph(decoding);
    *found = (XvSequences){0};
    if (!xv_host_fill(decoding->host, prefill, inputs, n_inputs, error)) {
        return false;
    }
    const XvTensor *ids = tensor_named(inputs, n_inputs, PROMPT);
    if (!ids || ids->rank != 2) {
        return xv_fail(error, "the batch has no \"" PROMPT "\"");
    }
    decoding->prompt_length = ids->shape[1];
    XvScorer scorer = {.state = decoding,
                       .n_items = decoding->n_items,
                       .rows_per_item = decoding->rows_per_item,
                       .vocabulary = xv_graph_output(prefill, LOGITS)->shape[1],
                       .start = start,
                       .advance = advance};
    XvPrompt prompt = {.ids = ids->data, .length = ids->shape[1]};
    XvSearch search = {.max_length = decoder->max_length,
                       .min_length = decoder->min_length,
                       .end_id = decoder->end_id,
                       .pad_id = decoder->pad_id,
                       .key = choice->key,
                       .draws = choice->draws,
                       .n_draw_steps = choice->n_draw_steps};
    return decoder->method == XV_DECODE_BEAM
               ? xv_search_beam(&scorer, &prompt, &search, found, error)
               : xv_search_plain(&scorer, &prompt, &search, decoder->method == XV_DECODE_SAMPLE, found,
                                 error);
}
