// Stack switching: a few instructions on x86-64, ucontext elsewhere (which saves signal masks with a system call).
#include "runtime/simt/fiber.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef __x86_64__
#include <stdlib.h>
#include <ucontext.h>
#endif

bool xv_fiber_create(XvFiber *fiber, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *memory =
        mmap(NULL, bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        return false;
    }
    mprotect(memory, page, PROT_NONE);
    *fiber = (XvFiber){.memory = memory, .bytes = bytes + page};
    return true;
}

#ifdef __x86_64__

void xv_fiber_free(XvFiber *fiber)
{
    if (fiber->memory) {
        munmap(fiber->memory, fiber->bytes);
    }
    *fiber = (XvFiber){0};
}

void xv_fiber_swap_stacks(void **from, void *to);
void xv_fiber_start(void);

// Callee-saved registers live on the stack that is left; the entry of a new fiber is in r12, its argument in r13.
__asm__(".text\n"
        ".type xv_fiber_swap_stacks, @function\n"
        "xv_fiber_swap_stacks:\n"
        "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n    pushq %r13\n    pushq %r14\n    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n    popq %r14\n    popq %r13\n    popq %r12\n    popq %rbx\n    popq %rbp\n"
        "    ret\n"
        ".size xv_fiber_swap_stacks, . - xv_fiber_swap_stacks\n"
        ".type xv_fiber_start, @function\n"
        "xv_fiber_start:\n"
        "    movq %r13, %rdi\n"
        "    call *%r12\n"
        "    ud2\n"
        ".size xv_fiber_start, . - xv_fiber_start\n");

void xv_fiber_prepare(XvFiber *fiber, void (*entry)(void *), void *argument)
{
    uintptr_t top = ((uintptr_t)fiber->memory + fiber->bytes) & ~(uintptr_t)15;
    void **stack =
        (void **)top - 9;  // r15 r14 r13 r12 rbx rbp, return address, and two: calls want rsp aligned
    memset(stack, 0, 9 * sizeof *stack);
    stack[2] = argument;
    memcpy(&stack[3], &entry, sizeof entry);
    void (*start)(void) = xv_fiber_start;
    memcpy(&stack[6], &start, sizeof start);
    fiber->stack = stack;
}

void xv_fiber_switch(XvFiber *from, XvFiber *to)
{
    xv_fiber_swap_stacks(&from->stack, to->stack);
}

#else

void xv_fiber_free(XvFiber *fiber)
{
    free(fiber->stack);
    if (fiber->memory) {
        munmap(fiber->memory, fiber->bytes);
    }
    *fiber = (XvFiber){0};
}

static ucontext_t *context_of(XvFiber *fiber)
{
    if (!fiber->stack) {
        fiber->stack = calloc(1, sizeof(ucontext_t));
    }
    return fiber->stack;
}

static void start(unsigned entry_high, unsigned entry_low, unsigned high, unsigned low)
{
    uintptr_t entry_bits = (uintptr_t)((uint64_t)entry_high << 32 | entry_low);
    void (*entry)(void *);
    memcpy(&entry, &entry_bits, sizeof entry);
    entry((void *)(uintptr_t)((uint64_t)high << 32 | low));
}

void xv_fiber_prepare(XvFiber *fiber, void (*entry)(void *), void *argument)
{
    ucontext_t *context = context_of(fiber);
    uint64_t bits = (uint64_t)(uintptr_t)argument;
    uintptr_t entry_bits;
    memcpy(&entry_bits, &entry, sizeof entry_bits);
    getcontext(context);
    context->uc_stack.ss_sp = fiber->memory;
    context->uc_stack.ss_size = fiber->bytes;
    makecontext(context, (void (*)(void))start, 4, (unsigned)((uint64_t)entry_bits >> 32),
                (unsigned)entry_bits, (unsigned)(bits >> 32), (unsigned)bits);
}

void xv_fiber_switch(XvFiber *from, XvFiber *to)
{
    swapcontext(context_of(from), context_of(to));
}

#endif
