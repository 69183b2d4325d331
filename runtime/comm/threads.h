// Libraries that start threads of their own: SIGINT and SIGTERM are for the thread that waits for them
// (runtime/loop/interrupt.h), so no such thread may take them. Both are blocked while a library is set up.
#pragma once

#include <signal.h>

static inline void xv_signals_hold(sigset_t *before)
{
    sigset_t awaited;
    sigemptyset(&awaited);
    sigaddset(&awaited, SIGINT);
    sigaddset(&awaited, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &awaited, before);
}

static inline void xv_signals_release(const sigset_t *before)
{
    pthread_sigmask(SIG_SETMASK, before, NULL);
}
