// `xvlm checkpoint convert IN OUT`: the same tensors and metadata in another format, chosen by the name of OUT.
#include "runtime/checkpoint/safetensors.h"
#include "runtime/checkpoint/torch_write.h"
#include "runtime/tools/checkpoint.h"
#include "runtime/tools/tool.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Conversion {
    const XvCheckpoint *checkpoint;
    XvTensor *tensors;
    void **owned;  // copies of tensors that do not lie in the file as they are written
} Conversion;

static bool is_dense(const XvCheckpointTensor *tensor)
{
    int64_t stride = 1;
    for (int i = tensor->rank - 1; i >= 0; i--) {
        if (tensor->shape[i] > 1 && tensor->stride[i] != stride) {
            return false;
        }
        stride *= tensor->shape[i];
    }
    return true;
}

static bool take_tensor(Conversion *conversion, int i, XvError *error)
{
    const XvCheckpoint *checkpoint = conversion->checkpoint;
    const XvCheckpointTensor *from = &checkpoint->tensors[i];
    XvTensor *to = &conversion->tensors[i];
    *to = (XvTensor){.name = from->name,
                     .dtype = from->dtype,
                     .rank = from->rank,
                     .data = (void *)(checkpoint->bytes + from->offset)};
    memcpy(to->shape, from->shape, sizeof to->shape);
    if (is_dense(from) && !checkpoint->is_swapped) {
        return true;
    }
    size_t bytes;
    if (__builtin_mul_overflow((size_t)from->count, xv_dtype_size(from->dtype), &bytes) ||
        !(conversion->owned[i] = malloc(bytes + 1))) {
        return xv_fail(error, "no memory for tensor \"%s\"", from->name);
    }
    xv_checkpoint_read_raw(checkpoint, from, conversion->owned[i]);
    to->data = conversion->owned[i];
    return true;
}

// Safetensors metadata are texts; a value that is none is written as JSON.
static bool write_safetensors(const Conversion *conversion, const char *path, XvError *error)
{
    cJSON *object = cJSON_Parse(conversion->checkpoint->metadata);
    size_t n_items = (size_t)cJSON_GetArraySize(object);
    XvMetadata *metadata = calloc(n_items + 1, sizeof *metadata);
    char **texts = calloc(n_items + 1, sizeof *texts);
    bool is_ready = metadata && texts;
    size_t i = 0;
    for (const cJSON *item = object ? object->child : NULL; is_ready && item; item = item->next, i++) {
        texts[i] = cJSON_IsString(item) ? strdup(item->valuestring) : cJSON_PrintUnformatted(item);
        metadata[i] = (XvMetadata){item->string, texts[i]};
        is_ready = texts[i] != NULL;
    }
    XvFileContent content = {conversion->tensors, conversion->checkpoint->n_tensors, metadata, (int)n_items};
    bool is_written = is_ready ? xv_safetensors_write(path, &content, error) : xv_fail(error, "no memory");
    for (size_t j = 0; texts && j < n_items; j++) {
        free(texts[j]);
    }
    free(texts);
    free(metadata);
    cJSON_Delete(object);
    return is_written;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), wanted = strlen(end);
    return length >= wanted && strcmp(text + length - wanted, end) == 0;
}

static bool write_out(const Conversion *conversion, const char *path, XvError *error)
{
    if (ends_with(path, ".safetensors")) {
        return write_safetensors(conversion, path, error);
    }
    XvTorchContent content = {conversion->tensors, conversion->checkpoint->n_tensors,
                              conversion->checkpoint->metadata};
    return xv_torch_write(path, &content, error);
}

static bool convert(const XvCheckpoint *checkpoint, const char *path, XvError *error)
{
    size_t n_tensors = (size_t)checkpoint->n_tensors;
    Conversion conversion = {.checkpoint = checkpoint,
                             .tensors = calloc(n_tensors + 1, sizeof *conversion.tensors),
                             .owned = calloc(n_tensors + 1, sizeof *conversion.owned)};
    bool is_ready = (conversion.tensors && conversion.owned) || xv_fail(error, "no memory");
    for (int i = 0; is_ready && i < checkpoint->n_tensors; i++) {
        is_ready = take_tensor(&conversion, i, error);
    }
    bool is_written = is_ready && write_out(&conversion, path, error);
    for (size_t i = 0; conversion.owned && i < n_tensors; i++) {
        free(conversion.owned[i]);
    }
    free(conversion.owned);
    free(conversion.tensors);
    return is_written;
}

static bool check_name(const char *path, XvError *error)
{
    static const char *const ENDS[] = {".safetensors", ".th", ".pth", ".pt", ".bin"};
    for (size_t i = 0; i < sizeof ENDS / sizeof *ENDS; i++) {
        if (ends_with(path, ENDS[i])) {
            return true;
        }
    }
    return xv_fail(error, "%s: the name must end in .safetensors, or in .th, .pth, .pt or .bin for PyTorch",
                   path);
}

int xv_checkpoint_convert(int argc, char **argv)
{
    XvError error = {""};
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        puts(
            "usage: xvlm checkpoint convert IN OUT\n\nOUT is a safetensors file if its name ends so, else one for "
            "torch.load (.th, .pth, .pt, .bin).");
        return XV_EXIT_OK;
    }
    if (argc != 3 || argv[1][0] == '-' || !check_name(argv[2], &error)) {
        fprintf(stderr, "xvlm checkpoint convert: %s\nusage: xvlm checkpoint convert IN OUT\n",
                *error.text ? error.text : "two files are needed");
        return XV_EXIT_USAGE;
    }
    XvCheckpoint checkpoint;
    bool is_done = xv_checkpoint_open(&checkpoint, argv[1], &error);
    if (is_done) {
        is_done = convert(&checkpoint, argv[2], &error);
        xv_checkpoint_close(&checkpoint);
    }
    if (!is_done) {
        fprintf(stderr, "xvlm checkpoint convert: %s\n", error.text);
    }
    return is_done ? XV_EXIT_OK : XV_EXIT_FAILED;
}
