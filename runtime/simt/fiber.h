// Stacks that one OS thread switches between by hand.
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef struct XvFiber {
    void *stack;   // where it goes on; private to fiber.c
    void *memory;  // its stack
    size_t bytes;
} XvFiber;

// Maps a stack with a guard page below it. False without memory.
bool xv_fiber_create(XvFiber *fiber, size_t bytes);
void xv_fiber_free(XvFiber *fiber);

// The next switch to the fiber calls entry(argument), which must never return.
void xv_fiber_prepare(XvFiber *fiber, void (*entry)(void *), void *argument);

// Leaves `from` (any XvFiber; the caller's stack is noted in it) and goes on in `to`.
void xv_fiber_switch(XvFiber *from, XvFiber *to);
