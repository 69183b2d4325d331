// `xvlm checkpoint`: what a file is, what of it a program would load, and conversion between formats.
#pragma once

#include "runtime/checkpoint/checkpoint.h"

typedef struct XvInspectOptions {
    bool lists_tensors;  // every tensor with its shape, not only the modules
    bool is_json;
} XvInspectOptions;

// Prints format, model, sizes, dtypes, modules and the hash of the contents.
void xv_checkpoint_print(const XvCheckpoint *checkpoint, const XvInspectOptions *options);

// Hash of names, shapes and values, whatever the format: FNV-1a with 64 bits. A converted file has the same.
uint64_t xv_checkpoint_hash(const XvCheckpoint *checkpoint);

// What the names say about the model: "X-VLM pre-training, Swin, BERT"; "unknown model" when nothing fits.
void xv_checkpoint_model(const XvCheckpoint *checkpoint, char *out, size_t size);

// The subcommand `convert IN OUT`; its arguments follow argv[0].
int xv_checkpoint_convert(int argc, char **argv);
