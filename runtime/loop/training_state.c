// A training run as one safetensors file; see trainer.h.
//
//   NAME                     parameters under their official names, so that every reader of weights reads it
//   optimizer.moment1.NAME   first and second moments, laid out like the parameter
//   optimizer.moment2.NAME
//   training.meters          [meters + 1, 2] F64: sum and count of each loss, then of the gradient norm
//   __metadata__.training    JSON: counters, settings, size of each entry's data and its position on every rank
#include "runtime/checkpoint/weights.h"
#include "runtime/loop/trainer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

// Names that live as long as the list of tensors that borrows them.
typedef struct TensorList {
    XvTensor *tensors;
    char **owned;  // names made here
    int n_tensors, n_owned;
} TensorList;

static bool add_moments(TensorList *list, XvTrainer *trainer, const char *prefix, const float *moments)
{
    const XvProgram *program = trainer->host.program;
    for (int i = 0; i < program->n_parameters; i++) {
        char *name = NULL;
        if (asprintf(&name, "%s%s", prefix, program->parameters[i].name) < 0) {
            return false;
        }
        list->owned[list->n_owned++] = name;
        list->tensors[list->n_tensors] = xv_parameter_tensor(program, i, moments);
        list->tensors[list->n_tensors++].name = name;
    }
    return true;
}

static bool list_tensors(TensorList *list, XvTrainer *trainer, double *meters)
{
    const XvProgram *program = trainer->host.program;
    size_t most = 3 * (size_t)program->n_parameters + 1;
    *list = (TensorList){.tensors = calloc(most, sizeof *list->tensors),
                         .owned = calloc(most, sizeof *list->owned)};
    if (!list->tensors || !list->owned) {
        return false;
    }
    xv_host_fetch_state(&trainer->host);
    for (int i = 0; i < program->n_parameters; i++) {
        list->tensors[list->n_tensors++] =
            xv_parameter_tensor(program, i, xv_host_read_parameters(&trainer->host));
    }
    list->tensors[list->n_tensors++] = (XvTensor){.name = "training.meters",
                                                  .dtype = XV_F64,
                                                  .rank = 2,
                                                  .shape = {trainer->meters.n_meters + 1, 2},
                                                  .data = meters};
    return add_moments(list, trainer, "optimizer.moment1.", xv_host_read_moment1(&trainer->host)) &&
           add_moments(list, trainer, "optimizer.moment2.", xv_host_read_moment2(&trainer->host));
}

static void free_tensors(TensorList *list)
{
    for (int i = 0; i < list->n_owned; i++) {
        free(list->owned[i]);
    }
    free(list->owned);
    free(list->tensors);
}

// Pairs (sum, count); the caller frees them.
static double *meter_values(const XvTrainer *trainer)
{
    int n = trainer->meters.n_meters;
    double *values = calloc(2 * ((size_t)n + 1), sizeof *values);
    for (int i = 0; values && i < n; i++) {
        values[2 * i] = trainer->meters.meters[i].sum;
        values[2 * i + 1] = (double)trainer->meters.meters[i].count;
    }
    if (values) {
        values[2 * n] = trainer->norm_sum;
        values[2 * n + 1] = (double)trainer->norm_count;
    }
    return values;
}

bool xv_trainer_meet(XvTrainer *trainer, XvError *error)
{
    XvComm *comm = trainer->host.comm;
    const XvProgram *program = trainer->host.program;
    int n = program->n_entries, world = xv_comm_world(comm);
    free(trainer->positions);
    trainer->positions = calloc((size_t)n * (size_t)world, sizeof *trainer->positions);
    int64_t *own = calloc((size_t)n, sizeof *own);
    bool ok = (trainer->positions && own) || xv_fail(error, "no memory for the positions of the data");
    for (int e = 0; ok && e < n; e++) {
        const XvSource *source = &trainer->sources[e];
        own[e] = source->state ? source->kind->position(source->state) : 0;
        ok =
            own[e] >= 0 || xv_fail(error, "the data of entry %s cannot be read on", program->entries[e].name);
    }
    ok = xv_comm_agree(comm, ok, error);
    for (int e = 0; ok && e < n; e++) {
        int64_t *row = trainer->positions + (ptrdiff_t)e * world;
        if (comm) {
            xv_comm_all_gather(comm, &own[e], row, sizeof *own / 4);
        } else {
            row[0] = own[e];
        }
    }
    free(own);
    return ok;
}

// A text for each rank, as positions of streams have more digits than a double holds.
static void add_positions(cJSON *item, const int64_t *positions, int world)
{
    cJSON *list = cJSON_AddArrayToObject(item, "positions");
    for (int r = 0; r < world; r++) {
        char text[24];
        snprintf(text, sizeof text, "%" PRId64, positions[r]);
        cJSON_AddItemToArray(list, cJSON_CreateString(text));
    }
}

static char *state_text(const XvTrainer *trainer)
{
    const XvOptimizer *optimizer = &trainer->optimizer;
    const XvProgram *program = trainer->host.program;
    cJSON *json = cJSON_CreateObject();
    char seed[24];
    snprintf(seed, sizeof seed, "%" PRIu64, trainer->seed);
    cJSON_AddNumberToObject(json, "step", (double)trainer->step);
    cJSON_AddNumberToObject(json, "updates", (double)optimizer->scaler.updates);
    cJSON_AddNumberToObject(json, "position", (double)optimizer->position);
    cJSON_AddStringToObject(json, "seed", seed);
    cJSON_AddNumberToObject(json, "ranks", xv_comm_world(trainer->host.comm));
    cJSON_AddNumberToObject(json, "lr", optimizer->lr);
    cJSON_AddNumberToObject(json, "lr_mult", optimizer->lr_mult);
    cJSON_AddNumberToObject(json, "weight_decay", optimizer->weight_decay);
    cJSON_AddNumberToObject(json, "clip", optimizer->clip);
    cJSON_AddNumberToObject(json, "warmup", (double)optimizer->schedule.warmup);
    cJSON_AddNumberToObject(json, "total", (double)optimizer->schedule.total);
    if (optimizer->scaler.loss_scale > 0) {
        cJSON_AddNumberToObject(json, "loss_scale", (double)optimizer->scaler.loss_scale);
        cJSON_AddNumberToObject(json, "scale_age", optimizer->scaler.age);
    }
    cJSON *data = cJSON_AddObjectToObject(json, "data");
    for (int e = 0; e < program->n_entries; e++) {
        const XvSource *source = &trainer->sources[e];
        if (source->state) {
            cJSON *item = cJSON_AddObjectToObject(data, program->entries[e].name);
            int world = xv_comm_world(trainer->host.comm);
            add_positions(item, trainer->positions + (ptrdiff_t)e * world, world);
            cJSON_AddNumberToObject(item, "records", (double)source->kind->records(source->state));
        }
    }
    char *text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    return text;
}

bool xv_trainer_save(XvTrainer *trainer, const char *path, XvError *error)
{
    if (!trainer->host.comm && !xv_trainer_meet(trainer, error)) {
        return false;
    }
    double *meters = meter_values(trainer);
    char *text = state_text(trainer);
    TensorList list = {0};
    bool is_saved = meters && text && list_tensors(&list, trainer, meters);
    if (is_saved) {
        XvMetadata metadata[XV_PROGRAM_METADATA + 1];
        xv_program_metadata(trainer->host.program, metadata);
        metadata[XV_PROGRAM_METADATA] = (XvMetadata){"training", text};
        XvFileContent content = {list.tensors, list.n_tensors, metadata, XV_PROGRAM_METADATA + 1};
        is_saved = xv_safetensors_write(path, &content, error);
    } else {
        xv_fail(error, "cannot write %s: no memory", path);
    }
    free_tensors(&list);
    free(text);
    free(meters);
    return is_saved;
}

// ---- reading

static cJSON *parse_state(const XvSafetensors *file, XvError *error)
{
    const char *text = xv_safetensors_metadata(file, "training");
    cJSON *json = text ? cJSON_Parse(text) : NULL;
    if (!json) {
        xv_fail(error, "%s holds no state of a training run to continue", file->path);
    }
    return json;
}

static bool number_of(const cJSON *json, const char *key, double *out, XvError *error)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);
    if (!cJSON_IsNumber(item)) {
        return xv_fail(error, "the state of the run lacks \"%s\"", key);
    }
    *out = item->valuedouble;
    return true;
}

static bool count_of(const cJSON *json, const char *key, int64_t *out, XvError *error)
{
    double number = 0.0;
    if (!number_of(json, key, &number, error)) {
        return false;
    }
    if (!(number >= 0.0 && number <= 0x1p53)) {
        return xv_fail(error, "the state of the run has %g as its \"%s\"", number, key);
    }
    *out = (int64_t)number;
    return true;
}

// Where the data of a rank are.
static bool position_of(const cJSON *item, int rank, int64_t *out, XvError *error)
{
    const cJSON *text = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(item, "positions"), rank);
    if (!cJSON_IsString(text)) {
        return xv_fail(error, "the state of the run lacks the position of rank %d in its data", rank);
    }
    char *end;
    *out = strtoll(text->valuestring, &end, 10);
    return (*out >= 0 && *end == 0 && end != text->valuestring) ||
           xv_fail(error, "the state of the run has \"%.40s\" as a position", text->valuestring);
}

static bool read_settings(const cJSON *json, XvRunSettings *settings, XvError *error)
{
    const cJSON *seed = cJSON_GetObjectItemCaseSensitive(json, "seed");
    if (!cJSON_IsString(seed)) {
        return xv_fail(error, "the state of the run lacks \"seed\"");
    }
    settings->seed = strtoull(seed->valuestring, NULL, 10);
    settings->ranks = 1;
    bool has_ranks = cJSON_GetObjectItemCaseSensitive(json, "ranks") != NULL;
    return (!has_ranks || count_of(json, "ranks", &settings->ranks, error)) &&
           count_of(json, "warmup", &settings->warmup, error) &&
           count_of(json, "total", &settings->total, error) && number_of(json, "lr", &settings->lr, error) &&
           number_of(json, "lr_mult", &settings->lr_mult, error) &&
           number_of(json, "weight_decay", &settings->weight_decay, error) &&
           number_of(json, "clip", &settings->clip, error);
}

bool xv_run_settings_read(const XvSafetensors *file, XvRunSettings *settings, XvError *error)
{
    cJSON *json = parse_state(file, error);
    if (!json) {
        return false;
    }
    bool is_read = read_settings(json, settings, error);
    cJSON_Delete(json);
    return is_read || xv_fail_in(error, "%s", file->path);
}

static bool load_moments(XvTrainer *trainer, const XvSafetensors *file, const char *prefix, float *moments,
                         XvError *error)
{
    const XvProgram *program = trainer->host.program;
    for (int i = 0; i < program->n_parameters; i++) {
        const XvParameter *parameter = &program->parameters[i];
        char *name = NULL;
        if (asprintf(&name, "%s%s", prefix, parameter->name) < 0) {
            return xv_fail(error, "no memory");
        }
        const XvStored *stored = xv_safetensors_find(file, name);
        bool is_read = stored && stored->count == parameter->count && stored->dtype == XV_F32;
        if (!is_read) {
            xv_fail(error, "%s lacks %s of the right shape", file->path, name);
        }
        is_read = is_read && xv_safetensors_read_f32(file, stored, moments + parameter->offset, error);
        free(name);
        if (!is_read) {
            return false;
        }
    }
    return true;
}

static bool load_meters(XvTrainer *trainer, const XvSafetensors *file, XvError *error)
{
    int n = trainer->meters.n_meters;
    const XvStored *stored = xv_safetensors_find(file, "training.meters");
    double *values = calloc(2 * ((size_t)n + 1), sizeof *values);
    if (!values || !stored || stored->dtype != XV_F64 || stored->count != 2 * (n + 1)) {
        free(values);
        return xv_fail(error, "%s lacks training.meters of the right shape", file->path);
    }
    bool is_read = xv_safetensors_read_raw(file, stored, values, error);
    for (int i = 0; is_read && i < n; i++) {
        trainer->meters.meters[i].sum = values[2 * i];
        trainer->meters.meters[i].count = (int64_t)values[2 * i + 1];
    }
    trainer->norm_sum = values[2 * n];
    trainer->norm_count = (int64_t)values[2 * n + 1];
    free(values);
    return is_read;
}

static bool seek_data(XvTrainer *trainer, const cJSON *data, XvError *error)
{
    const XvProgram *program = trainer->host.program;
    for (int e = 0; e < program->n_entries; e++) {
        const XvSource *source = &trainer->sources[e];
        const char *name = program->entries[e].name;
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(data, name);
        if (!source->state != !item) {
            return xv_fail(error, "the run was %s data for entry %s", item ? "given" : "not given", name);
        }
        int64_t position = 0, records = 0;
        if (!item) {
            continue;
        }
        if (!position_of(item, xv_comm_rank(trainer->host.comm), &position, error) ||
            !count_of(item, "records", &records, error)) {
            return false;
        }
        if (records != source->kind->records(source->state)) {
            return xv_fail(error,
                           "the run read %" PRId64 " records for entry %s, the data given now has %" PRId64,
                           records, name, source->kind->records(source->state));
        }
        source->kind->seek(source->state, position);
    }
    return true;
}

static bool check_program(const XvTrainer *trainer, const XvSafetensors *file, XvError *error)
{
    XvMetadata own[XV_PROGRAM_METADATA];
    xv_program_metadata(trainer->host.program, own);
    for (int i = 0; i < XV_PROGRAM_METADATA; i++) {
        const char *there = xv_safetensors_metadata(file, own[i].key);
        if (!there || strcmp(there, own[i].value) != 0) {
            return xv_fail(
                error,
                "%s is of a program with another %s; start a new run from its weights with --checkpoint",
                file->path, own[i].key);
        }
    }
    return true;
}

static bool read_scaler(const cJSON *json, XvScaler *scaler, XvError *error)
{
    double scale = 0;
    int64_t age = 0;
    if (!count_of(json, "updates", &scaler->updates, error)) {
        return false;
    }
    if (!(scaler->loss_scale > 0)) {
        return true;
    }
    if (!number_of(json, "loss_scale", &scale, error) || !count_of(json, "scale_age", &age, error)) {
        return false;
    }
    if (!(scale >= (double)XV_LOSS_SCALE_LEAST && scale <= (double)XV_LOSS_SCALE_MOST)) {
        return xv_fail(error, "the state of the run has %g as its \"loss_scale\"", scale);
    }
    if (age >= XV_LOSS_SCALE_UPDATES) {
        return xv_fail(error, "the state of the run has %" PRId64 " as its \"scale_age\"", age);
    }
    scaler->loss_scale = (float)scale;
    scaler->age = (int32_t)age;
    return true;
}

static bool apply_state(XvTrainer *trainer, const cJSON *json, XvError *error)
{
    XvRunSettings settings;
    XvOptimizer *optimizer = &trainer->optimizer;
    if (!read_settings(json, &settings, error) || !count_of(json, "step", &trainer->step, error) ||
        !count_of(json, "position", &optimizer->position, error) ||
        !read_scaler(json, &optimizer->scaler, error)) {
        return false;
    }
    if (settings.ranks != xv_comm_world(trainer->host.comm)) {
        return xv_fail(
            error,
            "the run has %" PRId64 " ranks, and this is a world of %d: data and draws depend on it, so "
            "start it with as many (mpirun -n %" PRId64 "), or start a new run from its weights with "
            "--checkpoint",
            settings.ranks, xv_comm_world(trainer->host.comm), settings.ranks);
    }
    trainer->seed = settings.seed;
    optimizer->lr = settings.lr;
    optimizer->lr_mult = settings.lr_mult;
    optimizer->weight_decay = settings.weight_decay;
    optimizer->clip = settings.clip;
    optimizer->schedule = (XvSchedule){settings.warmup, settings.total};
    return seek_data(trainer, cJSON_GetObjectItemCaseSensitive(json, "data"), error);
}

bool xv_trainer_load(XvTrainer *trainer, const XvSafetensors *file, XvError *error)
{
    if (!check_program(trainer, file, error)) {
        return false;
    }
    cJSON *json = parse_state(file, error);
    if (!json) {
        return false;
    }
    XvLoadOptions options = {.is_complete = true, .source = "own"};
    bool is_loaded = apply_state(trainer, json, error) || xv_fail_in(error, "%s", file->path);
    cJSON_Delete(json);
    float *parameters = xv_host_parameters(&trainer->host);
    return is_loaded &&
           xv_weights_load(trainer->host.program, file->path, &options, parameters, NULL, error) &&
           load_moments(trainer, file, "optimizer.moment1.", xv_host_moment1(&trainer->host), error) &&
           load_moments(trainer, file, "optimizer.moment2.", xv_host_moment2(&trainer->host), error) &&
           load_meters(trainer, file, error);
}
