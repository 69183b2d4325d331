// The loader, between what opens it (loader_open.c) and what fills and delivers batches (loader.c).
//
// All of `XvLoader` below `lock` is guarded by it, except `workspace`, `reported` and the buffer that the caller holds,
// which only the caller's thread touches.
#pragma once

#include "runtime/data/loader_batch.h"

#include <pthread.h>

enum { RING = 3 };  // one batch with the caller, one complete, one in the making

typedef enum BufferState { BUFFER_FREE, BUFFER_FILLING, BUFFER_READY, BUFFER_HELD } BufferState;

typedef struct RingEntry {
    XvBatchBuffer batch;
    BufferState state;
    int next_slot;   // slots handed out
    int slots_left;  // slots not filled yet
    bool has_failed;
    XvError error;
} RingEntry;

struct XvLoader {
    XvBatchPlan plan;
    XvRecordFiles *files;  // or
    XvLineStream *stream;
    XvVocabulary *vocabulary;
    XvSurvey *survey;
    XvReferences *references;
    int32_t *prompt;
    XvWorkspace workspace;  // of the caller's thread
    uint8_t *reported;      // one bit per record that was named; NULL in a stream
    int64_t *named;         // [max_warnings + 1] positions of a stream that were named
    double waited;          // seconds
    int n_warnings;
    int64_t skipped, partial;
    int64_t position;  // next batch to deliver

    pthread_mutex_t lock;
    pthread_cond_t has_work, has_batch, is_idle;
    RingEntry ring[RING];
    int n_ring;          // entries in use: 1 without threads
    int64_t next_batch;  // next batch to begin
    int n_active;        // slots being filled
    bool is_paused, is_stopping;
    pthread_t *threads;
    int n_threads;
};

// Starts `count` workers (loader.c). False with a message: xv_loader_close joins those that run already.
bool xv_loader_start(XvLoader *loader, int count, XvError *error);
