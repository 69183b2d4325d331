// libFuzzer target over the readers of checkpoints (safetensors, PyTorch archives and legacy files): any bytes are a
// checkpoint whose tensors can all be read, or a message.
#include "runtime/checkpoint/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_ELEMENTS = 1 << 16 };  // expanded tensors may be larger than any memory

static void read_tensors(const XvCheckpoint *checkpoint)
{
    XvError error = {{0}};
    for (int i = 0; i < checkpoint->n_tensors; i++) {
        const XvCheckpointTensor *tensor = &checkpoint->tensors[i];
        if (tensor->count > MOST_ELEMENTS) {
            continue;
        }
        void *values = malloc((size_t)tensor->count * 8 + 1);
        xv_checkpoint_read_raw(checkpoint, tensor, values);
        if (!xv_checkpoint_read_f32(checkpoint, tensor, values, &error)) {
            xv_checkpoint_read_i32(checkpoint, tensor, values, &error);
        }
        free(values);
        if (xv_checkpoint_find(checkpoint, tensor->name) != tensor) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int file = memfd_create("checkpoint", 0);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    if (file < 0 || (size > 0 && write(file, data, size) != (ssize_t)size)) {
        abort();
    }
    XvCheckpoint checkpoint;
    XvError error = {{0}};
    if (xv_checkpoint_open(&checkpoint, path, &error)) {
        read_tensors(&checkpoint);
        xv_checkpoint_close(&checkpoint);
    } else if (!*error.text) {
        abort();
    }
    close(file);
    return 0;
}
