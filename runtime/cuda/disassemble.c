// Machine code as text: nvdisasm of a CUDA toolkit or of the Python package nvidia-cuda-nvdisasm reads the file, and
// one kernel's section of what it writes is passed on.
#include "runtime/base/output.h"
#include "runtime/cuda/libraries.h"
#include "runtime/cuda/survey.h"
#include "runtime/cuda/texts.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

// A file of its own for the tool; the caller removes it.
static bool save_image(const XvCubin *cubin, char path[PATH_MAX], XvError *error)
{
    const char *folder = getenv("TMPDIR");
    int length = snprintf(path, PATH_MAX, "%s/xvlmc-cubin-XXXXXX", folder && *folder ? folder : "/tmp");
    int file = length < PATH_MAX ? mkstemp(path) : -1;
    if (file < 0) {
        return xv_fail(error, "cannot make a temporary file: %s", strerror(errno));
    }
    bool is_good = xv_write_all(file, cubin->image, cubin->bytes);
    is_good = close(file) == 0 && is_good;
    if (!is_good) {
        xv_fail(error, "cannot write %s: %s", path, strerror(errno));
        unlink(path);
    }
    return is_good;
}

// The lines from ".text.KERNEL:" to the next section.
static bool copy_section(FILE *from, const char *kernel, FILE *to)
{
    char label[600];
    snprintf(label, sizeof label, ".text.%s:", kernel);
    char *line = NULL;
    size_t room = 0;
    bool is_inside = false, is_found = false;
    while (getline(&line, &room, from) >= 0) {
        size_t length = strlen(label);
        bool is_label = strncmp(line, label, length) == 0 && (line[length] == '\n' || line[length] == 0);
        is_inside = is_label || (is_inside && !strstr(line, ".section") && strncmp(line, "//-", 3) != 0);
        is_found = is_found || is_label;
        if (is_inside) {
            fputs(line, to);
        }
    }
    free(line);
    return is_found;
}

static bool wait_for(pid_t child, const char *tool, XvError *error)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return (WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
           xv_fail(error, "%s does not read this machine code; is it older than NVRTC?", tool);
}

static bool run(const char *tool, const char *image, const char *kernel, FILE *file, XvError *error)
{
    int ends[2];
    if (pipe(ends) != 0) {
        return xv_fail(error, "cannot start %s: %s", tool, strerror(errno));
    }
    fflush(file);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGPIPE, SIG_DFL);
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl(tool, tool, "-c", image, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    FILE *text = child > 0 ? fdopen(ends[0], "r") : NULL;
    bool is_found = text && copy_section(text, kernel, file);
    if (text) {
        fclose(text);
    } else {
        close(ends[0]);
    }
    if (child < 0) {
        return xv_fail(error, "cannot start %s: %s", tool, strerror(errno));
    }
    return wait_for(child, tool, error) &&
           (is_found || xv_fail(error, "%s shows no kernel %s", tool, kernel));
}

// The source of the piece that defines a kernel; the caller frees it.
static char *source_with(const char *kernels, const char *kernel, XvError *error)
{
    char entry[600];
    snprintf(entry, sizeof entry, "\nXV_ENTRY(%s)", kernel);
    int n_pieces = xv_cuda_piece_count(kernels);
    for (int i = 0; i < n_pieces; i++) {
        char *source = xv_cuda_piece(kernels, i);
        if (!source) {
            xv_fail(error, "no memory");
            return NULL;
        }
        if (strstr(source, entry)) {
            return source;
        }
        free(source);
    }
    xv_fail(error, "there is no kernel '%s'; the table without --sass names them", kernel);
    return NULL;
}

static bool compile(const char *source, const char *architecture, XvCubin *cubin, XvError *error)
{
    XvNvrtc *nvrtc;
    if (!xv_nvrtc_open(&nvrtc, error)) {
        return false;
    }
    bool is_good = xv_nvrtc_compile(nvrtc, source, architecture, cubin, error);
    xv_nvrtc_close(nvrtc);
    return is_good;
}

bool xv_disassemble(const char *kernels, const char *architecture, const char *kernel, FILE *file,
                    XvError *error)
{
    char tool[PATH_MAX], image[PATH_MAX];
    XvCubin cubin = {0};
    char *source = source_with(kernels, kernel, error);
    bool is_good = source && xv_cuda_tool("nvdisasm", tool, error) &&
                   compile(source, architecture, &cubin, error) && save_image(&cubin, image, error);
    if (is_good) {
        is_good = run(tool, image, kernel, file, error);
        unlink(image);
    }
    free(source);
    free(cubin.image);
    free(cubin.log);
    return is_good;
}
