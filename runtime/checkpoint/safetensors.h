// The safetensors file format: named tensors in one file, readable without running anything.
//
//   8 bytes     length N of the header, little endian
//   N bytes     JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ...,
//               "__metadata__": {"key": "text", ...}}, padded with spaces to a multiple of 8
//   the rest    tensor data, row-major, little endian; offsets count from here, without gaps or overlaps
//
// Reading trusts nothing: whatever the bytes are, the result is a complete directory or a message. Tensors are read
// by name when they are wanted, so a file may be larger than memory.
#pragma once

#include "runtime/base/error.h"
#include "runtime/base/tensor.h"

#include <stdint.h>

typedef struct XvStored {
    const char *name;
    XvDtype dtype;
    int rank;
    int64_t shape[XV_MAX_RANK];
    int64_t count;   // elements
    int64_t offset;  // bytes from the start of the file
} XvStored;

typedef struct XvMetadata {
    const char *key, *value;
} XvMetadata;

// An open file. Borrowed strings live until xv_safetensors_close.
typedef struct XvSafetensors {
    char *path;
    int file;
    XvStored *tensors;  // in the order of their names (strcmp)
    int n_tensors;
    XvMetadata *metadata;
    int n_metadata;
    void *header;  // owns the strings
} XvSafetensors;

// Opens a file and reads its directory. False with a message that starts with the path for anything that is not a
// complete, consistent safetensors file with the dtypes of XvDtype and at most XV_MAX_RANK dimensions.
// The file may be remote.
bool xv_safetensors_open(XvSafetensors *safetensors, const char *path, XvError *error);

// The same for a file that is open; takes the descriptor, also when it fails.
bool xv_safetensors_take(XvSafetensors *safetensors, int file, const char *path, XvError *error);

void xv_safetensors_close(XvSafetensors *safetensors);

// NULL when there is none.
const XvStored *xv_safetensors_find(const XvSafetensors *safetensors, const char *name);
const char *xv_safetensors_metadata(const XvSafetensors *safetensors, const char *key);

// Reads all elements as floats (from F32, F64, F16, BF16) or as 32-bit integers (from I32, I64, U8, BOOL; values
// that do not fit are refused). `out` holds stored->count elements.
bool xv_safetensors_read_f32(const XvSafetensors *safetensors, const XvStored *stored, float *out,
                             XvError *error);
bool xv_safetensors_read_i32(const XvSafetensors *safetensors, const XvStored *stored, int32_t *out,
                             XvError *error);

// Reads all elements as they are: stored->count * size of the dtype bytes.
bool xv_safetensors_read_raw(const XvSafetensors *safetensors, const XvStored *stored, void *out,
                             XvError *error);

typedef struct XvFileContent {
    const XvTensor *tensors;
    int n_tensors;
    const XvMetadata *metadata;
    int n_metadata;
} XvFileContent;

// Writes a file that is complete or not there: everything goes to PATH.partial, is flushed to the device, and takes
// the place of PATH in one rename. On failure (disk full, size limit, no permission) PATH is what it was before.
bool xv_safetensors_write(const char *path, const XvFileContent *content, XvError *error);

// "[4, 3, 128, 128]"; cut with "..." when it does not fit. Returns `out`.
enum { XV_SHAPE_TEXT = 128 };
const char *xv_shape_text(char out[XV_SHAPE_TEXT], int rank, const int64_t *shape);
