// The kernels of a compiled program as its own files describe them: kernels.cu and inspect.txt of the target cuda,
// kernels.h of the target c. The files are the generator's; a text that looks otherwise ends the program with a message.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ElementType { ELEMENT_F32, ELEMENT_I32, ELEMENT_U8, ELEMENT_BF16, ELEMENT_F16, ELEMENT_DRAW } ElementType;

typedef struct Parameter {
    char name[200];
    ElementType type;
    int64_t count;  // -1: not known, in kernels.h
    bool is_written;
} Parameter;

enum { MAX_PARAMETERS = 64, MAX_COLUMNS = 16 };

typedef struct KernelText {
    char name[300];
    int64_t rows, lanes;
    uint32_t blocks, threads;
    Parameter parameters[MAX_PARAMETERS];
    int n_parameters;
    char columns[MAX_COLUMNS][200];  // whose partial sums go to `scratch`, one behind the other
    int n_columns;
} KernelText;

typedef struct KernelList {
    KernelText *kernels;
    int n_kernels;
} KernelList;

// Of the target cuda, with launches; and prototypes of the target c.
KernelList kernels_of_cuda(const char *folder);
KernelList kernels_of_c(const char *folder);

const KernelText *kernel_named(const KernelList *list, const char *name);
const Parameter *parameter_named(const KernelText *kernel, const char *name);
size_t element_size(ElementType type);
