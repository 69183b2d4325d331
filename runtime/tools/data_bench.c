// `xvlm data bench` (and `xvlm bench data`): how many pictures a second the loader delivers, per core and in
// all, and how many cores one H200 would keep busy.
//
// Rates per core count processor time, so that they mean the same on a machine that has other things to do. A
// picture is decoded, cropped at random, resized, mirrored, augmented as asked, and normalised.
#include "runtime/tools/data_bench.h"

#include "runtime/base/format.h"
#include "runtime/data/loader.h"
#include "runtime/tools/data.h"
#include "runtime/tools/tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 32, TOKENS = 12, MAX_THREADS = 1024 };

// Pictures a second that one H200 takes at the speed the generated programs aim for.
static const double H200_LOW = 1700, H200_HIGH = 2300;

typedef struct Arguments {
    const char *data, *vocab, *image_key;
    int64_t resolution, threads, randaug;
    double seconds, min_scale;
    bool is_base64, wants_json, wants_help;
} Arguments;

typedef struct Rate {
    int threads;
    int64_t pictures;
    double wall, cpu;  // seconds
    int64_t skipped;
} Rate;

static double cpu_seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

// With one thread the caller works itself.
static XvLoader *open_loader(const Arguments *arguments, int threads, const XvValue inputs[2], XvError *error)
{
    XvLoaderOptions options = xv_loader_defaults();
    options.kind = "image_text";
    options.paths = &arguments->data;
    options.n_paths = 1;
    options.inputs = inputs;
    options.n_inputs = 2;
    options.image_key = arguments->image_key;
    options.is_image_rpath = !arguments->is_base64;
    options.vocab_path = arguments->vocab;
    options.scale_low = arguments->min_scale;
    options.augment.n_ops = (int)arguments->randaug;
    options.threads = threads > 1 ? threads : 0;
    return xv_loader_open(&options, error);
}

static bool measure(const Arguments *arguments, int threads, Rate *rate, XvError *error)
{
    int64_t R = arguments->resolution;
    const XvValue inputs[2] = {{.name = "image", .dtype = XV_F32, .rank = 4, .shape = {BATCH, 3, R, R}},
                               {.name = "text_ids", .dtype = XV_I32, .rank = 2, .shape = {BATCH, TOKENS}}};
    *rate = (Rate){.threads = threads};
    XvLoader *loader = open_loader(arguments, threads, inputs, error);
    if (!loader) {
        return false;
    }
    XvBatch batch;
    bool ok = xv_loader_next(loader, &batch, error);  // tables and buffers are made here
    double wall = xv_seconds(), cpu = cpu_seconds();
    do {
        ok = ok && xv_loader_next(loader, &batch, error);
        rate->pictures += BATCH;
    } while (ok && xv_seconds() - wall < arguments->seconds);
    rate->wall = xv_seconds() - wall;
    rate->cpu = cpu_seconds() - cpu;
    rate->skipped = xv_loader_skipped(loader);
    xv_loader_close(loader);
    return ok;
}

static double per_core(const Rate *rate)
{
    return (double)rate->pictures / rate->cpu;
}

static double per_second(const Rate *rate)
{
    return (double)rate->pictures / rate->wall;
}

static void print_rate(const Rate *rate)
{
    printf("{\"threads\": %d, \"pictures\": %lld, \"wall_seconds\": %.3f, \"cpu_seconds\": %.3f, "
           "\"pictures_per_second\": %.1f, \"pictures_per_cpu_second\": %.1f}",
           rate->threads, (long long)rate->pictures, rate->wall, rate->cpu, per_second(rate), per_core(rate));
}

static void print_json(const Arguments *arguments, const Rate *one, const Rate *all)
{
    printf("{\"resolution\": %lld, \"randaug_ops\": %lld, \"one_thread\": ", (long long)arguments->resolution,
           (long long)arguments->randaug);
    print_rate(one);
    fputs(", \"all_threads\": ", stdout);
    print_rate(all);
    printf(", \"scaling\": %.3f, \"scaling_cpu\": %.3f, \"skipped_records\": %lld, "
           "\"h200_pictures_per_second\": [%.0f, %.0f], \"cores_for_one_h200\": [%.2f, %.2f]}\n",
           per_second(all) / per_second(one), all->threads * per_core(all) / per_core(one),
           (long long)(one->skipped + all->skipped), H200_LOW, H200_HIGH, H200_LOW / per_core(all),
           H200_HIGH / per_core(all));
}

static void print_text(const Arguments *arguments, const Rate *one, const Rate *all)
{
    printf("pictures to %lld pixels, %lld augmentations drawn for each\n", (long long)arguments->resolution,
           (long long)arguments->randaug);
    printf("  1 thread    %8.0f pictures/s   %8.0f per second of processor time\n", per_second(one),
           per_core(one));
    printf("  %-3d threads %8.0f pictures/s   %8.0f per second of processor time\n", all->threads,
           per_second(all), per_core(all));
    printf("  scaling     %8.2f by the clock %8.2f by processor time\n", per_second(all) / per_second(one),
           all->threads * per_core(all) / per_core(one));
    printf("  one H200 takes %.0f to %.0f pictures/s: %.1f to %.1f of these cores\n", H200_LOW, H200_HIGH,
           H200_LOW / per_core(all), H200_HIGH / per_core(all));
    if (one->skipped + all->skipped > 0) {
        printf("  %lld records were skipped; `xvlm data check` says why\n",
               (long long)(one->skipped + all->skipped));
    }
}

static int run(const Arguments *arguments)
{
    Rate one, all;
    XvError error = {""};
    if (!measure(arguments, 1, &one, &error) || !measure(arguments, (int)arguments->threads, &all, &error)) {
        fprintf(stderr, "xvlm data bench: %s\n", error.text);
        return XV_EXIT_FAILED;
    }
    (arguments->wants_json ? print_json : print_text)(arguments, &one, &all);
    return XV_EXIT_OK;
}

static int run_made(Arguments arguments)
{
    XvBenchSet set;
    XvError error = {""};
    if (!xv_bench_set_make(&set, &error)) {
        fprintf(stderr, "xvlm data bench: %s\n", error.text);
        return XV_EXIT_FAILED;
    }
    arguments.data = set.records;
    arguments.vocab = set.vocab;
    int status = run(&arguments);
    xv_bench_set_remove(&set);
    return status;
}

int xv_data_bench(int argc, char **argv)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    Arguments arguments = {.image_key = "image",
                           .resolution = 224,
                           .threads = cores > 0 && cores < MAX_THREADS ? cores : 1,
                           .seconds = 3,
                           .min_scale = 0.2};
    const XvOption options[] = {
        {"--data", "FILE", XV_OPTION_TEXT, &arguments.data, 0, 0,
         "image-text records; without it pictures are drawn"},
        {"--vocab", "FILE", XV_OPTION_TEXT, &arguments.vocab, 0, 0, "vocab.txt, with --data"},
        {"--image-key", "NAME", XV_OPTION_TEXT, &arguments.image_key, 0, 0, "field of the picture (image)"},
        {"--base64", NULL, XV_OPTION_FLAG, &arguments.is_base64, 0, 0,
         "the field holds the file, not its path"},
        {"--resolution", "R", XV_OPTION_INTEGER, &arguments.resolution, 1, 4096, "side after resizing (224)"},
        {"--min-scale", "X", XV_OPTION_REAL, &arguments.min_scale, 0, 1,
         "least share of the area in a crop (0.2)"},
        {"--randaug", "N", XV_OPTION_INTEGER, &arguments.randaug, 0, XV_AUGMENT_MAX_OPS,
         "RandAugment ops (0)"},
        {"--threads", "N", XV_OPTION_INTEGER, &arguments.threads, 1, MAX_THREADS,
         "workers (as many as cores)"},
        {"--seconds", "S", XV_OPTION_REAL, &arguments.seconds, 0, 3600,
         "length of each of two measurements (3)"},
        {"--json", NULL, XV_OPTION_FLAG, &arguments.wants_json, 0, 0, "one JSON object instead of a table"},
        {"--help", NULL, XV_OPTION_FLAG, &arguments.wants_help, 0, 0, "this list"},
    };
    enum { N_OPTIONS = sizeof options / sizeof *options };
    XvError error = {""};
    bool ok = xv_options_parse(options, N_OPTIONS, argc, argv, &error);
    if (ok && arguments.wants_help) {
        printf("usage: xvlm data bench [options]\n\n"
               "Measures the loader on 640x480 JPEGs that it draws, or on records of your own.\n\n");
        xv_options_print(stdout, options, N_OPTIONS);
        return XV_EXIT_OK;
    }
    if (ok && !arguments.data != !arguments.vocab) {
        ok = xv_fail(&error, "--data and --vocab are needed together");
    }
    if (!ok) {
        fprintf(stderr, "xvlm data bench: %s\n`xvlm data bench --help` lists the options.\n", error.text);
        return XV_EXIT_USAGE;
    }
    return arguments.data ? run(&arguments) : run_made(arguments);
}
