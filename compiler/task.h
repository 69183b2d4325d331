// A task as the elaborator leaves it and the pipeline finishes it: parameters, entry points, settings.
#pragma once

#include "compiler/precision.h"
#include "compiler/program.h"

typedef struct Alias {
    Sym name;  // second official name of a parameter
    int parameter;
} Alias;

// What a buffer holds; ORDER FILL: as XvBufferFill of runtime/program.h.
typedef enum BufferFill { FILL_NONE, FILL_POSITIONS, FILL_WINDOW_INDEX, FILL_SHIFT_MASK } BufferFill;

typedef struct Buffer {
    Sym name;  // official state_dict entry that the program computes itself
    Dtype dtype;
    Shape shape;
    BufferFill fill;
} Buffer;

// Where parameters are found in a checkpoint of another kind, in the order of the text. Names may hold one `*`, which
// stands for the same characters on both sides.
typedef struct LoadRule {
    Sym source;       // "X-VLM pre-training"
    Sym destination;  // of the program's parameters
    Sym from;         // of the checkpoint's tensors; NULL: such a checkpoint lacks them
} LoadRule;

typedef struct Entry {
    Sym name;            // "images"
    Sym data;            // loader kind, "" if none
    double probability;  // chance that a training iteration runs it; 1 for the main entry, 0 for evaluation
    bool advances_schedule;
    Sym total;          // name of the minimised sum ("loss_total"); NULL: an evaluation entry
    const Sym *losses;  // its terms
    int n_losses;
    const Sym *metrics;
    int n_metrics;
    Span span;
    // Filled by the elaborator: every output, trace and metric; randomness as KEEP and SAMPLE nodes.
    const Graph *forward;
    // Filled by the pipeline.
    const Program *train;         // losses and gradients; NULL for an evaluation entry
    const Program *observe;       // every output, no gradients, no dropout
    const uint8_t *has_gradient;  // per parameter
} Entry;

// How tokens are searched for; ORDER METHOD: as XvDecodeMethod of runtime/program.h.
typedef enum DecodeMethod { DECODE_GREEDY, DECODE_SAMPLE, DECODE_BEAM } DecodeMethod;

// Two entry points between which a host-driven search runs; see decoder.h.
typedef struct Decoder {
    Sym name;  // "greedy": its results are greedy_ids, greedy_logprobs
    DecodeMethod method;
    Sym prefill, step;  // entry points
    int64_t max_length, min_length;
    int64_t end_id, pad_id;
    Span span;
} Decoder;

// The official AdamW variant (optim.py). The rates and the clip norm are read from the configuration at run
// time.
typedef struct Optimizer {
    double beta1, beta2, epsilon;
} Optimizer;

typedef struct Task {
    Sym model;           // "xvlm_base"
    Sym name;            // "pretrain"
    const char *config;  // resolved configuration as JSON
    int ranks;           // processes that the graphs' collectives span; 0: no graph depends on their number
    const Parameter *parameters;  // and behind them packs of them
    int n_parameters, n_packs;
    const int64_t *offsets;   // of each parameter and pack in the parameter region, in elements
    int64_t parameter_count;  // elements of the region, padding included
    const Alias *aliases;
    int n_aliases;
    const Buffer *buffers;
    int n_buffers;
    const LoadRule *load_rules;  // those of a source follow each other
    int n_load_rules;
    Entry *entries;  // the main training entry last, if there is one
    int n_entries;
    const Decoder *decoders;
    int n_decoders;
    Optimizer optimizer;
    Precision precision;
    const uint8_t *has_copy;  // per parameter: products read it in two bytes; set by the pipeline
} Task;
