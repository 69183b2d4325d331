// The entry points of a decoder as something that scores tokens; see decoding.h. The compiler has checked that the
// tables fit each other (XvDecoder in runtime/program.h).
#include "runtime/decode/decoding.h"

#include "runtime/loop/places.h"

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

// A cache [layers, rows, heads, places, width] in an arena: blocks of `places` places, one for every head of every row.
typedef struct Cache {
    const XvHost *host;
    size_t at;  // bytes from the start of the arena
    size_t layers, rows, heads, places;
    size_t place_bytes;  // of one place of one head
} Cache;

static Cache cache_of(const XvHost *host, const XvValue *value)
{
    return (Cache){.host = host,
                   .at = value->offset,
                   .layers = (size_t)value->shape[0],
                   .rows = (size_t)value->shape[ROW_AXIS],
                   .heads = (size_t)value->shape[2],
                   .places = (size_t)value->shape[PLACE_AXIS],
                   .place_bytes = (size_t)value->shape[4] * 4};
}

static size_t block_bytes(const Cache *cache)
{
    return cache->places * cache->place_bytes;
}

static size_t row_bytes(const Cache *cache)
{
    return cache->heads * block_bytes(cache);
}

// Copies all places of `from` to those of `to` that begin at `place`, row by row.
static void add_places(const Cache *to, size_t place, const Cache *from)
{
    xv_host_move(&(XvMove){.to_host = to->host,
                           .from_host = from->host,
                           .to = to->at + place * to->place_bytes,
                           .from = from->at,
                           .to_pitch = block_bytes(to),
                           .from_pitch = block_bytes(from),
                           .bytes = block_bytes(from),
                           .rows = to->layers * to->rows * to->heads});
}

// Copies all places of `from` to the first of `to`, every row of `from` to as many rows as there are for it.
static void begin_places(const Cache *to, const Cache *from)
{
    size_t copies = to->rows / from->rows;
    for (size_t copy = 0; copy < copies; copy++) {
        for (size_t head = 0; head < to->heads; head++) {
            xv_host_move(&(XvMove){.to_host = to->host,
                                   .from_host = from->host,
                                   .to = to->at + copy * row_bytes(to) + head * block_bytes(to),
                                   .from = from->at + head * block_bytes(from),
                                   .to_pitch = copies * row_bytes(to),
                                   .from_pitch = row_bytes(from),
                                   .bytes = block_bytes(from),
                                   .rows = from->layers * from->rows});
        }
    }
}

// Copies rows of a cache in all layers to places that lie as far apart, or back.
static void move_rows_between(const Cache *cache, size_t to, size_t from, size_t rows)
{
    size_t pitch = cache->rows * row_bytes(cache);
    xv_host_move(&(XvMove){.to_host = cache->host,
                           .from_host = cache->host,
                           .to = to,
                           .from = from,
                           .to_pitch = pitch,
                           .from_pitch = pitch,
                           .bytes = rows * row_bytes(cache),
                           .rows = cache->layers});
}

// Rows of a cache take over those of their parents, which belong to the same item.
static void move_rows(const XvDecoding *decoding, const Cache *cache, const int32_t *parents)
{
    size_t rows = (size_t)decoding->rows_per_item;
    for (int64_t item = 0; item < decoding->n_items; item++) {
        size_t first = (size_t)item * rows;
        bool is_moved = false;
        for (size_t k = first; k < first + rows; k++) {
            is_moved |= (size_t)parents[k] != k;
        }
        if (is_moved) {
            move_rows_between(cache, decoding->moved + first * row_bytes(cache),
                              cache->at + first * row_bytes(cache), rows);
        }
        for (size_t k = first; k < first + rows; k++) {
            size_t parent = (size_t)parents[k];
            if (parent != k) {
                move_rows_between(cache, cache->at + k * row_bytes(cache),
                                  decoding->moved + parent * row_bytes(cache), 1);
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
    const XvHost *to = &decoding->step_host;
    const XvValue *first = xv_graph_output(prefill_graph(decoding), input->name);
    size_t bytes = xv_value_bytes(input);
    if (xv_graph_output(step_graph(decoding), input->name)) {
        xv_host_clear(to, input->offset, bytes);  // places that are not reached yet are masked, not skipped
        Cache cache = cache_of(to, input);
        Cache from = cache_of(decoding->host, first);
        begin_places(&cache, &from);
    } else {
        xv_host_move(&(XvMove){.to_host = to,
                               .from_host = decoding->host,
                               .to = input->offset,
                               .from = first->offset,
                               .to_pitch = bytes,
                               .from_pitch = bytes,
                               .bytes = bytes,
                               .rows = 1});
    }
}

static const float *logits_of(const XvHost *host, const XvGraph *graph)
{
    return (const float *)(const void *)value_data(host, xv_graph_output(graph, LOGITS));
}

static bool is_any(const XvValue *input)
{
    (void)input;
    return true;
}

static bool is_of_token(const XvValue *input)
{
    return !is_memory(input);
}

static bool is_logits(const XvValue *output)
{
    return strcmp(output->name, LOGITS) == 0;
}

// What is remembered stays where it is computed.
static void run(XvHost *host, const XvProgram *program, int entry, bool is_step)
{
    const XvGraph *graph = &program->entries[entry].observe;
    XvTransfers transfers = {.sends = is_step ? is_of_token : is_any, .fetches = is_logits};
    xv_host_set_draws(host, &program->entries[entry], graph, &(XvDrawMoment){0});
    xv_host_run_partly(host, graph, &transfers);
}

static const float *start(void *state)
{
    XvDecoding *decoding = state;
    run(decoding->host, decoding->host->program, decoding->decoder->prefill, false);
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
    run(&decoding->step_host, decoding->host->program, decoding->decoder->step, true);
    for (int i = 0; i < graph->n_inputs; i++) {
        const XvValue *added = xv_graph_output(graph, graph->inputs[i].name);
        if (added && is_memory(&graph->inputs[i])) {
            Cache cache = cache_of(&decoding->step_host, &graph->inputs[i]);
            Cache from = cache_of(&decoding->step_host, added);
            add_places(&cache, (size_t)decoding->position, &from);
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

// Bytes of the largest cache.
static size_t moved_bytes(const XvDecoding *decoding)
{
    const XvGraph *graph = step_graph(decoding);
    size_t most = 0;
    for (int i = 0; i < graph->n_inputs; i++) {
        const XvValue *input = &graph->inputs[i];
        if (is_memory(input) && xv_graph_output(graph, input->name)) {
            most = xv_value_bytes(input) > most ? xv_value_bytes(input) : most;
        }
    }
    return most;
}

bool xv_decoding_create(XvDecoding *decoding, XvHost *host, const XvDecoder *decoder, XvError *error)
{
    enum { ALIGNMENT = 64 };
    *decoding = (XvDecoding){.host = host, .decoder = decoder};
    decoding->n_items = xv_graph_output(prefill_graph(decoding), LOGITS)->shape[0];
    decoding->rows_per_item = program_rows(host->program, decoder) / decoding->n_items;
    decoding->moved = (step_graph(decoding)->arena_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return xv_host_share(&decoding->step_host, host, decoding->moved + moved_bytes(decoding),
                         "the arena of the decoder", error);
}

void xv_decoding_free(XvDecoding *decoding)
{
    xv_host_unshare(&decoding->step_host);
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
