// Painting of a scene and JPEG writing; see scenes.h.
//
// Edges are antialiased by the signed distance to the outline; patterns by the distance to their own edges.
#include "runtime/tools/scenes.h"

#include <errno.h>
#include <jpeglib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Canvas {
    int pixels;
    float *rgb;  // pixels * pixels * 3, 0..1
} Canvas;

static double clamp01(double value)
{
    return value < 0 ? 0 : value > 1 ? 1 : value;
}

// Share of a one-pixel wide step that lies below an edge `distance` pixels away.
static double coverage(double distance)
{
    return clamp01(0.5 - distance);
}

static void blend(Canvas *canvas, int x, int y, const double rgb[3], double share)
{
    float *pixel = canvas->rgb + 3 * ((size_t)y * (size_t)canvas->pixels + (size_t)x);
    for (int c = 0; c < 3; c++) {
        pixel[c] += (float)(share * (rgb[c] - (double)pixel[c]));
    }
}

// Distance to the nearest edge of stripes of equal width, positive in every second stripe.
static double stripe_distance(double position, double period)
{
    double phase = position / period;
    phase -= floor(phase);
    return (fabs(phase - 0.5) - 0.25) * period;
}

// ---- background

typedef struct Ground {
    double cosine, sine;  // direction of gradient or stripes
    double period;        // of patterns, pixels
    uint64_t key;         // of the clouds
} Ground;

static double lattice(uint64_t key, int x, int y)
{
    uint64_t bits = xv_key(key, (uint64_t)(y * 1024 + x));
    return (double)(bits >> 40) * 0x1p-24;
}

// Smooth random field: values on a lattice, blended with a cubic.
static double cloud(uint64_t key, double x, double y)
{
    int column = (int)floor(x), row = (int)floor(y);
    double fx = x - column, fy = y - row;
    fx = fx * fx * (3 - 2 * fx);
    fy = fy * fy * (3 - 2 * fy);
    double top = lattice(key, column, row) * (1 - fx) + lattice(key, column + 1, row) * fx;
    double bottom = lattice(key, column, row + 1) * (1 - fx) + lattice(key, column + 1, row + 1) * fx;
    return top * (1 - fy) + bottom * fy;
}

static double dot_distance(double x, double y, double period)
{
    double row = floor(y / period);
    double shifted = x + (fmod(row, 2) == 0 ? 0 : period / 2);  // every second row by half a step
    double dx = shifted - period * (floor(shifted / period) + 0.5);
    double dy = y - period * (row + 0.5);
    return hypot(dx, dy) - 0.28 * period;
}

// Share of the second tone at a pixel.
static double ground_share(const XvScene *scene, const Ground *ground, double x, double y)
{
    double side = scene->pixels;
    double along = x * ground->cosine + y * ground->sine;
    double across = y * ground->cosine - x * ground->sine;
    switch (scene->ground) {
    case XV_GROUND_GRADIENT: {
        double u = (x / side - 0.5) * ground->cosine + (y / side - 0.5) * ground->sine;
        return clamp01(0.5 + u);
    }
    case XV_GROUND_CLOUDS: {
        double coarse = cloud(ground->key, 3.5 * x / side, 3.5 * y / side);
        double fine = cloud(ground->key + 1, 9 * x / side, 9 * y / side);
        return 0.7 * coarse + 0.3 * fine;
    }
    case XV_GROUND_STRIPES: return coverage(stripe_distance(along, ground->period));
    case XV_GROUND_DOTS: return coverage(dot_distance(along + 4 * side, across + 4 * side, ground->period));
    default: return 0;
    }
}

static void paint_ground(const XvScene *scene, Canvas *canvas, XvStream *stream)
{
    double angle = 6.283185307179586 * xv_stream_uniform(stream);
    Ground ground = {.cosine = cos(angle), .sine = sin(angle)};
    ground.period = scene->pixels * (0.10 + 0.08 * xv_stream_uniform(stream));
    ground.key = xv_key(scene->key, 0xc10d);
    for (int y = 0; y < canvas->pixels; y++) {
        for (int x = 0; x < canvas->pixels; x++) {
            blend(canvas, x, y, scene->ground_rgb[0], 1);
            double share = ground_share(scene, &ground, x + 0.5, y + 0.5);
            blend(canvas, x, y, scene->ground_rgb[1], share);
        }
    }
}

// ---- objects

typedef struct Paint {
    XvOutline outline;
    const XvSceneObject *object;
    double rgb[2][3];     // main tone and texture tone
    double cosine, sine;  // direction of the texture
    double period;        // of the texture, pixels
} Paint;

static double luminance(const double rgb[3])
{
    return 0.3 * rgb[0] + 0.59 * rgb[1] + 0.11 * rgb[2];
}

// The texture's tone is the object's colour made lighter, or darker where it is light already.
static void choose_tones(Paint *paint, XvStream *stream)
{
    const double *rgb = XV_COLOURS[paint->object->colour].rgb;
    bool is_light = luminance(rgb) > 0.55;
    double target = is_light ? 0.0 : 1.0;
    for (int c = 0; c < 3; c++) {
        paint->rgb[0][c] = clamp01(rgb[c] + 0.06 * (xv_stream_uniform(stream) - 0.5));
        paint->rgb[1][c] = paint->rgb[0][c] + (is_light ? 0.5 : 0.58) * (target - paint->rgb[0][c]);
    }
}

static Paint make_paint(const XvScene *scene, const XvSceneObject *object, XvStream *stream)
{
    Paint paint = {.outline = xv_outline(object, scene->pixels), .object = object};
    choose_tones(&paint, stream);
    double angle = 3.141592653589793 * (xv_stream_uniform(stream) - 0.5);
    angle =
        object->texture == 1 ? angle : 0.3 * angle;  // stripes go anywhere, the others stay nearly upright
    paint.cosine = cos(angle);
    paint.sine = sin(angle);
    static const double PERIODS[XV_N_TEXTURES] = {1, 0.52, 0.50, 0.80};
    paint.period = fmax(PERIODS[object->texture] * paint.outline.radius, 3.2);
    return paint;
}

static double texture_share(const Paint *paint, double x, double y)
{
    double dx = x - paint->outline.centre_x, dy = y - paint->outline.centre_y;
    double along = dx * paint->cosine + dy * paint->sine;
    double across = dy * paint->cosine - dx * paint->sine;
    switch (paint->object->texture) {
    case 1: return coverage(stripe_distance(along, paint->period));
    case 2:
        return coverage(
            dot_distance(along + 100 * paint->period, across + 100 * paint->period, paint->period));
    case 3: {
        double columns = coverage(stripe_distance(along, paint->period));
        double rows = coverage(stripe_distance(across, paint->period));
        return columns * (1 - rows) + rows * (1 - columns);
    }
    default: return 0;
    }
}

static void paint_pixel(Canvas *canvas, const Paint *paint, int x, int y)
{
    double px = x + 0.5, py = y + 0.5;
    double share = coverage(xv_outline_distance(&paint->outline, px, py));
    if (share <= 0) {
        return;
    }
    // Light falls from the top left.
    double across = px - paint->outline.centre_x + py - paint->outline.centre_y;
    double light = 1.02 - 0.07 * across / (paint->outline.radius + 1);
    double second = texture_share(paint, px, py);
    double rgb[3];
    for (int c = 0; c < 3; c++) {
        rgb[c] = clamp01(light * (paint->rgb[0][c] + second * (paint->rgb[1][c] - paint->rgb[0][c])));
    }
    blend(canvas, x, y, rgb, share);
}

static void paint_shadow(Canvas *canvas, const Paint *paint, double offset, int x, int y)
{
    static const double DARK[3] = {0, 0, 0};
    double distance = xv_outline_distance(&paint->outline, x + 0.5 - offset, y + 0.5 - offset);
    double share = clamp01(0.5 - distance / (2 * offset));
    blend(canvas, x, y, DARK, 0.35 * share);
}

static void paint_object(Canvas *canvas, const Paint *paint, double shadow)
{
    XvBox box = paint->object->box;
    int margin = (int)ceil(2 * shadow) + 1;
    int last_x = box.x + box.w + margin, last_y = box.y + box.h + margin;
    last_x = last_x < canvas->pixels ? last_x : canvas->pixels;
    last_y = last_y < canvas->pixels ? last_y : canvas->pixels;
    if (shadow > 0) {
        for (int y = box.y; y < last_y; y++) {
            for (int x = box.x; x < last_x; x++) {
                paint_shadow(canvas, paint, shadow, x, y);
            }
        }
    }
    for (int y = box.y; y < box.y + box.h; y++) {
        for (int x = box.x; x < box.x + box.w; x++) {
            paint_pixel(canvas, paint, x, y);
        }
    }
}

// ---- the whole picture

// Adds grain and rounds to bytes.
static uint8_t *to_bytes(const Canvas *canvas, double grain, XvStream *stream)
{
    size_t count = (size_t)canvas->pixels * (size_t)canvas->pixels;
    uint8_t *bytes = malloc(3 * count);
    for (size_t i = 0; bytes && i < count; i++) {
        uint32_t word = xv_stream_u32(stream);
        double noise = (double)((word & 0xff) + (word >> 8 & 0xff)) / 255 - 1;  // a triangle around zero
        for (size_t c = 0; c < 3; c++) {
            bytes[3 * i + c] = (uint8_t)(255 * clamp01((double)canvas->rgb[3 * i + c] + grain * noise) + 0.5);
        }
    }
    return bytes;
}

uint8_t *xv_scene_render(const XvScene *scene)
{
    size_t side = (size_t)scene->pixels;
    Canvas canvas = {.pixels = scene->pixels, .rgb = calloc(3 * side * side, sizeof(float))};
    if (!canvas.rgb) {
        return NULL;
    }
    XvStream stream = xv_scene_stream(scene, XV_FOR_PICTURE);
    bool has_shadow = xv_stream_uniform(&stream) < 0.5;
    double grain = 0.03 * xv_stream_uniform(&stream);
    double shadow = has_shadow ? 0.012 * scene->pixels + 0.3 : 0;
    paint_ground(scene, &canvas, &stream);
    for (int i = 0; i < scene->n_objects; i++) {
        Paint paint = make_paint(scene, &scene->objects[i], &stream);
        paint_object(&canvas, &paint, shadow);
    }
    uint8_t *bytes = to_bytes(&canvas, grain, &stream);
    free(canvas.rgb);
    return bytes;
}

// Compresses to memory, where nothing but a lack of memory can go wrong; libjpeg ends the process then.
static unsigned char *compress(const uint8_t *rgb, int pixels, int quality, unsigned long *n_bytes)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr manager;
    unsigned char *bytes = NULL;
    jpeg.err = jpeg_std_error(&manager);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &bytes, n_bytes);
    jpeg.image_width = (JDIMENSION)pixels;
    jpeg.image_height = (JDIMENSION)pixels;
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, quality, TRUE);
    jpeg.comp_info[0].h_samp_factor = 1;  // full chroma: thin coloured stripes must keep their colours
    jpeg.comp_info[0].v_samp_factor = 1;
    jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < jpeg.image_height) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)(rgb + 3 * (size_t)jpeg.next_scanline * (size_t)pixels);
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    return bytes;
}

bool xv_scene_write(const XvScene *scene, int quality, const char *path, XvError *error)
{
    uint8_t *rgb = xv_scene_render(scene);
    if (!rgb) {
        return xv_fail(error, "no memory for a picture of %d pixels", scene->pixels);
    }
    unsigned long n_bytes = 0;
    unsigned char *bytes = compress(rgb, scene->pixels, quality, &n_bytes);
    free(rgb);
    FILE *file = fopen(path, "wb");
    bool is_written = file && fwrite(bytes, 1, n_bytes, file) == n_bytes;
    if (file) {
        is_written &= fclose(file) == 0;
    }
    free(bytes);
    return is_written || xv_fail(error, "cannot write %s: %s", path, strerror(errno));
}
