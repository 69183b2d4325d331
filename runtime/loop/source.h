// Where batches come from: a small table of functions, so that the loop can be run on data made up by a test.
#pragma once

#include "runtime/data/loader.h"
#include "runtime/loop/settings.h"

typedef struct XvSourceRequest {
    const XvEntry *entry;  // whose data is wanted
    const XvGraph *graph;  // whose inputs are filled
    const char *path;      // records: a file, a folder, or several with commas between them
    const char *vocab;     // NULL: vocab.txt beside the records, else text_encoder of the settings
    const XvSettings *settings;
    bool is_evaluation;
    uint64_t seed;
    int threads;
    int rank, world;  // whose part of the records; a world of 0 or 1: all of them
    bool by_batch;    // see XvLoaderOptions
} XvSourceRequest;

// All functions but open take the state that open returned; see XvLoader for what they promise.
typedef struct XvSourceKind {
    void *(*open)(const XvSourceRequest *request, XvError *error);
    bool (*next)(void *state, XvBatch *batch, XvError *error);
    int64_t (*position)(const void *state);
    void (*seek)(void *state, int64_t position);
    int64_t (*records)(const void *state);
    int64_t (*batches)(const void *state);
    int (*batch_size)(const void *state);
    int64_t (*skipped)(const void *state);
    int64_t (*partial)(const void *state);
    double (*waited)(const void *state);  // seconds
    void (*close)(void *state);
} XvSourceKind;

// An open source, or {0} where an entry has none.
typedef struct XvSource {
    const XvSourceKind *kind;
    void *state;
} XvSource;

// Sources over XvLoader. The request's strings must outlive them.
extern const XvSourceKind XV_LOADER_SOURCE;

bool xv_source_open(XvSource *source, const XvSourceKind *kind, const XvSourceRequest *request,
                    XvError *error);
void xv_source_close(XvSource *source);

// The vocabulary a request means: its own, vocab.txt in the folder of its (first) records, or the configured
// text_encoder. Writes into `path`, which holds PATH_MAX bytes. False with a message when none is there.
bool xv_vocabulary_path(const XvSourceRequest *request, char *path, XvError *error);
