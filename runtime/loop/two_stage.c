// Two-stage retrieval; see two_stage.h. States live in host memory, one array per tensor, because a batch of
// pairs takes its rows from anywhere.
#include "runtime/loop/two_stage.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const float UNSCORED = -100.0f;

// Finding the parts ------------------------------------------------------------------------------------------------

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), n = strlen(end);
    return length >= n && strcmp(text + length - n, end) == 0;
}

// The output whose name ends so, of the given dtype and rank; NULL after a message.
static const XvValue *needed_output(const XvEntry *entry, const char *end, XvDtype dtype, int rank,
                                    XvError *error)
{
    for (int i = 0; i < entry->observe.n_outputs; i++) {
        const XvValue *value = &entry->observe.outputs[i];
        if (ends_with(value->name, end) && value->dtype == dtype && value->rank == rank) {
            return value;
        }
    }
    xv_fail(error, "entry '%s' has no output '%s' of %s with %d dimension%s", entry->name, end,
            xv_dtype_name(dtype), rank, rank == 1 ? "" : "s");
    return NULL;
}

static const XvEntry *entry_named(const XvProgram *program, const char *name)
{
    for (int i = 0; i < program->n_entries; i++) {
        if (strcmp(program->entries[i].name, name) == 0) {
            return &program->entries[i];
        }
    }
    return NULL;
}

// The value of an encoder, output or input, that a state of that name comes from.
static const XvValue *state_value(const XvEntry *encoder, const char *name)
{
    const XvValue *output = xv_graph_output(&encoder->observe, name);
    return output ? output : xv_graph_input(&encoder->observe, name);
}

static bool same_row(const XvValue *a, const XvValue *b)
{
    return a->dtype == b->dtype && a->rank == b->rank && a->rank > 0 &&
           memcmp(a->shape + 1, b->shape + 1, (size_t)(a->rank - 1) * sizeof *a->shape) == 0;
}

static bool check_match(const XvTwoStage *stages, XvError *error)
{
    const XvGraph *graph = &stages->match->observe;
    const XvValue *score = needed_output(stages->match, "match_score", XV_F32, 1, error);
    for (int i = 0; i < graph->n_inputs && score; i++) {
        const XvValue *input = &graph->inputs[i];
        const XvValue *image = state_value(stages->encode_image, input->name);
        const XvValue *text = state_value(stages->encode_text, input->name);
        if (!(image && same_row(image, input)) && !(text && same_row(text, input))) {
            return xv_fail(error,
                           "input '%s' of entry 'match' is no output or input of encode_image or encode_text",
                           input->name);
        }
        if (input->shape[0] != score->shape[0]) {
            return xv_fail(error, "entry 'match': '%s' and the score differ in rows", input->name);
        }
    }
    return score != NULL;
}

bool xv_two_stage_find(const XvProgram *program, XvTwoStage *stages, XvError *error)
{
    *stages = (XvTwoStage){entry_named(program, "encode_image"), entry_named(program, "encode_text"),
                           entry_named(program, "match")};
    if (!stages->encode_image || !stages->encode_text || !stages->match) {
        return false;
    }
    const XvValue *image = needed_output(stages->encode_image, "image_feat", XV_F32, 2, error);
    const XvValue *text = image ? needed_output(stages->encode_text, "text_feat", XV_F32, 2, error) : NULL;
    const XvValue *owner =
        text ? needed_output(stages->encode_text, "image_of_text", XV_I32, 1, error) : NULL;
    if (!owner) {
        return false;
    }
    return same_row(image, text) ? check_match(stages, error)
                                 : xv_fail(error, "the features differ in width");
}

XvEntrySet xv_two_stage_entries(const XvProgram *program, const XvTwoStage *stages)
{
    const XvEntry *const all[] = {stages->encode_image, stages->encode_text, stages->match};
    XvEntrySet entries = 0;
    for (int i = 0; i < 3; i++) {
        entries |= (XvEntrySet)1 << (all[i] - program->entries);
    }
    return entries;
}

// States -----------------------------------------------------------------------------------------------------------

typedef struct State {
    const XvValue *value;  // of the encoder
    const XvValue *input;  // of match that takes it, or NULL
    size_t row_bytes;
    char *rows;
} State;

enum { MOST_STATES = 32 };

// What is kept of one side: features first, then for texts the owner, then what match takes.
typedef struct Side {
    const XvEntry *encoder;
    State states[MOST_STATES];
    int n_states;
    int64_t n_rows;
} Side;

static bool add_state(Side *side, const XvValue *value, const XvValue *input, XvError *error)
{
    if (side->n_states == MOST_STATES) {
        return xv_fail(error, "entry 'match' takes more than %d states", MOST_STATES - 2);
    }
    size_t row = (size_t)(xv_value_count(value) / value->shape[0]) * xv_dtype_size(value->dtype);
    side->states[side->n_states++] = (State){.value = value, .input = input, .row_bytes = row};
    return true;
}

static bool add_match_states(Side *side, const Side *other, const XvGraph *match, XvError *error)
{
    for (int i = 0; i < match->n_inputs; i++) {
        const XvValue *input = &match->inputs[i];
        const XvValue *value = state_value(side->encoder, input->name);
        const XvValue *first = other ? state_value(other->encoder, input->name) : NULL;
        bool is_taken = first && same_row(first, input);
        if (value && same_row(value, input) && !is_taken && !add_state(side, value, input, error)) {
            return false;
        }
    }
    return true;
}

static void free_side(Side *side)
{
    for (int i = 0; i < side->n_states; i++) {
        free(side->states[i].rows);
    }
}

static bool make_room(Side *side, int64_t n, XvError *error)
{
    for (int i = 0; i < side->n_states; i++) {
        State *state = &side->states[i];
        char *grown = realloc(state->rows, (size_t)(side->n_rows + n) * state->row_bytes);
        if (!grown) {
            return xv_fail(error, "no memory for '%s' of %lld rows", state->value->name,
                           (long long)(side->n_rows + n));
        }
        state->rows = grown;
    }
    return true;
}

// Copies n rows to `row`: of the states that are inputs of the encoder, or of the others.
static void keep_rows(const XvHost *host, const Side *side, int64_t row, int64_t n, bool is_input)
{
    for (int i = 0; i < side->n_states; i++) {
        const State *state = &side->states[i];
        if (is_input == (xv_graph_input(&side->encoder->observe, state->value->name) == state->value)) {
            memcpy(state->rows + (size_t)row * state->row_bytes, xv_host_tensor(host, state->value).data,
                   (size_t)n * state->row_bytes);
        }
    }
}

// The batches that the ranks have at the same time.
typedef struct Round {
    int32_t *counts;  // rows of each rank, or XV_ROWS_END
    int world, rank;
    int64_t total, before;  // rows of all ranks, of the ranks before this one
    bool is_end;
} Round;

static void count_rows(const XvComm *comm, Round *round, int64_t n)
{
    int32_t own = (int32_t)n;
    xv_comm_all_gather(comm, &own, round->counts, 1);
    round->total = round->before = 0;
    round->is_end = true;
    for (int i = 0; i < round->world; i++) {
        int32_t count = round->counts[i] > 0 ? round->counts[i] : 0;
        round->is_end &= round->counts[i] == XV_ROWS_END;
        round->before += i < round->rank ? count : 0;
        round->total += count;
    }
}

// The rows of the other ranks, into their places. Ranks send whole batches, of which a part may be valid.
static bool share_state(const XvHost *host, const Side *side, const State *state, const Round *round)
{
    size_t batch = (size_t)state->value->shape[0] * state->row_bytes;
    char *own = calloc((size_t)round->world + 1, batch), *all = own + batch;
    if (!own) {
        return false;
    }
    int64_t n = round->counts[round->rank] > 0 ? round->counts[round->rank] : 0;
    char *to = state->rows + (size_t)side->n_rows * state->row_bytes;
    memcpy(own, to + (size_t)round->before * state->row_bytes, (size_t)n * state->row_bytes);
    xv_comm_all_gather(host->comm, own, all, (int64_t)(batch / 4));
    for (int i = 0; i < round->world; i++) {
        size_t bytes = round->counts[i] > 0 ? (size_t)round->counts[i] * state->row_bytes : 0;
        memcpy(to, all + (size_t)i * batch, bytes);
        to += bytes;
    }
    free(own);
    return true;
}

static bool share_rows(const XvHost *host, const Side *side, const Round *round, XvError *error)
{
    for (int i = 0; i < side->n_states && round->world > 1; i++) {
        if (!share_state(host, side, &side->states[i], round)) {
            return xv_fail(error, "no memory for rows of other ranks");
        }
    }
    return true;
}

// Every rank runs its batch, and all get the rows of all. A run may overwrite its inputs, so what is kept of them is
// copied before.
static bool encode_round(XvHost *host, Side *side, const Round *round, XvError *error)
{
    int64_t n = round->counts[round->rank], row = side->n_rows + round->before;
    if (!make_room(side, round->total, error)) {
        return false;
    }
    if (n > 0) {
        keep_rows(host, side, row, n, true);
        xv_host_run(host, &side->encoder->observe);
        keep_rows(host, side, row, n, false);
    }
    if (!share_rows(host, side, round, error)) {
        return false;
    }
    side->n_rows += round->total;
    return true;
}

static bool encode_all(XvHost *host, Side *side, const XvRows *rows, Round *round, XvError *error)
{
    const XvGraph *graph = &side->encoder->observe;
    for (;;) {
        int64_t n = 0;
        xv_host_set_draws(host, side->encoder, graph, &(XvDrawMoment){.seed = 0});
        if (!rows->next(rows->context, host, graph, &n, error)) {
            return false;
        }
        count_rows(host->comm, round, n);
        if (round->is_end) {
            return side->n_rows > 0 || xv_fail(error, "entry '%s' gets no data", side->encoder->name);
        }
        if (!encode_round(host, side, round, error)) {
            return false;
        }
    }
}

static bool encode(XvHost *host, Side *side, const XvRows *rows, XvError *error)
{
    Round round = {.world = xv_comm_world(host->comm), .rank = xv_comm_rank(host->comm)};
    round.counts = calloc((size_t)round.world, sizeof *round.counts);
    bool is_done = round.counts ? encode_all(host, side, rows, &round, error) : xv_fail(error, "no memory");
    free(round.counts);
    return is_done;
}

// First stage ------------------------------------------------------------------------------------------------------

static double similarity(const float *a, const float *b, int64_t width)
{
    double sum = 0.0;
    for (int64_t i = 0; i < width; i++) {
        sum += (double)a[i] * (double)b[i];
    }
    return sum;
}

typedef struct Candidate {
    double score;
    int64_t at;
} Candidate;

// Best first; of equals the earlier one.
static int compare_candidates(const void *a, const void *b)
{
    const Candidate *x = a, *y = b;
    if (x->score > y->score || x->score < y->score) {
        return x->score > y->score ? -1 : 1;
    }
    return x->at < y->at ? -1 : 1;
}

static const float *feature(const Side *side, int64_t row)
{
    return (const float *)(const void *)(side->states[0].rows + (size_t)row * side->states[0].row_bytes);
}

// The candidates of one query, all of `room`, the best first. Not-a-number is the worst of all.
static void rank_candidates(const Side *queries, int64_t query, const Side *candidates, Candidate *room)
{
    int64_t width = (int64_t)(queries->states[0].row_bytes / sizeof(float));
    for (int64_t i = 0; i < candidates->n_rows; i++) {
        double score = similarity(feature(queries, query), feature(candidates, i), width);
        room[i] = (Candidate){isnan(score) ? -INFINITY : score, i};
    }
    qsort(room, (size_t)candidates->n_rows, sizeof *room, compare_candidates);
}

// Second stage -----------------------------------------------------------------------------------------------------

// A batch of pairs on its way through `match`.
typedef struct Scoring {
    XvHost *host;
    const XvTwoStage *stages;
    const Side *images, *texts;
    XvTwoStageResult *result;
    const XvValue *score;
    int64_t *image, *text;  // of the pairs gathered so far
    int64_t n_pairs, capacity;
    int64_t n_batches;  // so far; rank r runs every world-th of them
} Scoring;

static void fill_row(const Scoring *scoring, const Side *side, int64_t row, int64_t slot)
{
    for (int i = 0; i < side->n_states; i++) {
        const State *state = &side->states[i];
        if (state->input) {
            char *to = xv_host_tensor(scoring->host, state->input).data;
            const char *from = state->rows + (size_t)row * state->row_bytes;
            memcpy(to + (size_t)slot * state->row_bytes, from, state->row_bytes);
        }
    }
}

// Scores the pairs gathered; free slots repeat the first pair.
static void run_pairs(const Scoring *scoring)
{
    const XvEntry *match = scoring->stages->match;
    XvTwoStageResult *result = scoring->result;
    for (int64_t slot = 0; slot < scoring->capacity; slot++) {
        int64_t pair = slot < scoring->n_pairs ? slot : 0;
        fill_row(scoring, scoring->images, scoring->image[pair], slot);
        fill_row(scoring, scoring->texts, scoring->text[pair], slot);
    }
    xv_host_set_draws(scoring->host, match, &match->observe, &(XvDrawMoment){.seed = 0});
    xv_host_run(scoring->host, &match->observe);
    const float *scores = xv_host_tensor(scoring->host, scoring->score).data;
    for (int64_t pair = 0; pair < scoring->n_pairs; pair++) {
        int64_t at = scoring->image[pair] * result->texts + scoring->text[pair];
        result->image_to_text[at] = scores[pair];
    }
}

// The batch that the pairs gathered are: this rank's, or another's.
static void score_pairs(Scoring *scoring)
{
    const XvComm *comm = scoring->host->comm;
    if (scoring->n_pairs > 0 && scoring->n_batches++ % xv_comm_world(comm) == xv_comm_rank(comm)) {
        run_pairs(scoring);
    }
    scoring->result->pairs += scoring->n_pairs;
    scoring->n_pairs = 0;
}

static void score_pair(Scoring *scoring, int64_t image, int64_t text)
{
    scoring->image[scoring->n_pairs] = image;
    scoring->text[scoring->n_pairs++] = text;
    if (scoring->n_pairs == scoring->capacity) {
        score_pairs(scoring);
    }
}

// The k best candidates of every query, [queries, k]; each rank ranks its part of the queries. NULL without memory.
static int32_t *best_candidates(const XvComm *comm, const Side *queries, const Side *candidates, int64_t k)
{
    int64_t world = xv_comm_world(comm), part = (queries->n_rows + world - 1) / world;
    int64_t first = part * xv_comm_rank(comm);
    Candidate *room = malloc((size_t)candidates->n_rows * sizeof *room);
    int32_t *own = calloc((size_t)(part * k) + 1, sizeof *own);
    int32_t *all = malloc((size_t)(part * world * k + 1) * sizeof *all);
    for (int64_t i = 0; room && own && all && i < part && first + i < queries->n_rows; i++) {
        rank_candidates(queries, first + i, candidates, room);
        for (int64_t j = 0; j < k; j++) {
            own[i * k + j] = (int32_t)room[j].at;
        }
    }
    bool is_done = room && own && all;
    if (is_done) {
        xv_comm_all_gather(comm, own, all, part * k);
    }
    free(room);
    free(own);
    free(is_done ? NULL : all);
    return is_done ? all : NULL;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

// Which pairs each direction wants: bit 0 images to texts, bit 1 texts to images. A pair that both want is scored once.
static bool mark_pairs(const Scoring *scoring, int64_t k, uint8_t *wanted)
{
    const Side *images = scoring->images, *texts = scoring->texts;
    const XvComm *comm = scoring->host->comm;
    int64_t k_texts = smaller(k, texts->n_rows), k_images = smaller(k, images->n_rows);
    int32_t *of_images = best_candidates(comm, images, texts, k_texts);
    int32_t *of_texts = best_candidates(comm, texts, images, k_images);
    bool is_done = of_images && of_texts;
    for (int64_t i = 0; is_done && i < images->n_rows * k_texts; i++) {
        wanted[i / k_texts * texts->n_rows + of_images[i]] |= 1;
    }
    for (int64_t i = 0; is_done && i < texts->n_rows * k_images; i++) {
        wanted[of_texts[i] * texts->n_rows + i / k_images] |= 2;
    }
    free(of_images);
    free(of_texts);
    return is_done;
}

// Every wanted score goes to image_to_text first; then each direction keeps its own.
static void spread_scores(XvTwoStageResult *result, const uint8_t *wanted)
{
    for (int64_t i = 0; i < result->images; i++) {
        for (int64_t t = 0; t < result->texts; t++) {
            int64_t at = i * result->texts + t;
            result->text_to_image[t * result->images + i] =
                wanted[at] & 2 ? result->image_to_text[at] : UNSCORED;
            result->image_to_text[at] = wanted[at] & 1 ? result->image_to_text[at] : UNSCORED;
        }
    }
}

static bool score_all(Scoring *scoring, int64_t k, XvError *error)
{
    XvTwoStageResult *result = scoring->result;
    int64_t count = result->images * result->texts;
    uint8_t *wanted = calloc((size_t)count, 1);
    bool is_good = wanted && mark_pairs(scoring, k, wanted);
    for (int64_t pair = 0; is_good && pair < count; pair++) {
        if (wanted[pair]) {
            score_pair(scoring, pair / result->texts, pair % result->texts);
        }
    }
    if (is_good) {
        score_pairs(scoring);
        xv_comm_sum(scoring->host->comm, result->image_to_text, count);  // where the other ranks have zeros
        spread_scores(result, wanted);
    }
    free(wanted);
    return is_good || xv_fail(error, "no memory to choose among %lld pairs", (long long)count);
}

static bool create_result(const Side *images, const Side *texts, XvTwoStageResult *result, XvError *error)
{
    size_t count = (size_t)(images->n_rows * texts->n_rows);
    *result = (XvTwoStageResult){.images = images->n_rows, .texts = texts->n_rows};
    result->image_to_text = calloc(count, sizeof(float));
    result->text_to_image = malloc(count * sizeof(float));
    result->image_of_text = malloc((size_t)texts->n_rows * sizeof(int32_t));
    if (!result->image_to_text || !result->text_to_image || !result->image_of_text) {
        return xv_fail(error, "no memory for the scores of %lld images and %lld texts",
                       (long long)images->n_rows, (long long)texts->n_rows);
    }
    memcpy(result->image_of_text, texts->states[1].rows, (size_t)texts->n_rows * sizeof(int32_t));
    return true;
}

static bool rerank(Scoring *scoring, int64_t k, XvError *error)
{
    scoring->score = needed_output(scoring->stages->match, "match_score", XV_F32, 1, error);
    scoring->capacity = scoring->score->shape[0];
    scoring->image = malloc((size_t)scoring->capacity * sizeof *scoring->image);
    scoring->text = malloc((size_t)scoring->capacity * sizeof *scoring->text);
    bool is_done =
        scoring->image && scoring->text ? score_all(scoring, k, error) : xv_fail(error, "no memory");
    free(scoring->image);
    free(scoring->text);
    return is_done;
}

// What is kept of both sides: features and owners first, then what match takes.
static bool choose_states(const XvTwoStage *stages, Side *images, Side *texts, XvError *error)
{
    const XvValue *image = needed_output(stages->encode_image, "image_feat", XV_F32, 2, error);
    const XvValue *text = needed_output(stages->encode_text, "text_feat", XV_F32, 2, error);
    const XvValue *owner = needed_output(stages->encode_text, "image_of_text", XV_I32, 1, error);
    const XvGraph *match = &stages->match->observe;
    return add_state(images, image, NULL, error) && add_state(texts, text, NULL, error) &&
           add_state(texts, owner, NULL, error) && add_match_states(images, NULL, match, error) &&
           add_match_states(texts, images, match, error);
}

bool xv_two_stage_run(XvHost *host, const XvTwoStage *stages, const XvTwoStageData *data,
                      XvTwoStageResult *result, XvError *error)
{
    Side images = {.encoder = stages->encode_image}, texts = {.encoder = stages->encode_text};
    Scoring scoring = {.host = host, .stages = stages, .images = &images, .texts = &texts, .result = result};
    *result = (XvTwoStageResult){0};
    bool is_done = choose_states(stages, &images, &texts, error) &&
                   encode(host, &images, &data->images, error) && encode(host, &texts, &data->texts, error) &&
                   create_result(&images, &texts, result, error) && rerank(&scoring, data->k, error);
    free_side(&images);
    free_side(&texts);
    return is_done;
}

void xv_two_stage_free(XvTwoStageResult *result)
{
    free(result->image_to_text);
    free(result->text_to_image);
    free(result->image_of_text);
    *result = (XvTwoStageResult){0};
}

XvScores xv_two_stage_scores(const XvTwoStageResult *result)
{
    return (XvScores){result->image_to_text, result->text_to_image, result->image_of_text, result->images,
                      result->texts};
}
