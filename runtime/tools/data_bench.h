// A small set of pictures for measuring the loader.
#pragma once

#include "runtime/base/error.h"

enum { XV_BENCH_WIDTH = 640, XV_BENCH_HEIGHT = 480, XV_BENCH_PICTURES = 16 };

// A new folder with records.jsonl, vocab.txt and pictures; removed by xv_bench_set_remove.
typedef struct XvBenchSet {
    char folder[64];  // below the system's folder for temporary files
    char records[128], vocab[128];
} XvBenchSet;

// Draws XV_BENCH_PICTURES JPEGs of 640x480 pixels with as much detail as photographs (about 85 kB each), the same on
// every machine. False with a message when they cannot be written; nothing is left then.
bool xv_bench_set_make(XvBenchSet *set, XvError *error);

void xv_bench_set_remove(const XvBenchSet *set);
