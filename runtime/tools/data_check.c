// `xvlm data check` and `xvlm data stats`: every record of a data set, looked at by the rules of its kind.
#include "runtime/base/format.h"
#include "runtime/data/json_line.h"
#include "runtime/data/records.h"
#include "runtime/tools/data.h"
#include "runtime/tools/data_layout.h"
#include "runtime/tools/tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { BLOCK = 256 };  // records that are looked at in parallel, then reported in order

typedef struct Arguments {
    const char *kind, *image_root, *vqa_root, *vg_root, *image_key, *boxes, *detections;
    int64_t batch, world, max_words, max_problems;
    bool skips_pictures, is_json, wants_help;
} Arguments;

// What a record leaves for the report.
typedef struct Result {
    char **problems;
    int n_problems;
    XvTally tally;
    uint64_t hash;  // of its text
    uint64_t id;    // of its unique field; 0: none
} Result;

// Names that must be unique, as hashes with the record that had them first.
typedef struct Names {
    uint64_t *hashes;
    int64_t *records;
    size_t size, count;
} Names;

typedef struct Scan {
    const Arguments *arguments;
    const char *command;
    XvRecordFiles *files;
    XvLayoutOptions options;
    XvReferences *references;
    XvDetections *detections;
    XvSeen *seen;
    Names texts, ids;
    XvTally tally;
    int64_t n_problems, n_bad, n_duplicates;
    bool is_check;
} Scan;

static uint64_t hash_of(const void *bytes, size_t count)
{
    uint64_t low = crc32(0, bytes, (unsigned)count), high = adler32(1, bytes, (unsigned)count);
    return (high << 32 | low) ^ (uint64_t)count << 20 ^ 1;
}

// The record that had the name first, or -1 when this is the first one; without memory nothing is a duplicate.
static int64_t first_with(Names *names, uint64_t hash, int64_t record)
{
    if (2 * (names->count + 1) > names->size) {
        Names larger = {.size = names->size ? 2 * names->size : 4096, .count = names->count};
        larger.hashes = calloc(larger.size, sizeof *larger.hashes);
        larger.records = calloc(larger.size, sizeof *larger.records);
        if (!larger.hashes || !larger.records) {
            free(larger.hashes);
            free(larger.records);
            return -1;
        }
        for (size_t i = 0; i < names->size; i++) {
            size_t at = (size_t)names->hashes[i] & (larger.size - 1);
            while (names->hashes[i] && larger.hashes[at]) {
                at = (at + 1) & (larger.size - 1);
            }
            if (names->hashes[i]) {
                larger.hashes[at] = names->hashes[i];
                larger.records[at] = names->records[i];
            }
        }
        free(names->hashes);
        free(names->records);
        *names = larger;
    }
    size_t at = (size_t)hash & (names->size - 1);
    while (names->hashes[at] && names->hashes[at] != hash) {
        at = (at + 1) & (names->size - 1);
    }
    if (names->hashes[at]) {
        return names->records[at];
    }
    names->hashes[at] = hash;
    names->records[at] = record;
    names->count++;
    return -1;
}

// ---- one record

static uint64_t id_of(const XvLayout *layout, const cJSON *record)
{
    for (const XvField *field = layout->fields; field->key || field == layout->fields; field++) {
        const cJSON *value =
            field->key && field->kind == XV_FIELD_ID ? xv_json_member(record, field->key) : NULL;
        char text[32];
        if (cJSON_IsNumber(value)) {
            snprintf(text, sizeof text, "%.17g", value->valuedouble);
            return hash_of(text, strlen(text));
        }
        if (cJSON_IsString(value)) {
            return hash_of(value->valuestring, strlen(value->valuestring));
        }
    }
    return 0;
}

// Takes the problems out of the check.
static void keep(XvRecordCheck *check, Result *result)
{
    result->problems = check->problems;
    result->n_problems = check->n_problems;
    result->tally = check->tally;
    check->problems = NULL;
    check->n_problems = check->room = 0;
}

static void look_at(const Scan *scan, XvRecordCheck *check, int64_t record, Result *result)
{
    XvBytes text = {0};
    XvError error = {""};
    cJSON *tree = NULL;
    *result = (Result){0};
    xv_check_clear(check);
    if (xv_records_read(scan->files, record, &text, &error)) {
        tree = xv_json_parse_line((const char *)text.data, text.count, &error);
        result->hash = hash_of(text.data, text.count);
    }
    if (tree) {
        result->id = id_of(scan->options.layout, tree);
        xv_check_record(check, &scan->options, tree, xv_records_path(scan->files, record));
        keep(check, result);
    } else {
        result->problems = calloc(1, sizeof *result->problems);
        result->tally.records = 1;
        result->tally.smallest_box = 1;
        if (result->problems && (result->problems[0] = strdup(error.text))) {
            result->n_problems = 1;
        }
    }
    cJSON_Delete(tree);
    xv_bytes_free(&text);
}

// ---- reports

// "path:line", and the column of what a parser complained about: "column 12: ..." counts from the record's first byte.
static void print_problem(const Scan *scan, int64_t record, const char *problem)
{
    XvRecordPlace place = xv_records_place(scan->files, record);
    long long column = place.column;
    int skipped = 0;
    long long inside = 0;
    if (sscanf(problem, "column %lld: %n", &inside, &skipped) == 1 && skipped > 0) {
        column += inside - 1;
        problem += skipped;
    }
    if (column > 1 || inside > 0) {
        printf("%s:%lld:%lld: %s\n", place.path, (long long)place.line, column, problem);
    } else {
        printf("%s:%lld: %s\n", place.path, (long long)place.line, problem);
    }
}

static void report(Scan *scan, int64_t record, const char *problem)
{
    if (scan->is_check && !scan->arguments->is_json && scan->n_problems < scan->arguments->max_problems) {
        print_problem(scan, record, problem);
    } else if (scan->is_check && !scan->arguments->is_json &&
               scan->n_problems == scan->arguments->max_problems) {
        printf("more problems follow; they are only counted (--max-problems)\n");
    }
    scan->n_problems++;
}

static void report_duplicate(Scan *scan, int64_t record, int64_t first, const char *what)
{
    char problem[1200];
    XvRecordPlace place = xv_records_place(scan->files, first);
    snprintf(problem, sizeof problem, "%s as %s:%lld", what, place.path, (long long)place.line);
    report(scan, record, problem);
    scan->n_duplicates++;
}

static void take(Scan *scan, int64_t record, Result *result)
{
    int64_t before = scan->n_problems;
    for (int i = 0; i < result->n_problems; i++) {
        report(scan, record, result->problems[i]);
        free(result->problems[i]);
    }
    free(result->problems);
    xv_tally_add(&scan->tally, &result->tally);
    int64_t same = result->hash && !scan->options.layout->may_repeat
                       ? first_with(&scan->texts, result->hash, record)
                       : -1;
    int64_t id = result->id ? first_with(&scan->ids, result->id, record) : -1;
    if (same >= 0) {
        report_duplicate(scan, record, same, "the same record");
    } else if (id >= 0) {
        report_duplicate(scan, record, id, "the same id");
    }
    scan->n_bad += scan->n_problems > before;
}

static void scan_all(Scan *scan)
{
    int64_t count = xv_records_count(scan->files);
    Result results[BLOCK];
    scan->tally.smallest_box = 1;
    for (int64_t first = 0; first < count; first += BLOCK) {
        int64_t end = first + BLOCK < count ? first + BLOCK : count;
#pragma omp parallel
        {
            XvRecordCheck check = {.seen = scan->seen};
#pragma omp for schedule(dynamic, 4)
            for (int64_t record = first; record < end; record++) {
                look_at(scan, &check, record, &results[record - first]);
            }
            xv_check_free(&check);
        }
        for (int64_t record = first; record < end; record++) {
            take(scan, record, &results[record - first]);
        }
    }
}

static double per(int64_t sum, int64_t count)
{
    return count > 0 ? (double)sum / (double)count : 0;
}

static void print_text(const Scan *scan)
{
    const XvTally *t = &scan->tally;
    const Arguments *a = scan->arguments;
    char bytes[XV_FORMAT_SIZE];
    printf("%s: %" PRId64 " records", scan->options.layout->title, t->records);
    printf(", %" PRId64 " pictures (%s)\n", t->pictures, xv_format_bytes(bytes, (double)t->bytes));
    if (t->captions > 0) {
        printf("  captions  %" PRId64 ", %.1f words on average, %d at most; %" PRId64
               " are longer than %" PRId64 "\n",
               t->captions, per(t->words, t->captions), t->longest_caption, t->cut_captions, a->max_words);
    }
    if (t->elements > 0) {
        printf("  regions   %" PRId64 ", %.1f per record; the smallest covers %.3f %% of its picture\n",
               t->elements, per(t->elements, t->records), 100 * t->smallest_box);
    }
    if (t->answers > 0) {
        printf("  answers   %" PRId64 ", %.1f different ones per question\n", t->answers,
               per(t->answers, t->records));
    }
    if (t->pictures > 0) {
        printf("  pictures  sides of %d to %d pixels, %.2f megapixels on average\n", t->smallest_side,
               t->largest_side, per(t->pixels, t->pictures) / 1e6);
    }
    int64_t usable = t->records - scan->n_bad + scan->n_duplicates;
    int64_t step = a->batch * a->world;
    printf("  an epoch  %" PRId64 " steps of %" PRId64 " x %" PRId64 "\n", (usable + step - 1) / step,
           a->batch, a->world);
    printf("%" PRId64 " problems in %" PRId64 " records\n", scan->n_problems, scan->n_bad);
}

static void print_json(const Scan *scan)
{
    const XvTally *t = &scan->tally;
    int64_t step = scan->arguments->batch * scan->arguments->world;
    int64_t usable = t->records - scan->n_bad + scan->n_duplicates;
    printf("{\"kind\": \"%s\", \"records\": %" PRId64 ", \"pictures\": %" PRId64
           ", \"picture_bytes\": %" PRId64 ", \"captions\": %" PRId64
           ", \"words_per_caption\": %.6g, \"longest_caption\": %d, \"cut_captions\": %" PRId64,
           scan->options.layout->kind, t->records, t->pictures, t->bytes, t->captions,
           per(t->words, t->captions), t->longest_caption, t->cut_captions);
    printf(", \"elements\": %" PRId64 ", \"answers\": %" PRId64
           ", \"smallest_side\": %d, \"largest_side\": %d"
           ", \"steps_per_epoch\": %" PRId64 ", \"problems\": %" PRId64 ", \"bad_records\": %" PRId64
           ", \"duplicates\": %" PRId64 "}\n",
           t->elements, t->answers, t->smallest_side, t->largest_side, (usable + step - 1) / step,
           scan->n_problems, scan->n_bad, scan->n_duplicates);
}

// ---- the command

static bool choose_layout(Scan *scan, XvError *error)
{
    char names[256];
    const char *kind = scan->arguments->kind;
    xv_layout_names(names, sizeof names);
    if (kind) {
        scan->options.layout = xv_layout_find(kind);
        return scan->options.layout || xv_fail(error, "--kind %s is not known (there are %s)", kind, names);
    }
    XvBytes text = {0};
    XvError broken;
    for (int64_t record = 0; record < xv_records_count(scan->files) && record < 100 && !scan->options.layout;
         record++) {
        cJSON *tree = xv_records_read(scan->files, record, &text, &broken)
                          ? xv_json_parse_line((const char *)text.data, text.count, &broken)
                          : NULL;
        scan->options.layout = tree ? xv_layout_guess(tree) : NULL;
        cJSON_Delete(tree);
    }
    xv_bytes_free(&text);
    return scan->options.layout ||
           xv_fail(error, "what these records are cannot be guessed: say --kind (%s)", names);
}

static bool open_scan(Scan *scan, int n_paths, char **paths, XvError *error)
{
    const Arguments *a = scan->arguments;
    scan->files = xv_records_open((const char *const *)paths, n_paths, error);
    scan->references = a->boxes ? xv_references_open(a->boxes, error) : NULL;
    scan->detections = a->detections ? xv_detections_open(a->detections, error) : NULL;
    scan->seen = xv_seen_open();
    scan->options = (XvLayoutOptions){.image_key = a->image_key,
                                      .roots = {a->image_root, a->vqa_root, a->vg_root},
                                      .references = scan->references,
                                      .detections = scan->detections,
                                      .skips_pictures = a->skips_pictures,
                                      .max_words = (int)a->max_words};
    bool has_boxes = (scan->references || !a->boxes) && (scan->detections || !a->detections);
    return scan->files && has_boxes && choose_layout(scan, error);
}

static void close_scan(Scan *scan)
{
    xv_records_close(scan->files);
    xv_references_close(scan->references);
    xv_detections_close(scan->detections);
    xv_seen_close(scan->seen);
    free(scan->texts.hashes);
    free(scan->texts.records);
    free(scan->ids.hashes);
    free(scan->ids.records);
}

static int run(const char *command, bool is_check, int argc, char **argv)
{
    Arguments a = {.batch = 128, .world = 1, .max_words = 40, .max_problems = 1000};
    const XvOption options[] = {
        {"--kind", "KIND", XV_OPTION_TEXT, &a.kind, 0, 0, "what the records are; guessed if not given"},
        {"--image-root", "DIR", XV_OPTION_TEXT, &a.image_root, 0, 0, "where paths of pictures start"},
        {"--vqa-root", "DIR", XV_OPTION_TEXT, &a.vqa_root, 0, 0, "the same for questions of VQA"},
        {"--vg-root", "DIR", XV_OPTION_TEXT, &a.vg_root, 0, 0, "the same for questions of Visual Genome"},
        {"--image-key", "NAME", XV_OPTION_TEXT, &a.image_key, 0, 0,
         "field of the picture in pre-training records"},
        {"--boxes", "PATH", XV_OPTION_TEXT, &a.boxes, 0, 0,
         "boxes by ref_id: a JSON file, or the folder of RefCOCO+"},
        {"--detections", "FILE", XV_OPTION_TEXT, &a.detections, 0, 0,
         "detected boxes by image id (dets.json); with --boxes"},
        {"--batch", "N", XV_OPTION_INTEGER, &a.batch, 1, 1 << 20,
         "batch size, for the steps of an epoch (128)"},
        {"--world", "N", XV_OPTION_INTEGER, &a.world, 1, 1 << 20, "processes, for the steps of an epoch (1)"},
        {"--max-words", "N", XV_OPTION_INTEGER, &a.max_words, 1, 1 << 20,
         "words that captions are cut to (40)"},
        {"--max-problems", "N", XV_OPTION_INTEGER, &a.max_problems, 0, INT64_MAX,
         "problems that are printed (1000)"},
        {"--skip-pictures", NULL, XV_OPTION_FLAG, &a.skips_pictures, 0, 0,
         "read only the heads of picture files"},
        {"--json", NULL, XV_OPTION_FLAG, &a.is_json, 0, 0, "print the numbers as one JSON object"},
        {"--help", NULL, XV_OPTION_FLAG, &a.wants_help, 0, 0, "this text"},
    };
    enum { N_OPTIONS = sizeof options / sizeof *options };
    XvError error = {""};
    bool is_understood = xv_options_parse_some(options, N_OPTIONS, &argc, argv, &error);
    if (is_understood && a.wants_help) {
        printf(
            "usage: xvlm data %s [options] FILE...\n\n%s\n\noptions:\n", command,
            is_check
                ? "Looks at every record and picture, names what is wrong with its line and column, and ends with\n"
                  "status 1 when something is."
                : "Counts records, pictures, words and boxes.");
        xv_options_print(stdout, options, N_OPTIONS);
        return XV_EXIT_OK;
    }
    is_understood = is_understood && (argc > 1 || xv_fail(&error, "no record file was given")) &&
                    (a.boxes || !a.detections ||
                     xv_fail(&error, "--detections needs --boxes, which says whose image a ref_id means"));
    Scan scan = {.arguments = &a, .command = command, .is_check = is_check};
    bool ok = is_understood && open_scan(&scan, argc - 1, argv + 1, &error);
    if (ok) {
        scan_all(&scan);
        a.is_json ? print_json(&scan) : print_text(&scan);
    } else {
        fprintf(stderr, "xvlm data %s: %s\n", command, error.text);
    }
    close_scan(&scan);
    if (!is_understood) {
        return XV_EXIT_USAGE;
    }
    return ok && (!is_check || scan.n_problems == 0) ? XV_EXIT_OK : XV_EXIT_FAILED;
}

int xv_data_check(int argc, char **argv)
{
    return run("check", true, argc, argv);
}

int xv_data_stats(int argc, char **argv)
{
    return run("stats", false, argc, argv);
}
