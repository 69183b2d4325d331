// Compares the state dict that a generated program names with a recorded one.
//
//   state_compare --case DIR --info F
//
// F is what `info --json` printed. The case is a folder of tests/replay: at the published size config.json lists the
// entries, else weights.safetensors is the whole state dict. Names, types and shapes have to agree in both
// directions, and where the case records them the counts, the further names of tied tensors and the parameters that
// learn at the larger rate.
#include "runtime/base/options.h"
#include "tests/tools/check.h"

typedef struct Compare {
    const cJSON *config, *info, *state_dict;
    Check check;
} Compare;

static const cJSON *entry_named(const Compare *c, const char *name)
{
    const cJSON *entry;
    cJSON_ArrayForEach(entry, c->state_dict)
    {
        if (strcmp(check_member(entry, "name")->valuestring, name) == 0) {
            return entry;
        }
    }
    return NULL;
}

static bool is_shape(const cJSON *list, int rank, const int64_t *shape)
{
    bool is_same = cJSON_GetArraySize(list) == rank;
    for (int i = 0; is_same && i < rank; i++) {
        is_same = cJSON_GetArrayItem(list, i)->valuedouble == (double)shape[i];
    }
    return is_same;
}

static void expect_entry(Compare *c, const char *name, const char *dtype, int rank, const int64_t *shape)
{
    const cJSON *entry = entry_named(c, name);
    if (!entry) {
        check_that(&c->check, false, "entry %s: missing", name);
        return;
    }
    const char *got = check_member(entry, "dtype")->valuestring;
    check_that(&c->check, strcmp(got, dtype) == 0, "entry %s: got %s, want %s", name, got, dtype);
    check_that(&c->check, is_shape(check_member(entry, "shape"), rank, shape), "entry %s: another shape",
               name);
}

static void expect_listed(Compare *c, const cJSON *list)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        int64_t shape[XV_MAX_RANK];
        const cJSON *dimensions = cJSON_GetArrayItem(item, 2);
        int rank = cJSON_GetArraySize(dimensions);
        for (int i = 0; i < rank && i < XV_MAX_RANK; i++) {
            shape[i] = (int64_t)cJSON_GetArrayItem(dimensions, i)->valuedouble;
        }
        bool is_int = strcmp(cJSON_GetArrayItem(item, 1)->valuestring, "int64") == 0;
        expect_entry(c, cJSON_GetArrayItem(item, 0)->valuestring, is_int ? "I64" : "F32", rank, shape);
    }
    check_that(&c->check, cJSON_GetArraySize(list) == cJSON_GetArraySize(c->state_dict),
               "got %d entries, want %d", cJSON_GetArraySize(c->state_dict), cJSON_GetArraySize(list));
}

static void expect_stored(Compare *c, const char *path)
{
    XvSafetensors file;
    check_open(&file, path);
    for (int i = 0; i < file.n_tensors; i++) {
        const XvStored *stored = &file.tensors[i];
        expect_entry(c, stored->name, xv_dtype_name(stored->dtype), stored->rank, stored->shape);
    }
    check_that(&c->check, file.n_tensors == cJSON_GetArraySize(c->state_dict), "got %d entries, want %d",
               cJSON_GetArraySize(c->state_dict), file.n_tensors);
    xv_safetensors_close(&file);
}

static void expect_aliases(Compare *c, const cJSON *tied)
{
    const cJSON *pair;
    cJSON_ArrayForEach(pair, tied)
    {
        const cJSON *entry = entry_named(c, pair->string);
        const cJSON *of = entry ? cJSON_GetObjectItemCaseSensitive(entry, "alias_of") : NULL;
        check_that(&c->check, of && strcmp(of->valuestring, pair->valuestring) == 0,
                   "%s is no other name of %s", pair->string, pair->valuestring);
    }
}

// "fresh" of an entry: the larger learning rate.
static void expect_fresh(Compare *c, const cJSON *names)
{
    const cJSON *entry;
    cJSON_ArrayForEach(entry, c->state_dict)
    {
        const char *name = check_member(entry, "name")->valuestring;
        const cJSON *fresh = cJSON_GetObjectItemCaseSensitive(entry, "fresh");
        check_that(&c->check, !fresh || cJSON_IsTrue(fresh) == check_lists(names, name),
                   "%s learns at the %s rate", name, cJSON_IsTrue(fresh) ? "larger" : "plain");
    }
}

static void expect_number(Compare *c, const char *recorded, const char *name)
{
    const cJSON *want = cJSON_GetObjectItemCaseSensitive(c->config, recorded);
    const cJSON *got = check_member(c->info, name);
    check_that(&c->check, !want || want->valuedouble == got->valuedouble, "%s: got %.0f, want %.0f", name,
               got->valuedouble, want ? want->valuedouble : 0.0);
}

int main(int argc, char **argv)
{
    const char *folder = NULL, *info = NULL;
    const XvOption options[] = {
        {"--case", "DIR", XV_OPTION_TEXT, &folder, 0, 0, "folder of the recorded case"},
        {"--info", "F", XV_OPTION_TEXT, &info, 0, 0, "what `info --json` printed"},
    };
    XvError error = {0};
    if (!xv_options_parse(options, 2, argc, argv, &error) || !folder || !info) {
        fprintf(stderr, "state_compare: %s\n", error.text[0] ? error.text : "--case and --info are needed");
        xv_options_print(stderr, options, 2);
        return XV_EXIT_USAGE;
    }
    Compare c = {.config = check_json(check_path(folder, "config.json")), .info = check_json(info)};
    c.state_dict = check_member(c.info, "state_dict");
    const cJSON *listed = cJSON_GetObjectItemCaseSensitive(c.config, "state_dict");
    if (listed) {
        expect_listed(&c, listed);
    } else {
        expect_stored(&c, check_path(folder, "weights.safetensors"));
    }
    expect_number(&c, "parameter_count", "parameters");
    expect_number(&c, "params", "parameters");
    expect_number(&c, "parameter_tensors", "parameter_tensors");
    expect_number(&c, "state_dict_entries", "state_dict_entries");
    expect_aliases(&c, cJSON_GetObjectItemCaseSensitive(c.config, "tied_names"));
    const cJSON *fresh = cJSON_GetObjectItemCaseSensitive(c.config, "init_params");
    if (fresh) {
        expect_fresh(&c, fresh);
    }
    return check_finish(&c.check, folder);
}
