// Embedded texts; see texts.h. The assembler reads the files when this file is compiled, from the root of the sources;
// the Makefile knows what it depends on.
#include "runtime/cuda/texts.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EMBED(name, path)                                                          \
    extern const char name[];                                                      \
    __asm__(".pushsection .rodata\n.global " #name "\n" #name ":\n.incbin \"" path \
            "\"\n.byte 0\n.popsection\n")

// ORDER TEXTS: library.cuh, and the table below
EMBED(xv_text_device, "runtime/cuda/device.cuh");
EMBED(xv_text_matrix, "runtime/cuda/matrix.cuh");
EMBED(xv_text_math, "runtime/device/math.h");
EMBED(xv_text_kernel_types, "runtime/device/kernel_types.h");
EMBED(xv_text_scaler, "runtime/device/scaler.h");
EMBED(xv_text_tasks, "runtime/cuda/tasks.h");
EMBED(xv_text_random, "runtime/cuda/random.cuh");
EMBED(xv_text_integers, "runtime/cuda/integers.cuh");
EMBED(xv_text_fragment, "runtime/cuda/fragment.cuh");
EMBED(xv_text_matmul, "runtime/cuda/matmul.cuh");
EMBED(xv_text_attention, "runtime/cuda/attention.cuh");
EMBED(xv_text_attention_grad, "runtime/cuda/attention_grad.cuh");
EMBED(xv_text_attention_bias, "runtime/cuda/attention_bias.cuh");
EMBED(xv_text_rows, "runtime/cuda/rows.cuh");
EMBED(xv_text_optimizer, "runtime/cuda/optimizer.cuh");

typedef struct Text {
    const char *name;
    const char *text;
    bool is_library;  // holds kernels, which one piece of a program is enough for
} Text;

static const Text TEXTS[] = {
    {"device.cuh", xv_text_device, false},
    {"matrix.cuh", xv_text_matrix, false},
    {"math.h", xv_text_math, false},
    {"kernel_types.h", xv_text_kernel_types, false},
    {"scaler.h", xv_text_scaler, false},
    {"tasks.h", xv_text_tasks, false},
    {"random.cuh", xv_text_random, false},
    {"integers.cuh", xv_text_integers, false},
    {"fragment.cuh", xv_text_fragment, false},
    {"matmul.cuh", xv_text_matmul, true},
    {"attention.cuh", xv_text_attention, false},
    {"attention_grad.cuh", xv_text_attention_grad, false},
    {"attention_bias.cuh", xv_text_attention_bias, true},
    {"rows.cuh", xv_text_rows, true},
    {"optimizer.cuh", xv_text_optimizer, true},
};
enum { N_TEXTS = sizeof TEXTS / sizeof *TEXTS, LINE_BYTES = 64, PIECE_KERNELS = 16 };

typedef struct Lines {
    const char *name, *from, *end;
    int first;  // number of the first line
} Lines;

// Copies lines without inclusions; returns the end.
static char *append(char *to, const Lines *lines)
{
    to += sprintf(to, "#line %d \"%s\"\n", lines->first, lines->name);
    for (const char *line = lines->from; line < lines->end;) {
        const char *stop = memchr(line, '\n', (size_t)(lines->end - line));
        size_t length = (size_t)((stop ? stop : lines->end) - line);
        bool is_dropped = strncmp(line, "#include", 8) == 0 || strncmp(line, "#pragma once", 12) == 0;
        if (!is_dropped) {
            memcpy(to, line, length);
            to += length;
        }
        *to++ = '\n';
        line += length + (stop != NULL);
    }
    *to = 0;
    return to;
}

// The texts that kernels need, with the library's own if asked for, and lines of a program behind them.
static char *joined(const Lines *kernels, bool has_library)
{
    size_t bytes = (size_t)(kernels->end - kernels->from) + 2 * LINE_BYTES;
    for (int i = 0; i < N_TEXTS; i++) {
        bytes += strlen(TEXTS[i].text) + LINE_BYTES;
    }
    char *source = malloc(bytes);
    char *end = source;
    for (int i = 0; source && i < N_TEXTS; i++) {
        const char *text = TEXTS[i].text;
        if (!TEXTS[i].is_library || has_library) {
            end = append(end, &(Lines){TEXTS[i].name, text, text + strlen(text), 1});
        }
    }
    if (source) {
        append(end, kernels);
    }
    return source;
}

const char *xv_cuda_next_entry(const char *at)
{
    static const char entry[] = "\nXV_ENTRY(";
    at = strstr(at, entry);
    return at ? at + strlen(entry) : NULL;
}

// Behind the line that ends the next PIECE_KERNELS kernels, or the end of the text.
static const char *piece_end(const char *at)
{
    for (int i = 0; i < PIECE_KERNELS; i++) {
        const char *name = xv_cuda_next_entry(at);
        if (!name) {
            return at + strlen(at);
        }
        at = name + strcspn(name, "\n");
    }
    return xv_cuda_next_entry(at) ? at + 1 : at + strlen(at);
}

static int lines_between(const char *from, const char *end)
{
    int count = 0;
    for (; from < end; from++) {
        count += *from == '\n';
    }
    return count;
}

int xv_cuda_piece_count(const char *kernels)
{
    int count = 1;
    for (const char *at = kernels; *at; at = piece_end(at)) {
        count++;
    }
    return count;
}

char *xv_cuda_piece(const char *kernels, int piece)
{
    const char *from = kernels, *end = kernels;
    for (int i = 0; i < piece; i++) {
        from = end;
        end = piece_end(from);
    }
    return joined(&(Lines){"kernels.cu", from, end, 1 + lines_between(kernels, from)}, piece == 0);
}
