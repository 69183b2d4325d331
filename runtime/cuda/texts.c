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
EMBED(xv_text_math, "runtime/device/math.h");
EMBED(xv_text_kernel_types, "runtime/device/kernel_types.h");
EMBED(xv_text_tasks, "runtime/cuda/tasks.h");
EMBED(xv_text_random, "runtime/cuda/random.cuh");
EMBED(xv_text_integers, "runtime/cuda/integers.cuh");
EMBED(xv_text_matmul, "runtime/cuda/matmul.cuh");
EMBED(xv_text_attention, "runtime/cuda/attention.cuh");
EMBED(xv_text_attention_grad, "runtime/cuda/attention_grad.cuh");
EMBED(xv_text_rows, "runtime/cuda/rows.cuh");
EMBED(xv_text_optimizer, "runtime/cuda/optimizer.cuh");

typedef struct Text {
    const char *name;
    const char *text;
} Text;

static const Text TEXTS[] = {
    {"device.cuh", xv_text_device},
    {"math.h", xv_text_math},
    {"kernel_types.h", xv_text_kernel_types},
    {"tasks.h", xv_text_tasks},
    {"random.cuh", xv_text_random},
    {"integers.cuh", xv_text_integers},
    {"matmul.cuh", xv_text_matmul},
    {"attention.cuh", xv_text_attention},
    {"attention_grad.cuh", xv_text_attention_grad},
    {"rows.cuh", xv_text_rows},
    {"optimizer.cuh", xv_text_optimizer},
};
enum { N_TEXTS = sizeof TEXTS / sizeof *TEXTS, LINE_BYTES = 64 };

// Copies the text without its inclusions; returns the end.
static char *append(char *to, const Text *text)
{
    to += sprintf(to, "#line 1 \"%s\"\n", text->name);
    for (const char *line = text->text; *line;) {
        size_t length = strcspn(line, "\n");
        bool is_dropped = strncmp(line, "#include", 8) == 0 || strncmp(line, "#pragma once", 12) == 0;
        if (!is_dropped) {
            memcpy(to, line, length);
            to += length;
        }
        *to++ = '\n';
        line += length + (line[length] == '\n');
    }
    *to = 0;
    return to;
}

char *xv_cuda_source(const char *kernels)
{
    size_t bytes = strlen(kernels) + LINE_BYTES;
    for (int i = 0; i < N_TEXTS; i++) {
        bytes += strlen(TEXTS[i].text) + LINE_BYTES;
    }
    char *source = malloc(bytes);
    char *end = source;
    for (int i = 0; source && i < N_TEXTS; i++) {
        end = append(end, &TEXTS[i]);
    }
    if (source) {
        append(end, &(Text){"kernels.cu", kernels});
    }
    return source;
}
