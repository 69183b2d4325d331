// A checkpoint file of any format, as one list of named tensors with what else it says.
//
//   safetensors         see safetensors.h
//   PyTorch archives    torch.save since 1.6: a zip archive with a pickle and one entry per storage
//   PyTorch legacy      torch.save before that: pickles, then the storages one after the other
//
// The file is mapped, not read: tensors are taken from it when they are wanted, so it may be larger than memory.
// Opening checks that every element of every tensor lies inside the file; nothing in the file is ever run.
//
// The state dict is found at the top or under "model", "state_dict" and such names, also nested; the values beside it
// ("config", "epoch") are the metadata. A file without a state dict (an optimizer's) gives all its tensors under the
// path to them, "optimizer.state.0.exp_avg".
#pragma once

#include "runtime/base/error.h"
#include "runtime/base/tensor.h"

#include <stdint.h>

typedef enum XvCheckpointFormat {
    XV_FORMAT_SAFETENSORS,
    XV_FORMAT_ARCHIVE,
    XV_FORMAT_LEGACY
} XvCheckpointFormat;

typedef struct XvCheckpointTensor {
    const char *name;
    XvDtype dtype;
    int rank;
    int64_t shape[XV_MAX_RANK];
    int64_t stride[XV_MAX_RANK];  // elements
    int64_t count;                // elements
    int64_t offset;               // bytes from the start of the file to the first element
    int storage;                  // tensors with the same number share their elements, or parts of them
} XvCheckpointTensor;

typedef struct XvCheckpoint {
    char *path;
    XvCheckpointFormat format;
    char place[64];               // "model", "model.state_dict", ""; where the state dict was
    XvCheckpointTensor *tensors;  // in the order of their names (strcmp)
    int n_tensors;
    char *metadata;        // a JSON object; never NULL
    bool is_swapped;       // written by a machine of the other byte order
    const uint8_t *bytes;  // the mapped file
    int64_t size;
    void *owner;  // of the names
} XvCheckpoint;

// The file may be remote. False with a message that starts with the path.
bool xv_checkpoint_open(XvCheckpoint *checkpoint, const char *path, XvError *error);

// A checkpoint of {0} is allowed.
void xv_checkpoint_close(XvCheckpoint *checkpoint);

// NULL when there is none.
const XvCheckpointTensor *xv_checkpoint_find(const XvCheckpoint *checkpoint, const char *name);

// All elements in row-major order: floating point as floats, integers and booleans as 32-bit integers (values that do
// not fit are refused), or as they are. `out` holds tensor->count elements.
bool xv_checkpoint_read_f32(const XvCheckpoint *checkpoint, const XvCheckpointTensor *tensor, float *out,
                            XvError *error);
bool xv_checkpoint_read_i32(const XvCheckpoint *checkpoint, const XvCheckpointTensor *tensor, int32_t *out,
                            XvError *error);
void xv_checkpoint_read_raw(const XvCheckpoint *checkpoint, const XvCheckpointTensor *tensor, void *out);

// "safetensors", "PyTorch archive", "PyTorch legacy".
const char *xv_checkpoint_format_name(XvCheckpointFormat format);
