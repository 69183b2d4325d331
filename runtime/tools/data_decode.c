// `xvlm data decode`: pictures as the loader sees them, decoded, resized and normalised, in one safetensors file.
//
// A tensor is called after the picture's file name without its folders, or after the path as it was given where that
// name was taken before.
#include "runtime/checkpoint/safetensors.h"
#include "runtime/data/file.h"
#include "runtime/data/image.h"
#include "runtime/data/resize.h"
#include "runtime/data/transform.h"
#include "runtime/tools/data.h"
#include "runtime/tools/tool.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PER_PICTURE = 3, MAX_RESOLUTION = 4096 };

typedef struct Arguments {
    int64_t resolution;
    const char *output;
    bool wants_help;
} Arguments;

// Tensors own their names and data.
typedef struct Work {
    int resolution;
    XvTensor *tensors;
    int n_tensors;
    XvBytes file;
    XvImage decoded, resized;
    XvResizer resizer;
} Work;

static void work_free(Work *work)
{
    for (int i = 0; i < work->n_tensors; i++) {
        free((char *)(uintptr_t)work->tensors[i].name);
        free(work->tensors[i].data);
    }
    free(work->tensors);
    xv_bytes_free(&work->file);
    xv_image_free(&work->decoded);
    xv_image_free(&work->resized);
    xv_resizer_free(&work->resizer);
}

// "decoded/rocket.jpg". NULL without memory.
static char *tensor_name(const Work *work, const char *kind, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *names[2] = {slash ? slash + 1 : path, path};
    char *name = NULL;
    for (int i = 0; i < 2 && !name; i++) {
        bool is_taken = false;
        if (asprintf(&name, "%s/%s", kind, names[i]) < 0) {
            return NULL;
        }
        for (int k = 0; k < work->n_tensors; k++) {
            is_taken |= strcmp(work->tensors[k].name, name) == 0;
        }
        if (is_taken && i == 0) {
            free(name);
            name = NULL;
        }
    }
    return name;
}

// Takes the data over, and frees it when there is no memory for a name.
static bool add_tensor(Work *work, const char *kind, const char *path, XvTensor tensor, XvError *error)
{
    char *name = tensor.data ? tensor_name(work, kind, path) : NULL;
    if (!name) {
        free(tensor.data);
        return xv_fail(error, "no memory for the pixels");
    }
    tensor.name = name;
    work->tensors[work->n_tensors++] = tensor;
    return true;
}

static bool add_image(Work *work, const char *kind, const char *path, const XvImage *image, XvError *error)
{
    XvTensor tensor = {.dtype = XV_U8, .rank = 3, .shape = {image->height, image->width, 3}};
    tensor.data = malloc(xv_tensor_bytes(&tensor));
    if (tensor.data) {
        memcpy(tensor.data, image->pixels, xv_tensor_bytes(&tensor));
    }
    return add_tensor(work, kind, path, tensor, error);
}

static bool add_normalised(Work *work, const char *path, XvError *error)
{
    XvTensor tensor = {.dtype = XV_F32, .rank = 3, .shape = {3, work->resolution, work->resolution}};
    tensor.data = malloc(xv_tensor_bytes(&tensor));
    if (tensor.data) {
        xv_normalise(&work->resized, tensor.data);
    }
    return add_tensor(work, "normalised", path, tensor, error);
}

static bool add_picture(Work *work, const char *path, XvError *error)
{
    if (!xv_file_read(path, &work->file, error)) {
        return false;
    }
    if (!xv_image_decode(work->file.data, work->file.count, INT_MAX, &work->decoded, error) ||
        !xv_image_resize(&work->resized, work->resolution, work->resolution, error)) {
        return xv_fail_in(error, "%s", path);
    }
    XvCrop whole = {0, 0, work->decoded.width, work->decoded.height};
    return xv_resize(&work->resizer, &work->decoded, whole, &work->resized, error) &&
           add_image(work, "decoded", path, &work->decoded, error) &&
           add_image(work, "resized", path, &work->resized, error) && add_normalised(work, path, error);
}

// Returns how many pictures could not be read, or -1 when nothing could be written.
static int decode_all(Work *work, const char *output, int n_paths, char **paths)
{
    int n_bad = 0;
    XvError error = {""};
    work->tensors = calloc((size_t)n_paths * PER_PICTURE, sizeof *work->tensors);
    for (int i = 0; work->tensors && i < n_paths; i++) {
        if (!add_picture(work, paths[i], &error)) {
            n_bad++;
            fprintf(stderr, "xvlm data decode: %s\n", error.text);
        }
    }
    XvFileContent content = {.tensors = work->tensors, .n_tensors = work->n_tensors};
    if (!work->tensors || !xv_safetensors_write(output, &content, &error)) {
        fprintf(stderr, "xvlm data decode: %s\n", work->tensors ? error.text : "no memory");
        return -1;
    }
    return n_bad;
}

static bool check_arguments(const Arguments *arguments, int n_paths, XvError *error)
{
    if (arguments->resolution == 0) {
        return xv_fail(error, "--resolution is needed: the side of the resized pictures");
    }
    if (!arguments->output) {
        return xv_fail(error, "--output is needed: the safetensors file to write");
    }
    return n_paths > 0 || xv_fail(error, "no picture to decode");
}

int xv_data_decode(int argc, char **argv)
{
    Arguments arguments = {0};
    const XvOption options[] = {
        {"--resolution", "R", XV_OPTION_INTEGER, &arguments.resolution, 1, MAX_RESOLUTION,
         "side after resizing"},
        {"--output", "FILE", XV_OPTION_TEXT, &arguments.output, 0, 0, "the safetensors file to write"},
        {"--help", NULL, XV_OPTION_FLAG, &arguments.wants_help, 0, 0, "this list"},
    };
    enum { N_OPTIONS = sizeof options / sizeof *options };
    XvError error = {""};
    bool is_parsed = xv_options_parse_some(options, N_OPTIONS, &argc, argv, &error);
    if (is_parsed && arguments.wants_help) {
        printf(
            "usage: xvlm data decode --resolution R --output OUT.safetensors PICTURE...\n\n"
            "Writes decoded/NAME and resized/NAME (bytes, [height, width, 3]) and normalised/NAME (floats,\n"
            "[3, R, R]). A picture that cannot be read is named with the reason and left out; the status is\n"
            "1 then.\n\n");
        xv_options_print(stdout, options, N_OPTIONS);
        return XV_EXIT_OK;
    }
    if (!is_parsed || !check_arguments(&arguments, argc - 1, &error)) {
        fprintf(stderr, "xvlm data decode: %s\n`xvlm data decode --help` lists the options.\n", error.text);
        return XV_EXIT_USAGE;
    }
    Work work = {.resolution = (int)arguments.resolution};
    int n_bad = decode_all(&work, arguments.output, argc - 1, argv + 1);
    work_free(&work);
    return n_bad == 0 ? XV_EXIT_OK : XV_EXIT_FAILED;
}
