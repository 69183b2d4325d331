// What a checkpoint is, as text or JSON; see checkpoint.h.
#include "runtime/base/format.h"
#include "runtime/checkpoint/safetensors.h"
#include "runtime/tools/checkpoint.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The model ----------------------------------------------------------------------------------------------------------

typedef struct Sign {
    const char *part;  // a name that starts so
    const char *word;  // says this
} Sign;

// In each group the first that is there counts: what it was trained for, the vision encoder, the text encoder.
static const Sign WHAT[] = {
    {"text_decoder.bert.encoder.layer.11.", "X-VLM captioning"},
    {"text_decoder.", "X-VLM with a text decoder"},
    {"cls_head.", "X-VLM NLVR"},
    {"ta_head.", "X-VLM NLVR domain pre-training"},
    {"text_encoder.bert.encoder.", "X-VLM pre-training"},
    {"text_encoder.roberta.encoder.", "X-VLM pre-training"},
    {"itm_head.", "X-VLM retrieval"},
    {"bbox_head.", "X-VLM grounding with boxes"},
    {"vision_encoder.", "X-VLM"},
    {"vision_model.encoder.", "CLIP"},
    {"bert.encoder.", "BERT"},
    {"roberta.encoder.", "RoBERTa"},
    {"layers.0.blocks.", "Swin"},
    {"blocks.0.attn.qkv.", "ViT or DeiT"},
    {"optimizer.", "a run of a generated program"},
    {"state.", "an optimizer's state"},
    {NULL, "unknown model"},
};

static const Sign VISION[] = {
    {"vision_encoder.layers.0.blocks.", ", Swin"},
    {"vision_encoder.class_embedding", ", CLIP ViT"},
    {"vision_encoder.cls_token", ", DeiT"},
    {NULL, ""},
};

static const Sign TEXT[] = {
    {"text_encoder.roberta.", ", RoBERTa"},
    {"text_decoder.bert.", ", BERT"},
    {"text_encoder.bert.", ", BERT"},
    {"text_encoder.encoder.", ", BERT or RoBERTa without its head"},
    {NULL, ""},
};

static bool has_part(const XvCheckpoint *checkpoint, const char *part)
{
    for (int i = 0; i < checkpoint->n_tensors; i++) {
        if (strncmp(checkpoint->tensors[i].name, part, strlen(part)) == 0) {
            return true;
        }
    }
    return false;
}

static const char *first_word(const XvCheckpoint *checkpoint, const Sign *signs)
{
    while (signs->part && !has_part(checkpoint, signs->part)) {
        signs++;
    }
    return signs->word;
}

void xv_checkpoint_model(const XvCheckpoint *checkpoint, char *out, size_t size)
{
    snprintf(out, size, "%s%s%s", first_word(checkpoint, WHAT), first_word(checkpoint, VISION),
             first_word(checkpoint, TEXT));
}

// The hash -----------------------------------------------------------------------------------------------------------

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t count)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < count; i++) {
        hash = (hash ^ at[i]) * 1099511628211u;
    }
    return hash;
}

uint64_t xv_checkpoint_hash(const XvCheckpoint *checkpoint)
{
    uint64_t hash = 14695981039346656037u;
    for (int i = 0; i < checkpoint->n_tensors; i++) {
        const XvCheckpointTensor *tensor = &checkpoint->tensors[i];
        size_t bytes = (size_t)tensor->count * xv_dtype_size(tensor->dtype);
        const char *dtype = xv_dtype_name(tensor->dtype);
        hash = hash_bytes(hash, tensor->name, strlen(tensor->name) + 1);
        hash = hash_bytes(hash, dtype, strlen(dtype) + 1);
        hash = hash_bytes(hash, tensor->shape, (size_t)tensor->rank * sizeof *tensor->shape);
        void *values = malloc(bytes + 1);
        if (values) {
            xv_checkpoint_read_raw(checkpoint, tensor, values);
            hash = hash_bytes(hash, values, bytes);
        }
        free(values);
    }
    return hash;
}

// Modules ------------------------------------------------------------------------------------------------------------

typedef struct Module {
    const char *name;
    int length;  // of the name: the first component, or two where that says more
    int n_tensors;
    int64_t elements, bytes;
} Module;

// "vision_encoder", "text_encoder.bert": one component more below encoders and decoders that wrap another.
static int module_length(const char *name)
{
    static const char *const WRAPPERS[] = {"text_encoder.", "text_decoder.", "optimizer."};
    size_t start = 0;
    for (int i = 0; i < 3; i++) {
        start = strncmp(name, WRAPPERS[i], strlen(WRAPPERS[i])) == 0 ? strlen(WRAPPERS[i]) : start;
    }
    return (int)(start + strcspn(name + start, "."));
}

static Module *list_modules(const XvCheckpoint *checkpoint, int *n_modules)
{
    Module *modules = calloc((size_t)checkpoint->n_tensors + 1, sizeof *modules);
    *n_modules = 0;
    for (int i = 0; modules && i < checkpoint->n_tensors; i++) {
        const XvCheckpointTensor *tensor = &checkpoint->tensors[i];
        int length = module_length(tensor->name);
        Module *last = *n_modules ? &modules[*n_modules - 1] : NULL;
        if (!last || last->length != length || strncmp(last->name, tensor->name, (size_t)length) != 0) {
            last = &modules[(*n_modules)++];
            *last = (Module){.name = tensor->name, .length = length};
        }
        last->n_tensors++;
        last->elements += tensor->count;
        last->bytes += tensor->count * (int64_t)xv_dtype_size(tensor->dtype);
    }
    return modules;
}

typedef struct Totals {
    int64_t elements, bytes;
    int of_dtype[XV_DTYPE_COUNT];
    int n_shared;  // tensors whose first element another tensor has as well
} Totals;

static Totals add_up(const XvCheckpoint *checkpoint)
{
    Totals totals = {0};
    for (int i = 0; i < checkpoint->n_tensors; i++) {
        const XvCheckpointTensor *tensor = &checkpoint->tensors[i];
        totals.elements += tensor->count;
        totals.bytes += tensor->count * (int64_t)xv_dtype_size(tensor->dtype);
        totals.of_dtype[tensor->dtype]++;
        for (int j = 0; j < i; j++) {
            if (tensor->count > 0 && checkpoint->tensors[j].storage == tensor->storage) {
                totals.n_shared++;
                break;
            }
        }
    }
    return totals;
}

// Printing -----------------------------------------------------------------------------------------------------------

static void print_tensors(const XvCheckpoint *checkpoint)
{
    for (int i = 0; i < checkpoint->n_tensors; i++) {
        const XvCheckpointTensor *tensor = &checkpoint->tensors[i];
        char shape[XV_SHAPE_TEXT];
        printf("  %-72s %-4s %s\n", tensor->name, xv_dtype_name(tensor->dtype),
               xv_shape_text(shape, tensor->rank, tensor->shape));
    }
}

static void print_modules(const XvCheckpoint *checkpoint)
{
    int n_modules = 0;
    Module *modules = list_modules(checkpoint, &n_modules);
    for (int i = 0; i < n_modules; i++) {
        char count[XV_FORMAT_SIZE], bytes[XV_FORMAT_SIZE];
        printf("  %-28.*s %4d tensors %15s values %12s\n", modules[i].length, modules[i].name,
               modules[i].n_tensors, xv_format_count(count, modules[i].elements),
               xv_format_bytes(bytes, (double)modules[i].bytes));
    }
    free(modules);
}

static void print_text(const XvCheckpoint *checkpoint, const XvInspectOptions *options)
{
    Totals totals = add_up(checkpoint);
    char model[160], bytes[XV_FORMAT_SIZE], count[XV_FORMAT_SIZE];
    xv_checkpoint_model(checkpoint, model, sizeof model);
    printf("%s: %s, %s%s%s%s\n", checkpoint->path, xv_checkpoint_format_name(checkpoint->format),
           xv_format_bytes(bytes, (double)checkpoint->size),
           *checkpoint->place ? ", state dict under \"" : "", checkpoint->place,
           *checkpoint->place ? "\"" : "");
    printf("model:    %s\n", model);
    printf("tensors:  %d with %s values (%s)", checkpoint->n_tensors, xv_format_count(count, totals.elements),
           xv_format_bytes(bytes, (double)totals.bytes));
    for (int i = 0; i < XV_DTYPE_COUNT; i++) {
        if (totals.of_dtype[i] > 0) {
            printf(", %d %s", totals.of_dtype[i], xv_dtype_name((XvDtype)i));
        }
    }
    printf("%s\n", totals.n_shared > 0 ? "; some share their storage" : "");
    printf("hash:     %016" PRIx64 " (names, shapes, values)\n", xv_checkpoint_hash(checkpoint));
    printf("metadata: %s\n", checkpoint->metadata);
    if (options->lists_tensors) {
        print_tensors(checkpoint);
    } else {
        print_modules(checkpoint);
    }
}

static cJSON *tensor_object(const XvCheckpointTensor *tensor)
{
    cJSON *row = cJSON_CreateObject(), *shape = cJSON_CreateArray();
    cJSON_AddStringToObject(row, "dtype", xv_dtype_name(tensor->dtype));
    for (int i = 0; i < tensor->rank; i++) {
        cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)tensor->shape[i]));
    }
    cJSON_AddItemToObject(row, "shape", shape);
    cJSON_AddNumberToObject(row, "storage", tensor->storage);
    return row;
}

static void print_json(const XvCheckpoint *checkpoint)
{
    Totals totals = add_up(checkpoint);
    char model[160], hash[24];
    xv_checkpoint_model(checkpoint, model, sizeof model);
    snprintf(hash, sizeof hash, "%016" PRIx64, xv_checkpoint_hash(checkpoint));
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "file", checkpoint->path);
    cJSON_AddStringToObject(object, "format", xv_checkpoint_format_name(checkpoint->format));
    cJSON_AddStringToObject(object, "state_dict", checkpoint->place);
    cJSON_AddStringToObject(object, "model", model);
    cJSON_AddNumberToObject(object, "file_bytes", (double)checkpoint->size);
    cJSON_AddNumberToObject(object, "values", (double)totals.elements);
    cJSON_AddStringToObject(object, "hash", hash);
    cJSON_AddItemToObject(object, "metadata", cJSON_Parse(checkpoint->metadata));
    cJSON *tensors = cJSON_AddObjectToObject(object, "tensors");
    for (int i = 0; i < checkpoint->n_tensors; i++) {
        cJSON_AddItemToObject(tensors, checkpoint->tensors[i].name, tensor_object(&checkpoint->tensors[i]));
    }
    char *text = cJSON_Print(object);
    puts(text ? text : "{}");
    free(text);
    cJSON_Delete(object);
}

void xv_checkpoint_print(const XvCheckpoint *checkpoint, const XvInspectOptions *options)
{
    if (options->is_json) {
        print_json(checkpoint);
    } else {
        print_text(checkpoint, options);
    }
}
