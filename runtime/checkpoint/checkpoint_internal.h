// Parts of checkpoint.c: what each format adds to an XvCheckpoint whose file is mapped.
#pragma once

#include "runtime/checkpoint/checkpoint.h"
#include "runtime/checkpoint/pickle.h"

// Tensors and metadata of PyTorch's formats. The names belong to `checkpoint->owner` afterwards.
bool xv_torch_archive_read(XvCheckpoint *checkpoint, XvError *error);
bool xv_torch_legacy_read(XvCheckpoint *checkpoint, XvError *error);

// Where one storage of a pickle lies in the file.
typedef struct XvStoragePlace {
    const XvPickleStorage *storage;
    int64_t offset;  // bytes from the start of the file
} XvStoragePlace;

// Fills tensors, place and metadata from the saved object; `places` are in the order of their keys (strcmp).
bool xv_state_dict_read(XvCheckpoint *checkpoint, const XvPickle *root, const XvStoragePlace *places,
                        int n_places, XvError *error);

// The first place with a key, or NULL.
const XvStoragePlace *xv_storage_place(const XvStoragePlace *places, int n_places, const char *key);

// All storages a pickle mentions in the order of their keys, each once; offsets are 0. The caller frees them. False for
// storages that contradict each other.
bool xv_storage_places(const XvPickleTree *tree, XvStoragePlace **places, int *n_places, XvError *error);
