// What a generated program shows the runtime: constant tables and a few functions, all reached from `xv_program`.
//
// The runtime knows no model. It allocates the regions, fills inputs, sets draws, calls `run`, reads outputs,
// calls `update`, and saves parameters by name.
#pragma once

#include "runtime/base/tensor.h"
#include "runtime/device/kernel_types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// How a fresh parameter is drawn. a and b: NORMAL mean, standard deviation; TRUNCATED the same, cut at 2
// absolute; UNIFORM low, high; CONSTANT value.
//
// SINCOS_2D, for a table [..., G * G, C] of the positions of a square grid, with C divisible by 4: the rows of sines
// and cosines of Vaswani et al. 2017 (3.5) along x, then along y, as in MAE (He et al. 2021), times a. With q = C / 4,
// channel k of each quarter has the angle position * b ^ (-k / q): a scale, b temperature.
typedef enum XvInitKind {
    XV_INIT_CONSTANT,
    XV_INIT_NORMAL,
    XV_INIT_TRUNCATED,
    XV_INIT_UNIFORM,
    XV_INIT_SINCOS_2D,
} XvInitKind;

typedef struct XvParameter {
    const char *name;  // official state_dict name
    int rank;
    int64_t shape[XV_MAX_RANK];
    int64_t offset;  // first element in the parameter, gradient and moment regions
    int64_t count;   // elements
    XvInitKind init;
    double init_a, init_b;
    bool is_trainable;
    bool has_decay;  // weight decay applies
    bool is_fresh;   // learning rate * lr_mult
    bool has_clamp;  // clamped in place before each step
    double clamp_low, clamp_high;
    bool has_copy;      // products read it in two bytes, of XvProgram.copy_type
    bool has_zero_row;  // row zero_row of dimension 0 is zero when fresh
    int64_t zero_row;
    const char *source;  // "models/bert.dsl:12"
} XvParameter;

// Another official name of a parameter (tied weights).
typedef struct XvAlias {
    const char *name;
    int parameter;  // index into parameters
} XvAlias;

// What a buffer holds; ORDER FILL. A shift mask, on a map of m x m windows, is -100 between parts of a window that a
// shift by w / 2 brought together, else 0.
typedef enum XvBufferFill {
    XV_FILL_NONE,          // not known: it is not written
    XV_FILL_POSITIONS,     // I64 [1, n]: 0..n-1
    XV_FILL_WINDOW_INDEX,  // I64 [w * w, w * w]: the row of a table of relative positions, by query and key
    XV_FILL_SHIFT_MASK,    // F32 [m * m, w * w, w * w]
} XvBufferFill;

// A constant that official state dicts carry and the program computes itself (index tables, masks).
typedef struct XvBuffer {
    const char *name;
    XvDtype dtype;
    int rank;
    int64_t shape[XV_MAX_RANK];
    XvBufferFill fill;
} XvBuffer;

// A tensor at a fixed place of an arena.
typedef struct XvValue {
    const char *name;  // "image", "loss_itc", "trace.vision_encoder.patch_embed"
    XvDtype dtype;     // XV_F32 or XV_I32 (indices, masks and labels)
    int rank;
    int64_t shape[XV_MAX_RANK];
    size_t offset;  // bytes from the start of the arena, a multiple of 64
} XvValue;

typedef enum XvDrawKind {
    XV_DRAW_KEEP,  // dropout, drop path: 1/(1-rate) with probability 1-rate, else 0; off by default in replay
    XV_DRAW_SAMPLE,  // indices drawn from rows of weights
    XV_DRAW_SCALE,   // not random: what the loss is multiplied by before the backward pass (fp16)
} XvDrawKind;

typedef struct XvDrawInfo {
    const char *name;  // "neg_image_idx", "dropout.text_encoder.bert.embeddings"
    XvDrawKind kind;
    double rate;  // of KEEP
    int rank;
    int64_t shape[XV_MAX_RANK];
} XvDrawInfo;

// Neighbours in the regions of parameters and gradients.
typedef struct XvRange {
    int64_t first, count;  // elements
} XvRange;

// Everything a generated function may touch.
typedef struct XvRun {
    float *parameters;
    uint16_t *copies;  // of parameters, in two bytes, at the same elements; NULL without any
    float *gradients;
    char *arena;
    const XvDraw *draws;        // one per draw of the graph
    const struct XvComm *comm;  // the ranks that collectives span (runtime/comm/comm.h); NULL: one process
    bool is_local;              // gradients stay those of this rank: they are not averaged
    struct XvDevice *device;    // of the target cuda; NULL for c
} XvRun;

// What the target cuda adds; see runtime/cuda/device.h.
// A kernel of attention, which is made for its shapes.
typedef struct XvCudaAttention {
    XvDtype type;
    bool is_tf32;
    int n_query, n_key, head_dim, value_dim, n_biases;
    bool has_keep;
    bool is_grad, has_parts;  // gradient; of a bias as well
    int kernel;               // number among the program's kernels
} XvCudaAttention;

typedef struct XvCudaProgram {
    const char *const *kernel_names;  // of kernels.cu, in the order of their numbers
    int n_kernels;
    double beta1, beta2, epsilon;  // of AdamW
    const char *kernel_text;       // kernels.cu
    const XvCudaAttention *attentions;
    int n_attentions;
} XvCudaProgram;

// One compiled graph: a straight list of kernel calls over one arena.
typedef struct XvGraph {
    size_t arena_bytes;
    void (*run)(const XvRun *run);
    const XvValue *inputs;
    int n_inputs;
    const XvValue *outputs;  // names of losses, outputs, traces
    int n_outputs;
    const XvDrawInfo *draws;
    int n_draws;
    double matmul_flops;  // 2 * multiply-adds of all matmuls and attention
    double bytes;         // read and written by all kernels, each tensor once per kernel
    int n_kernels;        // calls per run
} XvGraph;

// One entry point of the task, such as `images` or `regions`. Training entries minimise a loss; evaluation entries have
// an observe graph only: `loss` is NULL, `train.run` is NULL, no parameter has a gradient.
typedef struct XvEntry {
    const char *name;
    const char *data;    // kind of loader that fills the inputs: "image_text", "regions"
    double probability;  // chance that a training iteration runs it; 1 for the main entry, which comes last
    bool advances_schedule;
    const char *loss;           // name of the minimised output ("loss_total"), or NULL
    const char *const *losses;  // names of its terms, in order
    int n_losses;
    XvGraph train;    // losses; leaves gradients of every parameter with has_gradient, those of several ranks
                      // replaced by their means over the ranks
    XvGraph observe;  // every named output, metric and trace; no randomness but named samples
    const uint8_t *has_gradient;  // one per parameter
    const char *const *metrics;   // names of observe outputs of shape [2]: {sum, count}
    int n_metrics;
} XvEntry;

typedef enum XvDecodeMethod {
    XV_DECODE_GREEDY,  // the likeliest token at every place
    XV_DECODE_SAMPLE,  // tokens drawn from the distribution
    XV_DECODE_BEAM,    // the best of several beams
} XvDecodeMethod;

// Two entries between which a search for sequences of tokens runs (runtime/decode). With B items of prefill, N rows of
// step (N / B for every item, side by side), V words:
//   prefill   inputs   prompt_ids [B, P] and what the prompt is about
//             outputs  logits [B, V] of the token after the prompt, and memory
//   step      inputs   tokens [N], position [] (how many tokens the rows have seen), and memory
//             outputs  logits [N, V] of the next token, and memory of this token
// Memory is an output of prefill and an input of step of one name. Where step has such an output too, it is a cache,
// [layers, rows, heads, places, width] with P places in prefill (and B rows), all in the input, one in step's output,
// which belongs to the place `position`. Other memory is handed over once, as it is.
// Results: NAME_ids [N, width] and NAME_logprobs [N] (of beams [B, width] and NAME_scores [B]).
typedef struct XvDecoder {
    const char *name;
    XvDecodeMethod method;
    int prefill, step;               // indices into entries; not run on their own
    int64_t max_length, min_length;  // with the prompt
    int32_t end_id, pad_id;
} XvDecoder;

// Where parameters are found in a checkpoint of another kind, as the task declares it. Names may hold one `*`, which
// stands for the same characters on both sides. Of the rules that fit a name, the first whose tensor is there counts.
typedef struct XvLoadRule {
    const char *source;       // kind of checkpoint: "X-VLM pre-training"; its rules follow each other
    const char *destination;  // parameters
    const char *from;         // tensors of the checkpoint; NULL: such a checkpoint lacks them
} XvLoadRule;

// What an optimizer step reads and writes.
typedef struct XvUpdateRegions {
    float *parameters;
    uint16_t *copies;  // or NULL
    const float *gradients;
    float *moment1, *moment2;
} XvUpdateRegions;

typedef struct XvProgram {
    const char *model;      // "xvlm_base"
    const char *task;       // "pretrain"
    const char *target;     // "c"
    const char *precision;  // "fp32", "tf32", "bf16", "fp16": what products read and give
    XvDtype copy_type;      // of the copies of parameters: BF16 or F16; F32: there are none
    const char *config;     // the resolved configuration as JSON, official names
    int ranks;              // processes that the collectives of its graphs span; 0: there are none, and the
                            // program runs on any number
    const XvParameter *parameters;
    int n_parameters;
    int64_t parameter_count;  // elements of the parameter region, padding included
    const XvAlias *aliases;
    int n_aliases;
    const XvBuffer *buffers;
    int n_buffers;
    const XvLoadRule *load_rules;
    int n_load_rules;
    const XvEntry *entries;
    int n_entries;
    const XvDecoder *decoders;
    int n_decoders;
    // One optimizer step on the parameters that has_gradient marks, and on their copies. Moments are laid out like
    // parameters.
    void (*update)(const XvUpdateRegions *regions, const uint8_t *has_gradient, const XvUpdate *update);
    const XvCudaProgram *cuda;  // target cuda: `update` is NULL, kernels run on a device; else NULL
} XvProgram;

extern const XvProgram xv_program;
