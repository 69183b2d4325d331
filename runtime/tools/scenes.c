// `xvlm scenes`: draws a data set of simple scenes, for demonstrations and tests of every task without a
// download.
//
// The set is a function of the options alone: same options, same bytes, however many threads paint the
// pictures.
#include "runtime/tools/scenes.h"

#include "runtime/base/options.h"
#include "runtime/tools/tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct Arguments {
    const char *output;
    int64_t n_scenes[XV_SPLIT_COUNT];
    int64_t pixels, quality, seed, min_objects, max_objects, n_shapes, n_colours, n_textures;
    bool has_plain_backgrounds, wants_help;
} Arguments;

enum { N_OPTIONS = 14 };

static void list_options(Arguments *arguments, XvOption options[N_OPTIONS])
{
    Arguments *a = arguments;
    const XvOption rows[N_OPTIONS] = {
        {"--output", "DIR", XV_OPTION_TEXT, &a->output, 0, 0, "folder to write, made if missing (required)"},
        {"--train", "N", XV_OPTION_INTEGER, &a->n_scenes[XV_TRAIN], 0, 700000, "training scenes (2000)"},
        {"--val", "N", XV_OPTION_INTEGER, &a->n_scenes[XV_VAL], 0, 90000, "validation scenes (100)"},
        {"--test", "N", XV_OPTION_INTEGER, &a->n_scenes[XV_TEST], 0, 90000, "test scenes (100)"},
        {"--size", "PIXELS", XV_OPTION_INTEGER, &a->pixels, 32, 1024, "side of the pictures (128)"},
        {"--seed", "S", XV_OPTION_INTEGER, &a->seed, 0, INT64_MAX, "another seed, other scenes (1)"},
        {"--min-objects", "N", XV_OPTION_INTEGER, &a->min_objects, 2, XV_SCENE_MAX_OBJECTS, "per scene (2)"},
        {"--max-objects", "N", XV_OPTION_INTEGER, &a->max_objects, 2, XV_SCENE_MAX_OBJECTS, "per scene (3)"},
        {"--shapes", "N", XV_OPTION_INTEGER, &a->n_shapes, 2, XV_N_SHAPES,
         "use only the first N shapes (10)"},
        {"--colors", "N", XV_OPTION_INTEGER, &a->n_colours, 2, XV_N_COLOURS,
         "use only the first N colors (10)"},
        {"--textures", "N", XV_OPTION_INTEGER, &a->n_textures, 1, XV_N_TEXTURES,
         "use only the first N textures (4)"},
        {"--plain", NULL, XV_OPTION_FLAG, &a->has_plain_backgrounds, 0, 0, "no patterns in the background"},
        {"--quality", "Q", XV_OPTION_INTEGER, &a->quality, 1, 100, "of the JPEG files (92)"},
        {"--help", NULL, XV_OPTION_FLAG, &a->wants_help, 0, 0, "this list"},
    };
    memcpy(options, rows, sizeof rows);
}

static bool check_arguments(const Arguments *arguments, XvError *error)
{
    if (!arguments->output) {
        return xv_fail(error, "--output DIR is missing");
    }
    if (strlen(arguments->output) > 900) {
        return xv_fail(error, "--output is longer than 900 characters");
    }
    if (arguments->min_objects > arguments->max_objects) {
        return xv_fail(error, "--min-objects %d is more than --max-objects %d", (int)arguments->min_objects,
                       (int)arguments->max_objects);
    }
    if (arguments->n_shapes * arguments->n_colours < 2 * arguments->max_objects) {
        return xv_fail(error, "%d shapes in %d colors are too few for %d objects in a scene",
                       (int)arguments->n_shapes, (int)arguments->n_colours, (int)arguments->max_objects);
    }
    return true;
}

static XvScenesOptions options_of(const Arguments *arguments)
{
    XvScenesOptions options = {
        .output = arguments->output,
        .pixels = (int)arguments->pixels,
        .quality = (int)arguments->quality,
        .min_objects = (int)arguments->min_objects,
        .max_objects = (int)arguments->max_objects,
        .n_shapes = (int)arguments->n_shapes,
        .n_colours = (int)arguments->n_colours,
        .n_textures = (int)arguments->n_textures,
        .has_plain_backgrounds = arguments->has_plain_backgrounds,
        .seed = (uint64_t)arguments->seed,
    };
    for (int split = 0; split < XV_SPLIT_COUNT; split++) {
        options.n_scenes[split] = (int)arguments->n_scenes[split];
    }
    return options;
}

// Makes the folder and those above it.
static bool make_folder(const char *path, XvError *error)
{
    char partial[1024];
    size_t length = strlen(path);
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != '\0') {
            continue;
        }
        snprintf(partial, sizeof partial, "%.*s", (int)i, path);
        if (mkdir(partial, 0777) != 0 && errno != EEXIST) {
            return xv_fail(error, "cannot make folder %s: %s", partial, strerror(errno));
        }
    }
    return true;
}

static bool make_folders(const char *output, XvError *error)
{
    for (int split = 0; split < XV_SPLIT_COUNT; split++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/images/%s", output, xv_split_name((XvSplit)split));
        if (!make_folder(path, error)) {
            return false;
        }
    }
    return true;
}

static bool write_pictures(const XvScenesOptions *options, const XvScene *scenes, int n_scenes,
                           XvError *error)
{
    bool is_written = true;
#pragma omp parallel for schedule(dynamic, 16)
    for (int i = 0; i < n_scenes; i++) {
        char path[1024];
        XvError own;
        snprintf(path, sizeof path, "%s/images/%s/%06d.jpg", options->output, xv_split_name(scenes[i].split),
                 scenes[i].number);
        if (!xv_scene_write(&scenes[i], options->quality, path, &own)) {
#pragma omp critical
            {
                *error = own;
                is_written = false;
            }
        }
    }
    return is_written;
}

static bool write_set(const XvScenesOptions *options, XvError *error)
{
    XvScene *scenes = xv_scenes_draw(options, error);
    if (!scenes) {
        return false;
    }
    int n_scenes = options->n_scenes[XV_TRAIN] + options->n_scenes[XV_VAL] + options->n_scenes[XV_TEST];
    // Records come last: a set that was interrupted has none.
    bool is_written = make_folders(options->output, error) &&
                      write_pictures(options, scenes, n_scenes, error) &&
                      xv_scenes_write_records(options, scenes, error);
    free(scenes);
    return is_written;
}

int xv_tool_scenes(int argc, char **argv)
{
    Arguments arguments = {
        .n_scenes = {2000, 100, 100},
        .pixels = 128,
        .quality = 92,
        .seed = 1,
        .min_objects = 2,
        .max_objects = 3,
        .n_shapes = XV_N_SHAPES,
        .n_colours = XV_N_COLOURS,
        .n_textures = XV_N_TEXTURES,
    };
    XvOption rows[N_OPTIONS];
    list_options(&arguments, rows);
    XvError error = {""};
    bool is_parsed = xv_options_parse(rows, N_OPTIONS, argc, argv, &error);
    if (is_parsed && arguments.wants_help) {
        printf("usage: xvlm scenes --output DIR [options]\n\n");
        xv_options_print(stdout, rows, N_OPTIONS);
        return XV_EXIT_OK;
    }
    if (!is_parsed || !check_arguments(&arguments, &error)) {
        fprintf(stderr, "xvlm scenes: %s\n`xvlm scenes --help` lists the options.\n", error.text);
        return XV_EXIT_USAGE;
    }
    XvScenesOptions options = options_of(&arguments);
    if (!write_set(&options, &error)) {
        fprintf(stderr, "xvlm scenes: %s\n", error.text);
        return XV_EXIT_FAILED;
    }
    printf("%s: %d training, %d validation and %d test scenes of %d pixels, with records for every task\n",
           options.output, options.n_scenes[XV_TRAIN], options.n_scenes[XV_VAL], options.n_scenes[XV_TEST],
           options.pixels);
    return XV_EXIT_OK;
}
