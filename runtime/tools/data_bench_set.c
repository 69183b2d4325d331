// Made pictures with the statistics of photographs: noise at every scale, weaker the finer it is; see data_bench.h.
#include "runtime/tools/data_bench.h"

#include "runtime/base/random.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jpeglib.h>

enum { WIDTH = XV_BENCH_WIDTH, HEIGHT = XV_BENCH_HEIGHT, QUALITY = 90, COARSEST = 256 };

typedef struct Canvas {
    float light[HEIGHT][WIDTH];
    float tint[HEIGHT][WIDTH];
    uint8_t rgb[HEIGHT][WIDTH][3];
} Canvas;

// Adds a grid of random heights, `step` pixels apart, with straight lines between them.
static void add_noise(float plane[HEIGHT][WIDTH], int step, float height, XvStream *stream)
{
    enum { MOST = WIDTH + 2 };
    float above[MOST], below[MOST];
    int across = WIDTH / step + 2;
    for (int i = 0; i < across; i++) {
        below[i] = height * (float)xv_stream_normal(stream);
    }
    for (int y = 0; y < HEIGHT; y++) {
        if (y % step == 0) {
            memcpy(above, below, sizeof above);
            for (int i = 0; i < across; i++) {
                below[i] = height * (float)xv_stream_normal(stream);
            }
        }
        float down = (float)(y % step) / (float)step;
        for (int x = 0; x < WIDTH; x++) {
            int i = x / step;
            float right = (float)(x % step) / (float)step;
            float top = above[i] + right * (above[i + 1] - above[i]);
            float bottom = below[i] + right * (below[i + 1] - below[i]);
            plane[y][x] += top + down * (bottom - top);
        }
    }
}

static uint8_t to_byte(float value)
{
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void draw(Canvas *canvas, int number)
{
    XvStream stream = xv_stream(xv_key(0xBE4C, (uint64_t)number));
    memset(canvas, 0, sizeof *canvas);
    for (int step = COARSEST; step >= 1; step /= 2) {
        float height = 40 * powf((float)step / COARSEST, 0.45f);
        add_noise(canvas->light, step, height, &stream);
        if (step >= 8) {
            add_noise(canvas->tint, step, height / 2, &stream);
        }
    }
    for (int y = 0; y < HEIGHT; y++) {
        for (int x = 0; x < WIDTH; x++) {
            float light = 118 + canvas->light[y][x], tint = canvas->tint[y][x];
            canvas->rgb[y][x][0] = to_byte(light + tint);
            canvas->rgb[y][x][1] = to_byte(light);
            canvas->rgb[y][x][2] = to_byte(light - tint);
        }
    }
}

// libjpeg's own error handler ends the program: a disk that is full here is no reason for more.
static bool write_jpeg(const Canvas *canvas, const char *path, XvError *error)
{
    FILE *file = fopen(path, "wb");
    if (!file) {
        return xv_fail(error, "cannot write %s: %s", path, strerror(errno));
    }
    struct jpeg_compress_struct info;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long count = 0;
    info.err = jpeg_std_error(&errors);
    jpeg_create_compress(&info);
    jpeg_mem_dest(&info, &bytes, &count);
    info.image_width = WIDTH;
    info.image_height = HEIGHT;
    info.input_components = 3;
    info.in_color_space = JCS_RGB;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, QUALITY, TRUE);
    jpeg_start_compress(&info, TRUE);
    for (int y = 0; y < HEIGHT; y++) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)canvas->rgb[y];
        jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    bool ok = fwrite(bytes, 1, count, file) == count;
    ok = fclose(file) == 0 && ok;
    free(bytes);
    return ok || xv_fail(error, "cannot write %s: %s", path, strerror(errno));
}

static bool write_texts(const XvBenchSet *set, XvError *error)
{
    FILE *vocab = fopen(set->vocab, "w");
    FILE *records = fopen(set->records, "w");
    bool ok = vocab && records;
    if (ok) {
        fputs("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\npicture\nof\nnothing\n##s\n", vocab);
        for (int i = 0; i < XV_BENCH_PICTURES; i++) {
            fprintf(records,
                    "{\"image\": \"%s/%d.jpg\", \"caption\": \"a picture of nothing and pictures\"}\n",
                    set->folder, i);
        }
    }
    ok = (!vocab || fclose(vocab) == 0) && ok;
    ok = (!records || fclose(records) == 0) && ok;
    return ok || xv_fail(error, "cannot write to %s: %s", set->folder, strerror(errno));
}

static bool fill(const XvBenchSet *set, XvError *error)
{
    Canvas *canvas = malloc(sizeof *canvas);
    if (!canvas) {
        return xv_fail(error, "no memory to draw pictures");
    }
    bool ok = write_texts(set, error);
    for (int i = 0; ok && i < XV_BENCH_PICTURES; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%d.jpg", set->folder, i);
        draw(canvas, i);
        ok = write_jpeg(canvas, path, error);
    }
    free(canvas);
    return ok;
}

bool xv_bench_set_make(XvBenchSet *set, XvError *error)
{
    snprintf(set->folder, sizeof set->folder, "/tmp/xvlm-bench-XXXXXX");
    if (!mkdtemp(set->folder)) {
        return xv_fail(error, "cannot make a folder like %s: %s", set->folder, strerror(errno));
    }
    snprintf(set->records, sizeof set->records, "%s/records.jsonl", set->folder);
    snprintf(set->vocab, sizeof set->vocab, "%s/vocab.txt", set->folder);
    if (!fill(set, error)) {
        xv_bench_set_remove(set);
        return false;
    }
    return true;
}

void xv_bench_set_remove(const XvBenchSet *set)
{
    for (int i = 0; i < XV_BENCH_PICTURES; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%d.jpg", set->folder, i);
        unlink(path);
    }
    unlink(set->records);
    unlink(set->vocab);
    rmdir(set->folder);
}
