// Opening and reading of checkpoints; see checkpoint.h. PyTorch's formats are in checkpoint_torch.c, the search for the
// state dict in state_dict.c.
#include "runtime/checkpoint/checkpoint.h"

#include "runtime/checkpoint/checkpoint_internal.h"
#include "runtime/checkpoint/convert.h"
#include "runtime/checkpoint/safetensors.h"
#include "runtime/storage/storage.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

const char *xv_checkpoint_format_name(XvCheckpointFormat format)
{
    static const char *const NAMES[] = {[XV_FORMAT_SAFETENSORS] = "safetensors",
                                        [XV_FORMAT_ARCHIVE] = "PyTorch archive",
                                        [XV_FORMAT_LEGACY] = "PyTorch legacy"};
    return NAMES[format];
}

// Safetensors ------------------------------------------------------------------------------------------------------

typedef struct SafetensorsNames {
    XvSafetensors file;
} SafetensorsNames;

// Texts, and under "config" the JSON that programs of this compiler write there.
static char *metadata_json(const XvSafetensors *file)
{
    cJSON *object = cJSON_CreateObject();
    for (int i = 0; i < file->n_metadata; i++) {
        const XvMetadata *item = &file->metadata[i];
        cJSON *config = strcmp(item->key, "config") == 0 || strcmp(item->key, "epoch") == 0
                            ? cJSON_Parse(item->value)
                            : NULL;
        cJSON_AddItemToObject(object, item->key, config ? config : cJSON_CreateString(item->value));
    }
    char *text = cJSON_PrintUnformatted(object);
    cJSON_Delete(object);
    return text;
}

static void dense_strides(XvCheckpointTensor *tensor)
{
    int64_t stride = 1;
    for (int i = tensor->rank - 1; i >= 0; i--) {
        tensor->stride[i] = stride;
        stride *= tensor->shape[i] > 0 ? tensor->shape[i] : 1;
    }
}

static bool copy_directory(XvCheckpoint *checkpoint, const XvSafetensors *file, XvError *error)
{
    checkpoint->tensors = calloc((size_t)file->n_tensors + 1, sizeof *checkpoint->tensors);
    checkpoint->metadata = metadata_json(file);
    if (!checkpoint->tensors || !checkpoint->metadata) {
        return xv_fail(error, "no memory");
    }
    for (int i = 0; i < file->n_tensors; i++) {
        const XvStored *stored = &file->tensors[i];
        XvCheckpointTensor *tensor = &checkpoint->tensors[checkpoint->n_tensors++];
        *tensor = (XvCheckpointTensor){.name = stored->name,
                                       .dtype = stored->dtype,
                                       .rank = stored->rank,
                                       .count = stored->count,
                                       .offset = stored->offset,
                                       .storage = i};
        memcpy(tensor->shape, stored->shape, sizeof tensor->shape);
        dense_strides(tensor);
    }
    return true;
}

static bool read_safetensors(XvCheckpoint *checkpoint, int descriptor, XvError *error)
{
    SafetensorsNames *names = calloc(1, sizeof *names);
    if (!names) {
        return xv_fail(error, "no memory");
    }
    checkpoint->owner = names;
    XvError own = {{0}};
    names->file.file = -1;
    int file = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
    if (file < 0) {
        return xv_fail(error, "cannot be opened again: %s", strerror(errno));
    }
    if (!xv_safetensors_take(&names->file, file, checkpoint->path, &own)) {
        // Its messages start with the path, which the caller adds.
        size_t length = strlen(checkpoint->path);
        bool has_path = strncmp(own.text, checkpoint->path, length) == 0 && own.text[length] == ':';
        return xv_fail(error, "%s", own.text + (has_path ? length + 2 : 0));
    }
    return copy_directory(checkpoint, &names->file, error);
}

// Opening ----------------------------------------------------------------------------------------------------------

static bool read_any(XvCheckpoint *checkpoint, int file, XvError *error)
{
    const uint8_t *bytes = checkpoint->bytes;
    if (checkpoint->size >= 4 && memcmp(bytes, "PK\3\4", 4) == 0) {
        checkpoint->format = XV_FORMAT_ARCHIVE;
        return xv_torch_archive_read(checkpoint, error);
    }
    if (checkpoint->size >= 2 && bytes[0] == 0x80 && bytes[1] <= 5) {
        checkpoint->format = XV_FORMAT_LEGACY;
        return xv_torch_legacy_read(checkpoint, error);
    }
    if (checkpoint->size >= 9 && bytes[8] == '{') {
        checkpoint->format = XV_FORMAT_SAFETENSORS;
        return read_safetensors(checkpoint, file, error);
    }
    return xv_fail(error, "is neither a safetensors file nor a PyTorch checkpoint");
}

static bool map_file(XvCheckpoint *checkpoint, int file, XvError *error)
{
    struct stat status;
    if (fstat(file, &status) < 0 || !S_ISREG(status.st_mode)) {
        return xv_fail(error, "not a regular file");
    }
    if (status.st_size == 0) {
        return xv_fail(error, "the file is empty");
    }
    void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (bytes == MAP_FAILED) {
        return xv_fail(error, "cannot be mapped: %s", strerror(errno));
    }
    checkpoint->bytes = bytes;
    checkpoint->size = status.st_size;
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const XvCheckpointTensor *)a)->name, ((const XvCheckpointTensor *)b)->name);
}

static bool sort_names(XvCheckpoint *checkpoint, XvError *error)
{
    qsort(checkpoint->tensors, (size_t)checkpoint->n_tensors, sizeof *checkpoint->tensors, by_name);
    for (int i = 1; i < checkpoint->n_tensors; i++) {
        if (strcmp(checkpoint->tensors[i - 1].name, checkpoint->tensors[i].name) == 0) {
            return xv_fail(error, "two tensors are called \"%s\"", checkpoint->tensors[i].name);
        }
    }
    return true;
}

bool xv_checkpoint_open(XvCheckpoint *checkpoint, const char *path, XvError *error)
{
    *checkpoint = (XvCheckpoint){.path = strdup(path)};
    int file = xv_storage_descriptor(path, error);
    if (file < 0) {
        xv_checkpoint_close(checkpoint);
        return false;
    }
    bool is_open = checkpoint->path && map_file(checkpoint, file, error) &&
                   read_any(checkpoint, file, error) && sort_names(checkpoint, error);
    close(file);
    if (!is_open) {
        xv_checkpoint_close(checkpoint);
        return xv_fail_in(error, "%s", path);
    }
    return true;
}

void xv_checkpoint_close(XvCheckpoint *checkpoint)
{
    if (checkpoint->format == XV_FORMAT_SAFETENSORS && checkpoint->owner) {
        xv_safetensors_close(&((SafetensorsNames *)checkpoint->owner)->file);
        free(checkpoint->owner);
    } else if (checkpoint->owner) {
        xv_pickle_free(checkpoint->owner);
        free(checkpoint->owner);
    }
    if (checkpoint->bytes) {
        munmap((void *)checkpoint->bytes, (size_t)checkpoint->size);
    }
    free(checkpoint->tensors);
    free(checkpoint->metadata);
    free(checkpoint->path);
    *checkpoint = (XvCheckpoint){0};
}

const XvCheckpointTensor *xv_checkpoint_find(const XvCheckpoint *checkpoint, const char *name)
{
    XvCheckpointTensor wanted = {.name = name};
    return checkpoint->n_tensors == 0
               ? NULL
               : bsearch(&wanted, checkpoint->tensors, (size_t)checkpoint->n_tensors, sizeof wanted, by_name);
}

// Reading ----------------------------------------------------------------------------------------------------------

// Walks a tensor in runs along its last dimensions, as far as they lie at equal distances.
typedef struct Runs {
    const XvCheckpointTensor *tensor;
    int n_outer;                 // dimensions outside the run
    int64_t index[XV_MAX_RANK];  // of the outer dimensions
    int64_t done;                // elements of earlier runs
    XvElements run;
} Runs;

static bool first_run(const XvCheckpoint *checkpoint, const XvCheckpointTensor *tensor, Runs *runs)
{
    int64_t size = (int64_t)xv_dtype_size(tensor->dtype);
    *runs = (Runs){.tensor = tensor, .n_outer = tensor->rank};
    runs->run = (XvElements){.bytes = checkpoint->bytes + tensor->offset,
                             .step = size,
                             .count = 1,
                             .dtype = tensor->dtype,
                             .is_swapped = checkpoint->is_swapped};
    if (tensor->count == 0) {
        return false;
    }
    int64_t stride = 0;
    while (runs->n_outer > 0) {
        int64_t extent = tensor->shape[runs->n_outer - 1], next = tensor->stride[runs->n_outer - 1];
        if (extent > 1 && runs->run.count > 1 && next != stride * runs->run.count) {
            break;
        }
        stride = extent > 1 && runs->run.count == 1 ? next : stride;
        runs->run.count *= extent;
        runs->n_outer--;
    }
    runs->run.step = stride * size;
    return true;
}

static bool next_run(const XvCheckpoint *checkpoint, Runs *runs)
{
    const XvCheckpointTensor *tensor = runs->tensor;
    int64_t size = (int64_t)xv_dtype_size(tensor->dtype), at = tensor->offset;
    runs->done += runs->run.count;
    int dim = runs->n_outer - 1;
    while (dim >= 0 && ++runs->index[dim] == tensor->shape[dim]) {
        runs->index[dim--] = 0;
    }
    for (int i = 0; i < runs->n_outer; i++) {
        at += runs->index[i] * tensor->stride[i] * size;
    }
    runs->run.bytes = checkpoint->bytes + at;
    return dim >= 0;
}

bool xv_checkpoint_read_f32(const XvCheckpoint *checkpoint, const XvCheckpointTensor *tensor, float *out,
                            XvError *error)
{
    if (!xv_is_float(tensor->dtype)) {
        return xv_fail(error, "%s: tensor \"%s\" is %s, floating point is wanted", checkpoint->path,
                       tensor->name, xv_dtype_name(tensor->dtype));
    }
    Runs runs;
    for (bool is_more = first_run(checkpoint, tensor, &runs); is_more;
         is_more = next_run(checkpoint, &runs)) {
        xv_floats_of(&runs.run, out + runs.done);
    }
    return true;
}

bool xv_checkpoint_read_i32(const XvCheckpoint *checkpoint, const XvCheckpointTensor *tensor, int32_t *out,
                            XvError *error)
{
    if (xv_is_float(tensor->dtype)) {
        return xv_fail(error, "%s: tensor \"%s\" is %s, integers are wanted", checkpoint->path, tensor->name,
                       xv_dtype_name(tensor->dtype));
    }
    Runs runs;
    for (bool is_more = first_run(checkpoint, tensor, &runs); is_more;
         is_more = next_run(checkpoint, &runs)) {
        int64_t misfit;
        if (!xv_integers_of(&runs.run, out + runs.done, &misfit)) {
            return xv_fail(error, "%s: tensor \"%s\" holds %" PRId64 ", which does not fit 32 bits",
                           checkpoint->path, tensor->name, misfit);
        }
    }
    return true;
}

void xv_checkpoint_read_raw(const XvCheckpoint *checkpoint, const XvCheckpointTensor *tensor, void *out)
{
    Runs runs;
    for (bool is_more = first_run(checkpoint, tensor, &runs); is_more;
         is_more = next_run(checkpoint, &runs)) {
        xv_elements_copy(&runs.run, (char *)out + (size_t)runs.done * xv_dtype_size(tensor->dtype));
    }
}
