// `xvlm data show`: a record as a picture, with its boxes and texts.
#include "runtime/data/base64.h"
#include "runtime/data/image.h"
#include "runtime/data/image_path.h"
#include "runtime/data/json_line.h"
#include "runtime/data/records.h"
#include "runtime/data/references.h"
#include "runtime/metrics/picture.h"
#include "runtime/tools/data.h"
#include "runtime/tools/tool.h"

#include <stdlib.h>
#include <string.h>

enum { WIDTH = 900, MARGIN = 12, MAX_LINES = 40, MAX_PICTURES = 2 };

typedef struct Arguments {
    const char *output, *image_root, *image_key, *boxes;
    int64_t record;
    bool wants_help;
} Arguments;

// A line of text below the picture, in the colour of its box.
typedef struct Caption {
    char text[400];
    XvColor color;
} Caption;

typedef struct Sheet {
    XvImage images[MAX_PICTURES];
    int n_images;
    Caption captions[MAX_LINES];
    int n_captions;
    double boxes[MAX_LINES][4];  // in pixels of the first picture
    XvColor colors[MAX_LINES];
    int n_boxes;
} Sheet;

static const XvColor INK = {30, 30, 30}, PAPER = {255, 255, 255};

static void add_caption(Sheet *sheet, const char *label, const char *text, XvColor color)
{
    if (sheet->n_captions < MAX_LINES) {
        Caption *caption = &sheet->captions[sheet->n_captions++];
        snprintf(caption->text, sizeof caption->text, "%s%s%.300s", label, *label ? ": " : "", text);
        caption->color = color;
    }
}

// A string, a number, or each of a list.
static void add_texts(Sheet *sheet, const char *label, const cJSON *value, XvColor color)
{
    char number[32];
    if (cJSON_IsString(value)) {
        add_caption(sheet, label, value->valuestring, color);
    } else if (cJSON_IsNumber(value)) {
        snprintf(number, sizeof number, "%.15g", value->valuedouble);
        add_caption(sheet, label, number, color);
    }
    for (const cJSON *item = cJSON_IsArray(value) ? value->child : NULL; item; item = item->next) {
        if (cJSON_IsString(item)) {
            add_caption(sheet, label, item->valuestring, color);
        }
    }
}

static void add_box(Sheet *sheet, const cJSON *value, XvColor color)
{
    if (sheet->n_boxes < MAX_LINES && xv_json_box(value, sheet->boxes[sheet->n_boxes])) {
        sheet->colors[sheet->n_boxes++] = color;
    }
}

static void add_elements(Sheet *sheet, const cJSON *list)
{
    int number = 0;
    for (const cJSON *element = cJSON_IsArray(list) ? list->child : NULL; element; element = element->next) {
        XvColor color = XV_PALETTE[number++ % XV_PALETTE_COUNT];
        const cJSON *captions = xv_json_member(element, "caption"),
                    *attributes = xv_json_member(element, "attributes");
        const cJSON *caption = cJSON_IsArray(captions) ? captions->child : captions;
        const cJSON *attribute = cJSON_IsArray(attributes) ? attributes->child : attributes;
        add_box(sheet, xv_json_member(element, "bb"), color);
        add_caption(sheet, cJSON_IsString(attribute) ? attribute->valuestring : "",
                    cJSON_IsString(caption) ? caption->valuestring : "(no caption)", color);
    }
}

// ---- reading

static bool add_image(Sheet *sheet, const Arguments *a, const cJSON *record, const char *path,
                      const char *image, XvError *error)
{
    XvBytes file = {0};
    char found[PATH_MAX];
    const XvImageRoots roots = {.image_root = a->image_root};
    bool is_path = strlen(image) < 120 || memchr(image, '.', 120);
    bool ok = is_path ? xv_image_read(xv_image_root(&roots, record), path, image, found, &file, error)
                      : xv_base64_decode(image, &file, error);
    ok = ok && xv_image_decode(file.data, file.count, INT_MAX, &sheet->images[sheet->n_images], error);
    sheet->n_images += ok;
    xv_bytes_free(&file);
    return ok;
}

static bool add_images(Sheet *sheet, const Arguments *a, const cJSON *record, const char *path,
                       XvError *error)
{
    static const char *const NAMES[] = {"binary", "image_rpath", "image"};
    const cJSON *pair = xv_json_member(record, "images");
    if (cJSON_IsArray(pair)) {
        for (int i = 0; i < MAX_PICTURES; i++) {
            const cJSON *image = cJSON_GetArrayItem(pair, i);
            if (!cJSON_IsString(image) || !add_image(sheet, a, record, path, image->valuestring, error)) {
                return error->text[0] ? false : xv_fail(error, "field \"images\" is not a list of two paths");
            }
        }
        return true;
    }
    const cJSON *image = a->image_key ? xv_json_member(record, a->image_key) : NULL;
    for (size_t i = 0; !a->image_key && !image && i < sizeof NAMES / sizeof *NAMES; i++) {
        image = xv_json_member(record, NAMES[i]);
    }
    if (!cJSON_IsString(image)) {
        return xv_fail(error, "the record has no field with a picture (--image-key)");
    }
    return add_image(sheet, a, record, path, image->valuestring, error);
}

static bool add_reference(Sheet *sheet, const Arguments *a, const cJSON *record, XvError *error)
{
    const cJSON *id = xv_json_member(record, "ref_id");
    if (!a->boxes || !cJSON_IsNumber(id)) {
        return true;
    }
    XvReferences *references = xv_references_open(a->boxes, error);
    const XvReference *found = references ? xv_references_find(references, (int64_t)id->valuedouble) : NULL;
    if (found && sheet->n_boxes < MAX_LINES) {
        memcpy(sheet->boxes[sheet->n_boxes], found->box, sizeof found->box);
        sheet->colors[sheet->n_boxes++] = XV_PALETTE[0];
    }
    bool ok = references != NULL;
    xv_references_close(references);
    return ok;
}

static bool fill_sheet(Sheet *sheet, const Arguments *a, const cJSON *record, const char *path,
                       XvError *error)
{
    static const char *const TEXTS[] = {"caption",  "desc",  "question", "answer",
                                        "sentence", "label", "text",     "ref_id"};
    if (!cJSON_IsObject(record)) {
        return xv_fail(error, "the record is not a JSON object");
    }
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++) {
        add_texts(sheet, TEXTS[i], xv_json_member(record, TEXTS[i]), INK);
    }
    add_box(sheet, xv_json_member(record, "bbox"), XV_PALETTE[0]);
    add_elements(sheet, xv_json_member(record, "elems"));
    return add_images(sheet, a, record, path, error) && add_reference(sheet, a, record, error);
}

// ---- drawing

static XvRect place_image(const Sheet *sheet, int i)
{
    double width = (double)(WIDTH - MARGIN * (sheet->n_images + 1)) / sheet->n_images;
    const XvImage *image = &sheet->images[i];
    return (XvRect){MARGIN + i * (width + MARGIN), MARGIN, width, width * image->height / image->width};
}

static void draw_boxes(XvPicture *picture, const Sheet *sheet)
{
    XvRect where = place_image(sheet, 0);
    double scale = where.w / sheet->images[0].width;
    for (int i = 0; i < sheet->n_boxes; i++) {
        const double *box = sheet->boxes[i];
        XvRect rect = {where.x + box[0] * scale, where.y + box[1] * scale, box[2] * scale, box[3] * scale};
        xv_picture_outline(picture, rect, 3, sheet->colors[i]);
    }
}

static bool draw(const Sheet *sheet, const char *output, XvError *error)
{
    enum { LINE = 22 };
    double bottom = 0;
    for (int i = 0; i < sheet->n_images; i++) {
        XvRect where = place_image(sheet, i);
        bottom = where.y + where.h > bottom ? where.y + where.h : bottom;
    }
    XvPicture picture;
    int height = (int)bottom + MARGIN + LINE * sheet->n_captions + MARGIN;
    if (!xv_picture_create(&picture, WIDTH, height, PAPER, error)) {
        return false;
    }
    for (int i = 0; i < sheet->n_images; i++) {
        const XvImage *image = &sheet->images[i];
        xv_picture_paste(&picture, place_image(sheet, i), image->pixels, image->width, image->height);
    }
    draw_boxes(&picture, sheet);
    for (int i = 0; i < sheet->n_captions; i++) {
        XvRect mark = {MARGIN, bottom + MARGIN + i * LINE, 8, 14};
        xv_picture_fill(&picture, mark, sheet->captions[i].color);
        xv_picture_text(&picture, MARGIN + 16, mark.y, sheet->captions[i].text, (XvTextStyle){2, INK});
    }
    bool ok = xv_picture_write_png(&picture, output, error);
    xv_picture_free(&picture);
    return ok;
}

static bool show(const Arguments *a, const char *path, XvError *error)
{
    const char *const paths[] = {path};
    XvBytes text = {0};
    Sheet sheet = {.n_images = 0};
    XvRecordFiles *files = xv_records_open(paths, 1, error);
    bool ok = files && (a->record <= xv_records_count(files) ||
                        xv_fail(error, "%s has %lld records", path, (long long)xv_records_count(files)));
    ok = ok && xv_records_read(files, a->record - 1, &text, error);
    cJSON *record = ok ? xv_json_parse_line((const char *)text.data, text.count, error) : NULL;
    bool is_shown = record && fill_sheet(&sheet, a, record, xv_records_path(files, a->record - 1), error);
    if (ok && !is_shown) {
        XvRecordPlace place = xv_records_place(files, a->record - 1);
        xv_fail_in(error, "%s:%lld", place.path, (long long)place.line);
    }
    ok = is_shown && draw(&sheet, a->output, error);
    for (int i = 0; i < MAX_PICTURES; i++) {
        xv_image_free(&sheet.images[i]);
    }
    cJSON_Delete(record);
    xv_bytes_free(&text);
    xv_records_close(files);
    return ok;
}

int xv_data_show(int argc, char **argv)
{
    Arguments a = {.record = 1};
    const XvOption options[] = {
        {"--output", "F.png", XV_OPTION_TEXT, &a.output, 0, 0, "the drawing"},
        {"--record", "N", XV_OPTION_INTEGER, &a.record, 1, INT64_MAX, "which record, from 1 (1)"},
        {"--image-root", "DIR", XV_OPTION_TEXT, &a.image_root, 0, 0, "where paths of pictures start"},
        {"--image-key", "NAME", XV_OPTION_TEXT, &a.image_key, 0, 0, "field of the picture"},
        {"--boxes", "PATH", XV_OPTION_TEXT, &a.boxes, 0, 0,
         "boxes by ref_id: a JSON file, or the folder of RefCOCO+"},
        {"--help", NULL, XV_OPTION_FLAG, &a.wants_help, 0, 0, "this text"},
    };
    enum { N_OPTIONS = sizeof options / sizeof *options };
    XvError error = {""};
    bool is_understood = xv_options_parse_some(options, N_OPTIONS, &argc, argv, &error);
    if (is_understood && a.wants_help) {
        printf(
            "usage: xvlm data show --output F.png [options] FILE\n\nDraws a record: its picture, boxes and texts.\n\n");
        xv_options_print(stdout, options, N_OPTIONS);
        return XV_EXIT_OK;
    }
    is_understood = is_understood &&
                    (a.output || xv_fail(&error, "--output is needed: the PNG file to write")) &&
                    (argc == 2 || xv_fail(&error, "one file of records is needed"));
    if (!is_understood || !show(&a, argv[1], &error)) {
        fprintf(stderr, "xvlm data show: %s\n", error.text);
        return is_understood ? XV_EXIT_FAILED : XV_EXIT_USAGE;
    }
    return XV_EXIT_OK;
}
