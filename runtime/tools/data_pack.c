// `xvlm data pack`: pictures decoded and made smaller once, in shards that training reads at the speed of memory, and
// the records that go with them.
//
// A shard is packed pictures one after the other (image_packed.h); the index are the new records, whose pictures are
// "shard-00000.pack@OFFSET+LENGTH" and whose boxes and sizes fit the smaller pictures. Every picture is stored once.
// Shards and records get their names when they are complete.
#include "runtime/base/format.h"
#include "runtime/data/base64.h"
#include "runtime/data/image_packed.h"
#include "runtime/data/image_path.h"
#include "runtime/data/json_line.h"
#include "runtime/data/records.h"
#include "runtime/data/references.h"
#include "runtime/data/resize.h"
#include "runtime/storage/storage.h"
#include "runtime/tools/data.h"
#include "runtime/tools/tool.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_PICTURES = 2 };

typedef struct Arguments {
    const char *output, *image_root, *vqa_root, *vg_root, *image_key, *boxes;
    int64_t side, shard_mib;
    bool wants_help;
} Arguments;

// Where a picture went, by the name it had.
typedef struct Stored {
    char *name;
    char *place;  // "shard-00000.pack@0+196624"; NULL for one that cannot be read
    double scale_x, scale_y;
} Stored;

typedef struct Pack {
    const Arguments *arguments;
    XvReferences *references;
    FILE *shard;
    int n_shards;
    int64_t shard_bytes, bytes, n_pictures, n_records, n_left_out;
    char shard_path[PATH_MAX], shard_partial[PATH_MAX];
    Stored *stored;  // open addressing
    size_t room, count;
    Stored loose;  // of a picture that has no name: base64
    XvBytes file;
    XvImage decoded, smaller;
    XvResizer resizer;
    XvError *error;
} Pack;

// ---- pictures that were stored

static Stored *slot_of(Stored *items, size_t room, const char *name)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (const char *at = name; *at; at++) {
        hash = (hash ^ (unsigned char)*at) * 0x100000001B3u;
    }
    size_t at = (size_t)(hash ^ hash >> 31) & (room - 1);
    while (items[at].name && strcmp(items[at].name, name) != 0) {
        at = (at + 1) & (room - 1);
    }
    return &items[at];
}

// The slot of a name, free or not; NULL without memory.
static Stored *find_slot(Pack *pack, const char *name)
{
    if (2 * (pack->count + 1) > pack->room) {
        size_t room = pack->room ? 2 * pack->room : 1024;
        Stored *items = calloc(room, sizeof *items);
        if (!items) {
            return NULL;
        }
        for (size_t i = 0; i < pack->room; i++) {
            if (pack->stored[i].name) {
                *slot_of(items, room, pack->stored[i].name) = pack->stored[i];
            }
        }
        free(pack->stored);
        pack->stored = items;
        pack->room = room;
    }
    return slot_of(pack->stored, pack->room, name);
}

// ---- shards

static bool close_shard(Pack *pack)
{
    if (!pack->shard) {
        return true;
    }
    bool ok = !ferror(pack->shard);
    ok &= fclose(pack->shard) == 0;
    pack->shard = NULL;
    return (ok && rename(pack->shard_partial, pack->shard_path) == 0) ||
           xv_fail(pack->error, "cannot write %s: %s", pack->shard_path, strerror(errno));
}

static bool open_shard(Pack *pack)
{
    const char *folder = pack->arguments->output;
    int length = snprintf(pack->shard_path, PATH_MAX, "%.3900s/shard-%05d.pack", folder, pack->n_shards++);
    snprintf(pack->shard_partial, PATH_MAX, "%.*s.partial", length, pack->shard_path);
    pack->shard_bytes = 0;
    pack->shard = fopen(pack->shard_partial, "wb");
    return pack->shard || xv_fail(pack->error, "cannot write %s: %s", pack->shard_partial, strerror(errno));
}

static bool write_picture(Pack *pack, const XvImage *image, Stored *stored)
{
    uint8_t head[XV_PACKED_HEAD];
    size_t count = (size_t)image->width * (size_t)image->height * 3;
    bool is_full = pack->shard && pack->shard_bytes + (int64_t)count > pack->arguments->shard_mib << 20;
    if ((is_full && !close_shard(pack)) || (!pack->shard && !open_shard(pack))) {
        return false;
    }
    xv_packed_head(image, head);
    if (fwrite(head, sizeof head, 1, pack->shard) != 1 || fwrite(image->pixels, count, 1, pack->shard) != 1) {
        return xv_fail(pack->error, "cannot write %s: %s", pack->shard_partial, strerror(errno));
    }
    char place[128];
    snprintf(place, sizeof place, "shard-%05d.pack@%" PRId64 "+%zu", pack->n_shards - 1, pack->shard_bytes,
             sizeof head + count);
    stored->place = strdup(place);
    pack->shard_bytes += (int64_t)(sizeof head + count);
    pack->bytes += (int64_t)(sizeof head + count);
    pack->n_pictures++;
    return stored->place || xv_fail(pack->error, "no memory for the index");
}

// Makes the shorter side as long as asked; pictures that are smaller stay as they are.
static const XvImage *shrink(Pack *pack, XvError *reason)
{
    const XvImage *image = &pack->decoded;
    int shorter = image->width < image->height ? image->width : image->height;
    if (shorter <= pack->arguments->side) {
        return image;
    }
    double scale = (double)pack->arguments->side / shorter;
    int width = (int)lround(image->width * scale), height = (int)lround(image->height * scale);
    bool ok =
        xv_image_resize(&pack->smaller, width, height, reason) &&
        xv_resize(&pack->resizer, image, (XvCrop){0, 0, image->width, image->height}, &pack->smaller, reason);
    return ok ? &pack->smaller : NULL;
}

// Stores what was read into the file buffer. An unreadable picture leaves `place` NULL and the reason.
static bool store(Pack *pack, Stored *stored, XvError *reason)
{
    const XvImage *image = NULL;
    if (xv_image_decode(pack->file.data, pack->file.count, INT_MAX, &pack->decoded, reason)) {
        image = shrink(pack, reason);
    }
    if (!image) {
        return true;
    }
    stored->scale_x = (double)image->width / pack->decoded.width;
    stored->scale_y = (double)image->height / pack->decoded.height;
    return write_picture(pack, image, stored);
}

// ---- records

typedef struct Job {
    Pack *pack;
    cJSON *record;
    const char *path;  // of the file of records
    XvError reason;    // why the record is left out
} Job;

// Stores the picture of a path, or of base64, once. NULL with a reason (or an error of the pack) when that failed.
static const Stored *place_picture(Job *job, const char *image, bool is_path)
{
    Pack *pack = job->pack;
    const Arguments *a = pack->arguments;
    const XvImageRoots roots = {a->image_root, a->vqa_root, a->vg_root};
    const char *root = xv_image_root(&roots, job->record);
    char found[PATH_MAX], name[PATH_MAX + 64];
    snprintf(name, sizeof name, "%s\n%.4000s", root ? root : "", is_path ? image : "");
    free(pack->loose.place);
    pack->loose.place = NULL;
    Stored *slot = is_path ? find_slot(pack, name) : &pack->loose;
    if (!slot) {
        xv_fail(pack->error, "no memory for the index");
        return NULL;
    }
    if (is_path && slot->name) {
        return slot->place ? slot : (xv_fail(&job->reason, "%.300s cannot be read", image), NULL);
    }
    bool ok = is_path ? xv_image_read(root, job->path, image, found, &pack->file, &job->reason)
                      : xv_base64_decode(image, &pack->file, &job->reason);
    if (ok && !store(pack, slot, &job->reason)) {
        return NULL;
    }
    if (is_path) {
        slot->name = strdup(name);
        pack->count++;
    }
    return slot->place ? slot : NULL;
}

// A box of whole pixels around the scaled one, inside the picture.
static void scale_box(cJSON *box, const Stored *stored)
{
    double values[4];
    if (!xv_json_box(box, values)) {
        return;
    }
    double left = floor(values[0] * stored->scale_x + 1e-6), top = floor(values[1] * stored->scale_y + 1e-6);
    double right = ceil((values[0] + values[2]) * stored->scale_x - 1e-6);
    double bottom = ceil((values[1] + values[3]) * stored->scale_y - 1e-6);
    const double scaled[4] = {left, top, right - left, bottom - top};
    for (int i = 0; i < 4; i++) {
        cJSON_SetNumberValue(cJSON_GetArrayItem(box, i), scaled[i]);
    }
}

static void scale_size(cJSON *record, const char *key, double scale)
{
    cJSON *value = cJSON_GetObjectItemCaseSensitive(record, key);
    if (cJSON_IsNumber(value)) {
        cJSON_SetNumberValue(value, (double)lround(value->valuedouble * scale));
    }
}

// The box of a ref_id becomes a field of the record, because the file of boxes is about the original pictures.
static void add_reference(const Job *job)
{
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(job->record, "ref_id");
    const XvReference *reference = job->pack->references && cJSON_IsNumber(id)
                                       ? xv_references_find(job->pack->references, (int64_t)id->valuedouble)
                                       : NULL;
    if (reference && !cJSON_GetObjectItemCaseSensitive(job->record, "bbox")) {
        cJSON_AddItemToObject(job->record, "bbox", cJSON_CreateDoubleArray(reference->box, 4));
    }
}

static void fit_record(const Job *job, const Stored *stored)
{
    cJSON *elements = cJSON_GetObjectItemCaseSensitive(job->record, "elems");
    for (cJSON *element = cJSON_IsArray(elements) ? elements->child : NULL; element;
         element = element->next) {
        scale_box(cJSON_GetObjectItemCaseSensitive(element, "bb"), stored);
    }
    add_reference(job);
    scale_box(cJSON_GetObjectItemCaseSensitive(job->record, "bbox"), stored);
    scale_size(job->record, "width", stored->scale_x);
    scale_size(job->record, "height", stored->scale_y);
}

static bool pack_pair(Job *job, cJSON *images)
{
    for (int i = 0; i < MAX_PICTURES; i++) {
        const cJSON *image = cJSON_GetArrayItem(images, i);
        const Stored *stored = cJSON_IsString(image) ? place_picture(job, image->valuestring, true) : NULL;
        if (!stored) {
            return job->reason.text[0] ||
                   xv_fail(&job->reason, "field \"images\" is not a list of two paths");
        }
        cJSON_ReplaceItemInArray(images, i, cJSON_CreateString(stored->place));
    }
    return true;
}

// Gives the record its new picture. A record that cannot be used gets a reason.
static bool pack_record(Job *job)
{
    static const char *const NAMES[] = {"binary", "image_rpath", "image"};
    const char *key = job->pack->arguments->image_key;
    cJSON *images = cJSON_GetObjectItemCaseSensitive(job->record, "images");
    if (cJSON_IsArray(images)) {
        return pack_pair(job, images);
    }
    for (size_t i = 0; !key && i < sizeof NAMES / sizeof *NAMES; i++) {
        key = cJSON_GetObjectItemCaseSensitive(job->record, NAMES[i]) ? NAMES[i] : NULL;
    }
    const cJSON *value = key ? cJSON_GetObjectItemCaseSensitive(job->record, key) : NULL;
    if (!cJSON_IsString(value)) {
        return xv_fail(&job->reason, "no field with a picture");
    }
    bool is_path = strlen(value->valuestring) < 120 || memchr(value->valuestring, '.', 120);
    const Stored *stored = place_picture(job, value->valuestring, is_path);
    if (!stored) {
        return false;
    }
    char place[128];
    snprintf(place, sizeof place, "%s", stored->place);
    fit_record(job, stored);
    cJSON_DeleteItemFromObjectCaseSensitive(job->record, key);
    cJSON_AddStringToObject(job->record, is_path ? key : "image_rpath", place);
    return true;
}

static bool write_record(Job *job, FILE *out)
{
    char *text = cJSON_PrintUnformatted(job->record);
    bool ok = text && fprintf(out, "%s\n", text) > 0;
    free(text);
    job->pack->n_records++;
    return ok || xv_fail(job->pack->error, "cannot write a record: %s", strerror(errno));
}

static bool take_record(Pack *pack, const XvRecordFiles *files, int64_t record, FILE *out)
{
    XvBytes text = {0};
    Job job = {.pack = pack, .path = xv_records_path(files, record)};
    bool ok = xv_records_read(files, record, &text, pack->error);
    job.record = ok ? xv_json_parse_line((const char *)text.data, text.count, &job.reason) : NULL;
    xv_bytes_free(&text);
    bool is_packed = cJSON_IsObject(job.record) && pack_record(&job);
    if (ok && is_packed) {
        ok = write_record(&job, out);
    } else if (ok && !pack->error->text[0]) {
        XvRecordPlace place = xv_records_place(files, record);
        fprintf(stderr, "warning: %s:%lld is left out: %s\n", place.path, (long long)place.line,
                job.reason.text[0] ? job.reason.text : "the record is not a JSON object");
        pack->n_left_out++;
    }
    cJSON_Delete(job.record);
    return ok && !pack->error->text[0];
}

// ---- files

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

// The characters of a file's name that its packed records get.
static int stem_of(const char *name)
{
    size_t stem = strcspn(name, ".");
    return (int)(stem < 900 ? stem : 900);
}

// Files of different folders may have one name.
static bool check_names(int n_paths, char **paths, XvError *error)
{
    for (int i = 0; i < n_paths; i++) {
        for (int k = 0; k < i; k++) {
            const char *a = base_name(paths[i]), *b = base_name(paths[k]);
            if (stem_of(a) == stem_of(b) && strncmp(a, b, (size_t)stem_of(a)) == 0) {
                return xv_fail(error,
                               "%s and %s would both become %.*s.jsonl: pack them into different folders",
                               paths[k], paths[i], stem_of(a), a);
            }
        }
    }
    return true;
}

static bool pack_file(Pack *pack, const char *path)
{
    char target[PATH_MAX], partial[PATH_MAX];
    const char *const paths[] = {path};
    const char *name = base_name(path);
    snprintf(target, sizeof target, "%.3000s/%.*s.jsonl", pack->arguments->output, stem_of(name), name);
    snprintf(partial, sizeof partial, "%.4080s.partial", target);
    int64_t before = pack->n_records;
    XvRecordFiles *files = xv_records_open(paths, 1, pack->error);
    FILE *out = files ? fopen(partial, "wb") : NULL;
    bool ok = files && (out || xv_fail(pack->error, "cannot write %s: %s", partial, strerror(errno)));
    for (int64_t record = 0; ok && record < xv_records_count(files); record++) {
        ok = take_record(pack, files, record, out);
    }
    if (out) {
        bool is_written = !ferror(out);
        is_written &= fclose(out) == 0;
        ok = ok && (is_written || xv_fail(pack->error, "cannot write %s: %s", partial, strerror(errno)));
        ok = ok && (pack->n_records > before || xv_fail(pack->error, "%s: no record can be used", path));
        ok = ok && (rename(partial, target) == 0 ||
                    xv_fail(pack->error, "cannot write %s: %s", target, strerror(errno)));
        if (!ok) {
            unlink(partial);
        }
    }
    xv_records_close(files);
    return ok;
}

static bool pack_all(Pack *pack, int n_paths, char **paths)
{
    const Arguments *a = pack->arguments;
    pack->references = a->boxes ? xv_references_open(a->boxes, pack->error) : NULL;
    bool ok = (pack->references || !a->boxes) && xv_storage_make_folder(a->output, pack->error);
    for (int i = 0; ok && i < n_paths; i++) {
        ok = pack_file(pack, paths[i]);
    }
    if (ok) {
        ok = close_shard(pack);
    } else if (pack->shard) {
        fclose(pack->shard);
        unlink(pack->shard_partial);
    }
    return ok;
}

static void pack_free(Pack *pack)
{
    for (size_t i = 0; i < pack->room; i++) {
        free(pack->stored[i].name);
        free(pack->stored[i].place);
    }
    free(pack->stored);
    free(pack->loose.place);
    xv_references_close(pack->references);
    xv_bytes_free(&pack->file);
    xv_image_free(&pack->decoded);
    xv_image_free(&pack->smaller);
    xv_resizer_free(&pack->resizer);
}

int xv_data_pack(int argc, char **argv)
{
    Arguments a = {.side = 256, .shard_mib = 1024};
    const XvOption options[] = {
        {"--output", "DIR", XV_OPTION_TEXT, &a.output, 0, 0, "folder for shards and records"},
        {"--side", "N", XV_OPTION_INTEGER, &a.side, 16, 1 << 14, "shorter side of stored pictures (256)"},
        {"--shard-mib", "N", XV_OPTION_INTEGER, &a.shard_mib, 1, 1 << 20, "size of a shard in MiB (1024)"},
        {"--image-root", "DIR", XV_OPTION_TEXT, &a.image_root, 0, 0, "where paths of pictures start"},
        {"--vqa-root", "DIR", XV_OPTION_TEXT, &a.vqa_root, 0, 0, "the same for questions of VQA"},
        {"--vg-root", "DIR", XV_OPTION_TEXT, &a.vg_root, 0, 0, "the same for questions of Visual Genome"},
        {"--image-key", "NAME", XV_OPTION_TEXT, &a.image_key, 0, 0,
         "field of the picture in pre-training records"},
        {"--boxes", "PATH", XV_OPTION_TEXT, &a.boxes, 0, 0,
         "boxes by ref_id, which become fields of the records"},
        {"--help", NULL, XV_OPTION_FLAG, &a.wants_help, 0, 0, "this text"},
    };
    enum { N_OPTIONS = sizeof options / sizeof *options };
    XvError error = {""};
    bool is_understood = xv_options_parse_some(options, N_OPTIONS, &argc, argv, &error);
    if (is_understood && a.wants_help) {
        printf(
            "usage: xvlm data pack --output DIR [options] FILE...\n\n"
            "Decodes every picture once, makes it smaller and stores it in shards that training reads without\n"
            "decoding; writes the records that go with them, boxes included. Train on DIR/NAME.jsonl as on the\n"
            "original.\n\n");
        xv_options_print(stdout, options, N_OPTIONS);
        return XV_EXIT_OK;
    }
    is_understood =
        is_understood && (a.output || xv_fail(&error, "--output is needed: the folder to write")) &&
        (argc > 1 || xv_fail(&error, "no record file was given")) && check_names(argc - 1, argv + 1, &error);
    Pack pack = {.arguments = &a, .error = &error};
    bool ok = is_understood && pack_all(&pack, argc - 1, argv + 1);
    char bytes[XV_FORMAT_SIZE];
    if (ok) {
        printf("%s: %" PRId64 " records, %" PRId64 " pictures in %d shards (%s)\n", a.output, pack.n_records,
               pack.n_pictures, pack.n_shards, xv_format_bytes(bytes, (double)pack.bytes));
    } else {
        fprintf(stderr, "xvlm data pack: %s\n", error.text);
    }
    pack_free(&pack);
    if (!is_understood) {
        return XV_EXIT_USAGE;
    }
    return ok && pack.n_left_out == 0 ? XV_EXIT_OK : XV_EXIT_FAILED;
}
