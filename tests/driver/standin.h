// Shared by the stand-ins for NVIDIA's libraries (tests/driver/*.c): what the others need of libcuda.so.
#pragma once

#include <stddef.h>

// The number of the GPU in use.
int standin_device(void);

// Queues `work(copy of the data)` on a stream, where it is run in its turn or captured into a graph.
int standin_call(void *stream, void (*work)(const void *data), const void *data, size_t bytes);

// Whether any stream is captured.
int standin_is_capturing(void);

// The status that STANDIN_FAIL plants for this call of `name`, else 0. STANDIN_FAIL=NAME:STATUS:N fails the N-th call.
int standin_planted(const char *name);
