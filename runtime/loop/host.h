// Memory of a program and runs of its graphs.
//
// One arena serves all graphs, so a run overwrites what the last one left: inputs are filled before every run and
// outputs are read before the next.
#pragma once

#include "runtime/base/error.h"
#include "runtime/base/region.h"
#include "runtime/base/tensor.h"
#include "runtime/comm/comm.h"
#include "runtime/cuda/device.h"
#include "runtime/loop/copies.h"
#include "runtime/program.h"

typedef enum XvHostUse {
    XV_HOST_OBSERVE,  // parameters and an arena for the observe graphs
    XV_HOST_TRAIN,    // all regions, an arena for both graphs of an entry
} XvHostUse;

// A set of entries, bit i for program->entries[i]: those that will run.
typedef uint64_t XvEntrySet;
#define XV_ALL_ENTRIES UINT64_MAX

typedef struct XvMirror XvMirror;

typedef struct XvHost {
    const XvProgram *program;
    XvRegion parameters, gradients, moment1, moment2, arena;
    XvCopies *copies;  // of parameters, see copies.h; NULL: the program has none
    float loss_scale;  // for XV_DRAW_SCALE; 1 after xv_host_create
    XvDraw *draws;     // room for the draws of any graph
    XvComm *comm;      // the ranks that run together, see xv_host_join; NULL after xv_host_create: one
    bool is_local;     // runs leave the gradients of this rank alone, not the means over the ranks
    XvDevice device;   // of a program for the target cuda: runs the kernels; kind NULL for c
    XvMirror *mirror;  // of a device with memory of its own, see mirror.h; else kernels use the regions
} XvHost;

// Whether training runs the entry: it minimises something, and not with probability 0.
bool xv_is_training(const XvEntry *entry);

// Allocates zeroed regions, the arena as large as the entries of the set need. Says so on stderr when the machine has
// less memory than that.
bool xv_host_create(XvHost *host, const XvProgram *program, XvHostUse use, XvEntrySet entries,
                    XvError *error);
void xv_host_free(XvHost *host);

// Makes the host one of the ranks of comm; NULL: it stays alone. Every rank comes here at once; false on all of them
// when one cannot.
bool xv_host_join(XvHost *host, XvComm *comm, XvError *error);

// The regions as arrays, to read and to change: what a device has changed is fetched first, and the device gets what is
// there when it next runs. Everybody comes here: the data of a region alone may be old.
float *xv_host_parameters(const XvHost *host);
float *xv_host_gradients(const XvHost *host);
float *xv_host_moment1(const XvHost *host);
float *xv_host_moment2(const XvHost *host);

// The same, to read alone: a device keeps what it has.
const float *xv_host_read_parameters(const XvHost *host);
const float *xv_host_read_gradients(const XvHost *host);
const float *xv_host_read_moment1(const XvHost *host);
const float *xv_host_read_moment2(const XvHost *host);

// Fetches all that training keeps, parameters and moments, for the functions above, and waits once.
void xv_host_fetch_state(const XvHost *host);

// Brings the parameters with a clamp into their range, where they are.
void xv_host_clamp(XvHost *host);

// Bytes of the largest arena that `use` of the entries needs.
size_t xv_arena_bytes(const XvProgram *program, XvHostUse use, XvEntrySet entries);

// What the randomness of a run is keyed by, and whether dropout and drop path are on.
typedef struct XvDrawMoment {
    uint64_t seed;
    int64_t step;
    bool is_keep_on;
} XvDrawMoment;

// What this rank draws from: rank 0 from the seed of the run, so that it draws what a single process draws.
uint64_t xv_rank_seed(const XvComm *comm, uint64_t seed);

// Sets host->draws for a run: keys from (seed, rank, step, name of the entry, name of the draw), nothing given. Draws
// of one name have one key in every graph of an entry.
void xv_host_set_draws(XvHost *host, const XvEntry *entry, const XvGraph *graph, const XvDrawMoment *moment);

// Copies each input of the graph from the tensor of its name into the arena. False when one is not among them or
// differs in dtype or shape.
bool xv_host_fill(XvHost *host, const XvGraph *graph, const XvTensor *tensors, int n_tensors, XvError *error);

// Runs the graph with the draws set last, on the device that XV_DEVICE names if the program is for the target cuda.
// A kernel that fails ends the process with a message: nothing on the device can be trusted afterwards.
void xv_host_run(XvHost *host, const XvGraph *graph);

// Which inputs go to a device with memory of its own, and which outputs come back; the others stay there.
typedef struct XvTransfers {
    bool (*sends)(const XvValue *input);
    bool (*fetches)(const XvValue *output);
} XvTransfers;

// The same; what the transfers leave out is up to date on the device alone.
void xv_host_run_partly(XvHost *host, const XvGraph *graph, const XvTransfers *transfers);

// The named value, or NULL.
const XvValue *xv_graph_input(const XvGraph *graph, const char *name);
const XvValue *xv_graph_output(const XvGraph *graph, const char *name);

// A value as a tensor in the arena.
XvTensor xv_host_tensor(const XvHost *host, const XvValue *value);

// The first element of a named F32 output; NaN when the graph has none of that name.
double xv_host_scalar(const XvHost *host, const XvGraph *graph, const char *name);

int64_t xv_value_count(const XvValue *value);  // elements
size_t xv_value_bytes(const XvValue *value);
