// A stand-in for NVRTC, for tests: takes a source for compiled and lists its kernels, as the stand-in for the driver
// wants them. STANDIN_COMPILED names a file that gets a line for every compilation, of any process.
#include "tests/driver/standin.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INVALID_INPUT = 3, COMPILATION = 6 };

typedef struct Program {
    char *source, *image, *log;
} Program;

static const char ENTRY[] = "\nXV_ENTRY(";

const char *nvrtcGetErrorString(int status)
{
    return status == COMPILATION ? "NVRTC_ERROR_COMPILATION" : "an error of the stand-in for NVRTC";
}

int nvrtcVersion(int *major, int *minor)
{
    const char *version = getenv("STANDIN_NVRTC");
    return version && sscanf(version, "%d.%d", major, minor) == 2 ? 0 : (*major = 13, *minor = 0, 0);
}

int nvrtcCreateProgram(Program **program, const char *source, const char *name, int n_headers,
                       const char *const *headers, const char *const *names)
{
    (void)name, (void)headers, (void)names;
    *program = calloc(1, sizeof **program);
    (*program)->source = strdup(source);
    return n_headers ? INVALID_INPUT : 0;
}

int nvrtcDestroyProgram(Program **program)
{
    free((*program)->source);
    free((*program)->image);
    free((*program)->log);
    free(*program);
    *program = NULL;
    return 0;
}

static void note_compilation(const char *option)
{
    const char *path = getenv("STANDIN_COMPILED");
    int file = path ? open(path, O_WRONLY | O_CREAT | O_APPEND, 0666) : -1;
    if (file >= 0) {
        char line[128];
        int length = snprintf(line, sizeof line, "%s\n", option);
        if (write(file, line, (size_t)length) != length) {
            abort();
        }
        close(file);
    }
}

int nvrtcCompileProgram(Program *program, int n_options, const char *const *options)
{
    int planted = standin_planted("nvrtcCompileProgram");
    if (planted || n_options < 1 || strncmp(options[0], "--gpu-architecture=sm_", 22) != 0) {
        program->log = strdup("kernels.cu(1): error: planted");
        return planted ? planted : INVALID_INPUT;
    }
    note_compilation(options[0]);
    size_t length = strlen(program->source);
    program->image = malloc(length + 16);
    program->log = malloc(2 * length + 16);
    char *image = program->image + sprintf(program->image, "STANDIN1\n");
    char *log = program->log;
    *log = 0;
    for (const char *at = strstr(program->source, ENTRY); at; at = strstr(at, ENTRY)) {
        at += strlen(ENTRY);
        int name = (int)strcspn(at, ")");
        image += sprintf(image, "%.*s\n", name, at);
        log += sprintf(log, "Compiling entry function '%.*s'\n", name, at);
    }
    return 0;
}

int nvrtcGetProgramLogSize(Program *program, size_t *bytes)
{
    *bytes = strlen(program->log) + 1;
    return 0;
}

int nvrtcGetProgramLog(Program *program, char *log)
{
    strcpy(log, program->log);
    return 0;
}

int nvrtcGetCUBINSize(Program *program, size_t *bytes)
{
    *bytes = strlen(program->image) + 1;
    return 0;
}

int nvrtcGetCUBIN(Program *program, char *image)
{
    strcpy(image, program->image);
    return 0;
}
