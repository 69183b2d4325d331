// Where NVIDIA's libraries are: none is linked, each is loaded when it is first needed. Looked through are the folder
// that XV_CUDA_LIBRARIES names; else CUDA_HOME, /usr/local/cuda, the system's folders, and the Python packages
// (nvidia-cuda-nvrtc, nvidia-cublas, nvidia-nccl) of VIRTUAL_ENV, of the user and of the system.
#pragma once

#include "runtime/base/error.h"

#include <limits.h>

typedef struct XvLibraryFile {
    const char *name;       // "libnvrtc.so"; any version behind it
    const char *companion;  // is opened first, from the same folder, and stays open; NULL: none
    const char *package;    // of Python, for the message
} XvLibraryFile;

// A handle for dlsym, or NULL after a message that says what was looked for. `companion` receives that of the companion
// and may be NULL where there is none.
void *xv_cuda_library(const XvLibraryFile *file, void **companion, XvError *error);

// A named function of a library, stored through `function`; false after a message that says what is too old.
bool xv_cuda_function(void *library, const char *library_name, const char *name, void *function,
                      XvError *error);

// A program of a toolkit ("nvdisasm"): in ../bin beside the folder that XV_CUDA_LIBRARIES names, else as above in the
// folders of programs. False after a message that says what was looked for.
bool xv_cuda_tool(const char *name, char path[PATH_MAX], XvError *error);
