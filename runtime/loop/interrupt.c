// The thread that waits for signals; see interrupt.h.
#include "runtime/loop/interrupt.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static sigset_t awaited_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return set;
}

static void end_at_once(int number)
{
    sigset_t set = awaited_signals();
    signal(number, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    raise(number);
}

static void say(const char *text)
{
    ssize_t written = write(STDERR_FILENO, text, strlen(text));
    (void)written;
}

static void *wait_for_signals(void *argument)
{
    XvInterrupt *interrupt = argument;
    sigset_t set = awaited_signals();
    for (;;) {
        int number = 0;
        if (sigwait(&set, &number) != 0) {
            continue;
        }
        if (atomic_load(&interrupt->signal)) {
            end_at_once(number);
        }
        atomic_store(&interrupt->signal, number);
        say("\nstopping after this step; once more to stop at once\n");
    }
    return NULL;
}

bool xv_interrupt_start(XvInterrupt *interrupt, XvError *error)
{
    sigset_t set = awaited_signals();
    atomic_init(&interrupt->signal, 0);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    int failed = pthread_create(&interrupt->thread, NULL, wait_for_signals, interrupt);
    return failed == 0 || xv_fail(error, "cannot start a thread: %s", strerror(failed));
}

void xv_interrupt_stop(XvInterrupt *interrupt)
{
    pthread_cancel(interrupt->thread);
    pthread_join(interrupt->thread, NULL);
}

bool xv_is_interrupted(XvInterrupt *interrupt)
{
    return atomic_load(&interrupt->signal) != 0;
}
