// SIGINT and SIGTERM as a question that the loop asks between steps.
//
// The signals are blocked everywhere and awaited by a thread of its own, so that nothing runs inside a handler and
// no state is global. The first one sets a mark; the second ends the program at once.
#pragma once

#include "runtime/base/error.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct XvInterrupt {
    pthread_t thread;
    atomic_int signal;  // 0, or the first signal that came
} XvInterrupt;

// To be called before other threads start, so that they inherit the blocked signals. The struct must stay in place
// until xv_interrupt_stop.
bool xv_interrupt_start(XvInterrupt *interrupt, XvError *error);

// The signals keep being blocked: what comes afterwards waits for the end of the program.
void xv_interrupt_stop(XvInterrupt *interrupt);

bool xv_is_interrupted(XvInterrupt *interrupt);
