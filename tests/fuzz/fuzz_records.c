// libFuzzer target: any bytes are a file of records, which every kind of loader reads to its end, refusing what it
// must. The first byte chooses the kind, the second the mode; the rest is the file.
#include "runtime/data/loader.h"
#include "runtime/data/loader_kind.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { B = 2, T = 8, M = 2, R = 16, A = 4, L = 5, S = 5, MAX_BATCHES = 6 };

static char records[64], vocabulary[64];

// Stands in for xv_is_remote (the linker's --wrap): pictures are looked for on this machine only.
bool __wrap_xv_is_remote(const char *path);
bool __wrap_xv_is_remote(const char *path)
{
    (void)path;
    return false;
}

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void write_file(const char *path, const void *bytes, size_t count)
{
    FILE *file = fopen(path, "wb");
    require(file && fwrite(bytes, 1, count, file) == count);
    fclose(file);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const char words[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\ndog\n##s\nthe\nred\nyes\nno\n";
    (void)argc;
    (void)argv;
    snprintf(records, sizeof records, "/tmp/fuzz-records-%d", (int)getpid());
    snprintf(vocabulary, sizeof vocabulary, "/tmp/fuzz-vocabulary-%d", (int)getpid());
    write_file(vocabulary, words, sizeof words - 1);
    return 0;
}

static const XvValue INPUTS[] = {
    {.name = "text_ids", .dtype = XV_I32, .rank = 2, .shape = {B, T}},
    {.name = "text_atts", .dtype = XV_I32, .rank = 2, .shape = {B, T}},
    {.name = "masked_pos", .dtype = XV_I32, .rank = 2, .shape = {B, M}},
    {.name = "idx", .dtype = XV_I32, .rank = 1, .shape = {B}},
    {.name = "targets", .dtype = XV_I32, .rank = 1, .shape = {B}},
    {.name = "image_atts", .dtype = XV_I32, .rank = 2, .shape = {B, S}},
    {.name = "question_ids", .dtype = XV_I32, .rank = 2, .shape = {B, T}},
    {.name = "answer_ids", .dtype = XV_I32, .rank = 2, .shape = {A, L}},
    {.name = "weights", .dtype = XV_F32, .rank = 1, .shape = {A}},
    {.name = "target_bbox", .dtype = XV_F32, .rank = 2, .shape = {B, 4}},
    {.name = "image", .dtype = XV_F32, .rank = 4, .shape = {B, 3, R, R}},
};

static const struct {
    const char *name;
    unsigned group;
} GROUPS[] = {
    {"text", XV_FILLS_TEXT},       {"masked", XV_FILLS_MASKS},       {"idx", XV_FILLS_IDX},
    {"targets", XV_FILLS_TARGETS}, {"image_atts", XV_FILLS_REGIONS}, {"question", XV_FILLS_QUESTION},
    {"answer", XV_FILLS_ANSWERS},  {"weights", XV_FILLS_ANSWERS},    {"target_bbox", XV_FILLS_BOX},
    {"image", XV_FILLS_IMAGE},
};

// The inputs that the kind can fill; without the picture, and the other way round.
static int choose_inputs(const XvLoaderKind *kind, bool has_image, XvValue inputs[XV_BATCH_TENSORS])
{
    int count = 0;
    for (size_t i = 0; i < sizeof INPUTS / sizeof *INPUTS; i++) {
        bool is_picture = strcmp(INPUTS[i].name, "image") == 0, is_fillable = false;
        for (size_t g = 0; g < sizeof GROUPS / sizeof *GROUPS; g++) {
            size_t length = strlen(GROUPS[g].name);
            bool is_in = strncmp(INPUTS[i].name, GROUPS[g].name, length) == 0;
            is_fillable |= is_in && (kind->fills & GROUPS[g].group) &&
                           !(strcmp(GROUPS[g].name, "image") == 0 && !is_picture);
        }
        if (is_fillable && (!is_picture || has_image) && count < XV_BATCH_TENSORS) {
            inputs[count] = INPUTS[i];
            inputs[count].shape[0] *= is_picture ? kind->pictures : 1;
            count++;
        }
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int n_kinds = 0;
    while (xv_loader_kind_at(n_kinds)) {
        n_kinds++;
    }
    if (size < 2) {
        return 0;
    }
    const XvLoaderKind *kind = xv_loader_kind_at(data[0] % n_kinds);
    write_file(records, data + 2, size - 2);
    XvValue inputs[XV_BATCH_TENSORS];
    const char *const paths[] = {records};
    XvLoaderOptions options = xv_loader_defaults();
    options.kind = kind->name;
    options.paths = paths;
    options.n_paths = 1;
    options.inputs = inputs;
    options.n_inputs = choose_inputs(kind, data[1] & 1, inputs);
    options.mode = data[1] & 2 ? XV_LOADER_TRAIN : XV_LOADER_EVAL;
    options.stream = data[1] & 4 ? XV_YES : XV_NO;
    options.is_image_rpath = data[1] & 8;
    options.dataset_size = 10;
    options.max_images = B;
    options.max_regions = 2;
    options.patch_size = R / 2;
    options.vocab_path = vocabulary;
    XvError error = {""};
    XvLoader *loader = options.n_inputs > 0 ? xv_loader_open(&options, &error) : NULL;
    require(loader || options.n_inputs == 0 || error.text[0]);
    XvBatch batch = {.is_end = false};
    for (int i = 0; loader && i < MAX_BATCHES && !batch.is_end; i++) {
        if (!xv_loader_next(loader, &batch, &error)) {
            require(error.text[0]);
            break;
        }
    }
    xv_loader_close(loader);
    return 0;
}
