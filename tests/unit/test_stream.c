// Streams of lines: sharing out among ranks, order, positions, memory; and the loader on top of them.
#include "data_golden.h"
#include "data_loader_fixture.h"

#include "runtime/data/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

// The official rule, as recorded.
static void test_shards(void **state)
{
    (void)state;
    GoldenLines lines = golden_lines("tests/data/text/split_shard.jsonl");
    assert_true(lines.count > 50);
    for (int i = 0; i < lines.count; i++) {
        int64_t first, count;
        xv_shard(golden_int(lines.items[i], "files"), golden_int(lines.items[i], "shard"),
                 golden_int(lines.items[i], "shards"), &first, &count);
        assert_int_equal(first, golden_int(lines.items[i], "start"));
        assert_int_equal(count, golden_int(lines.items[i], "count"));
    }
    golden_lines_free(&lines);
}

enum { LINES = 60 };

// `n_files` files with lines "0" .. "59" in all, of different lengths, some blank ones between.
static void write_files(const char *folder, int n_files)
{
    for (int f = 0; f < n_files; f++) {
        char path[4096], text[8192] = "";
        for (int i = f * LINES / n_files; i < (f + 1) * LINES / n_files; i++) {
            size_t used = strlen(text);
            snprintf(text + used, sizeof text - used, "%s%d%*s%s", i % 7 == 3 ? "\n \t\n" : "", i, i % 5 * 9,
                     "", i % 4 == 2 ? "\r\n" : "\n");
        }
        text[strlen(text) - (f == 1)] = 0;  // the second file does not end its last line
        snprintf(path, sizeof path, "%s/part-%02d.jsonl", folder, f);
        golden_write(path, text);
    }
}

static XvLineStream *open_stream(const char *path, int rank, int world)
{
    XvError error = {""};
    const char *paths[] = {path};
    XvLineStreamOptions options = {paths, 1, 5, rank, world};
    XvLineStream *stream = xv_line_stream_open(&options, &error);
    if (!stream) {
        fail_msg("%s", error.text);
    }
    return stream;
}

static int read_number(XvLineStream *stream, int64_t index)
{
    XvError error = {""};
    XvBytes line = {0};
    const char *path;
    if (!xv_line_stream_read(stream, index, &line, &path, &error)) {
        fail_msg("%s", error.text);
    }
    int number = atoi((const char *)line.data);
    xv_bytes_free(&line);
    return number;
}

// Takes an epoch of every rank: each line comes once. Returns how many lines the ranks have in the first epoch.
static void assert_shared(const char *path, int world)
{
    int seen[LINES] = {0}, total = 0;
    for (int rank = 0; rank < world; rank++) {
        XvLineStream *stream = open_stream(path, rank, world);
        int own[LINES], count = 0;
        // An epoch is over when the rank's first line of the epoch would come a second time.
        for (int64_t i = 0; i < 3 * LINES; i++) {
            int number = read_number(stream, i);
            bool is_known = false;
            for (int k = 0; k < count; k++) {
                is_known |= own[k] == number;
            }
            if (is_known) {
                break;
            }
            own[count++] = number;
        }
        for (int k = 0; k < count; k++) {
            seen[own[k]]++;
        }
        total += count;
        xv_line_stream_close(stream);
    }
    assert_int_equal(total, LINES);
    for (int i = 0; i < LINES; i++) {
        assert_int_equal(seen[i], 1);
    }
}

static void test_sharing(void **state)
{
    (void)state;
    for (int n_files = 1; n_files <= 9; n_files += 2) {
        char *folder = golden_folder();
        write_files(folder, n_files);
        for (int world = 1; world <= 8; world++) {
            assert_shared(folder, world);
        }
        golden_remove(folder);
        free(folder);
    }
}

// A storage without ranges: lines are shared out by their numbers.
static void test_sharing_pipe(void **state)
{
    (void)state;
    char *folder = golden_folder(), path[4096];
    write_files(folder, 1);
    char *here = realpath(folder, NULL);
    snprintf(path, sizeof path, "hdfs:%s/part-00.jsonl", here);
    unsetenv("XV_WEBHDFS");
    setenv("XV_HDFS_COMMAND", "tests/storage/hdfs.sh", 1);
    for (int world = 1; world <= 5; world += 2) {
        assert_shared(path, world);
    }
    XvLineStream *stream = open_stream(path, 1, 3);
    int expected = read_number(stream, 7);
    int64_t position = xv_line_stream_position(stream, 7);
    xv_line_stream_seek(stream, position);
    assert_int_equal(read_number(stream, 0), expected);
    xv_line_stream_close(stream);
    unsetenv("XV_HDFS_COMMAND");
    golden_remove(folder);
    free(folder);
    free(here);
}

// Any line's position continues the stream exactly there, in a new stream as well.
static void test_positions(void **state)
{
    (void)state;
    enum { MANY = 4 * LINES };
    char *folder = golden_folder();
    write_files(folder, 5);
    for (int world = 2; world <= 8; world += 6) {  // whole files, and parts of files
        int numbers[MANY];
        int64_t positions[MANY];
        XvLineStream *stream = open_stream(folder, 1, world);
        for (int i = 0; i < MANY; i++) {
            numbers[i] = read_number(stream, i);
            positions[i] = xv_line_stream_position(stream, i);
            assert_true(i == 0 || positions[i] > positions[i - 1]);
            xv_line_stream_release(stream, i);
        }
        for (int i = 0; i < MANY; i += 17) {
            XvLineStream *other = open_stream(folder, 1, world);
            xv_line_stream_seek(other, positions[i]);
            xv_line_stream_seek(stream, positions[i]);
            for (int k = i; k < MANY; k++) {
                assert_int_equal(read_number(other, k - i), numbers[k]);
                assert_int_equal(xv_line_stream_position(other, k - i), positions[k]);
            }
            assert_int_equal(read_number(stream, MANY - 1 - i), numbers[MANY - 1]);
            xv_line_stream_close(other);
        }
        xv_line_stream_close(stream);
    }
    golden_remove(folder);
    free(folder);
}

static void test_orders(void **state)
{
    (void)state;
    char *folder = golden_folder();
    write_files(folder, 9);
    XvLineStream *stream = open_stream(folder, 0, 1);
    bool differs = false;
    for (int i = 0; i < LINES; i++) {
        differs |= read_number(stream, i) != read_number(stream, LINES + i);
    }
    assert_true(differs);  // the files of an epoch come in an order of its own
    xv_line_stream_close(stream);
    golden_remove(folder);
    free(folder);
}

static void test_faults(void **state)
{
    (void)state;
    char *folder = golden_folder(), path[4096];
    XvError error = {""};
    const char *paths[] = {path};
    XvLineStreamOptions options = {paths, 1, 5, 0, 1};
    snprintf(path, sizeof path, "%s/none", folder);
    assert_null(xv_line_stream_open(&options, &error));
    assert_non_null(strstr(error.text, "none"));
    snprintf(path, sizeof path, "%s/blank.jsonl", folder);
    golden_write(path, "\n \n\t\n");
    XvLineStream *stream = xv_line_stream_open(&options, &error);
    XvBytes line = {0};
    const char *found;
    assert_false(xv_line_stream_read(stream, 0, &line, &found, &error));
    assert_non_null(strstr(error.text, "empty"));
    assert_int_equal(xv_line_stream_position(stream, 0), -1);
    xv_line_stream_close(stream);
    golden_remove(folder);
    free(folder);
}

// A hundred thousand records through the loader: the last ninety thousand take no more memory than the first ten.
static void test_memory(void **state)
{
    (void)state;
    enum { RECORDS = 100000 };
    char *folder = golden_folder(), path[4096];
    snprintf(path, sizeof path, "%s/many.jsonl", folder);
    FILE *file = fopen(path, "wb");
    for (int i = 0; i < RECORDS; i++) {
        fprintf(file,
                "{\"image\": \"none.jpg\", \"caption\": \"the dog of record number %d and its %*s tail\"}\n",
                i, i % 900, "long");
    }
    fclose(file);
    const char *paths[] = {path};
    XvLoaderOptions options = pair_options();
    options.paths = paths;
    options.inputs = PAIR_INPUTS + 1;
    options.n_inputs = 5;
    options.stream = XV_YES;
    options.dataset_size = RECORDS;
    options.threads = 2;
    XvLoader *loader = open_loader(&options);
    assert_int_equal(xv_loader_batches(loader), RECORDS / B);
    long before = 0;
    for (int i = 0; i < RECORDS / B; i++) {
        next_batch(loader);
        before = i == RECORDS / B / 10 ? golden_resident_pages() : before;
    }
    assert_true(golden_resident_pages() - before < 512);  // two mebibytes
    assert_int_equal(xv_loader_skipped(loader), 0);
    xv_loader_close(loader);
    golden_remove(folder);
    free(folder);
}

// ---- the loader

static XvLoaderOptions stream_options(XvLoaderOptions options)
{
    options.stream = XV_YES;
    options.dataset_size = N;
    return options;
}

enum { BATCHES = 10 };

static void test_loader(void **state)
{
    (void)state;
    XvLoaderOptions kinds[] = {stream_options(pair_options()), stream_options(region_options())};
    for (int kind = 0; kind < 2; kind++) {
        uint32_t expected[BATCHES], found[BATCHES];
        int64_t positions[BATCHES];
        XvLoader *loader = open_loader(&kinds[kind]);
        for (int i = 0; i < BATCHES; i++) {
            positions[i] = xv_loader_position(loader);
            checksums(loader, 1, &expected[i]);
        }
        xv_loader_close(loader);
        for (int threads = 0; threads <= 5; threads++) {
            kinds[kind].threads = threads;
            loader = open_loader(&kinds[kind]);
            checksums(loader, BATCHES, found);
            assert_memory_equal(found, expected, sizeof expected);
            xv_loader_seek(loader, positions[threads]);  // back, with batches under way
            assert_int_equal(xv_loader_position(loader), positions[threads]);
            checksums(loader, BATCHES - threads, found);
            assert_memory_equal(found, expected + threads, (size_t)(BATCHES - threads) * sizeof *found);
            xv_loader_close(loader);
        }
    }
}

typedef struct Warnings {
    char text[8][2200];
    int count;
} Warnings;

static void collect(void *context, const char *message)
{
    Warnings *warnings = context;
    snprintf(warnings->text[warnings->count++ % 8], sizeof *warnings->text, "%s", message);
}

static void test_loader_broken(void **state)
{
    (void)state;
    char *folder = golden_folder(), path[4096], text[16384];
    char *here = realpath("tests/data/mini_coco/images/000000183709.jpg", NULL);
    snprintf(
        text, sizeof text,
        "{\"image\": \"%s\", \"caption\": \"one\"}\n\n{\"image\": broken}\n"
        "{\"image\": \"%s\", \"caption\": \"two\"}\n"
        "{\"image\": \"%s\", \"caption\": \"three\"}\n{\"image\": \"none.jpg\", \"caption\": \"four\"}\n",
        here, here, here);
    snprintf(path, sizeof path, "%s/broken.jsonl", folder);
    golden_write(path, text);
    const char *paths[] = {path};
    static Warnings warnings;
    XvLoaderOptions options = stream_options(pair_options());
    options.paths = paths;
    options.threads = 3;
    options.warn = collect;
    options.warn_context = &warnings;
    options.max_warnings = 6;
    uint32_t expected[BATCHES], found[BATCHES];
    XvLoader *loader = open_loader(&options);
    checksums(loader, 3, expected);
    int64_t position = xv_loader_position(loader);
    checksums(loader, BATCHES - 3, expected + 3);
    assert_non_null(strstr(warnings.text[0], "broken.jsonl:3: column 11"));
    assert_non_null(strstr(warnings.text[1], "broken.jsonl:6: "));
    assert_non_null(strstr(warnings.text[1], "none.jpg"));
    xv_loader_close(loader);
    options.threads = 0;
    loader = open_loader(&options);
    xv_loader_seek(loader, position);
    checksums(loader, BATCHES - 3, found + 3);
    assert_memory_equal(found + 3, expected + 3, (BATCHES - 3) * sizeof *found);
    xv_loader_close(loader);

    golden_write(path, "{}\n{}\n");
    loader = open_loader(&options);
    XvBatch batch;
    XvError error = {""};
    assert_false(xv_loader_next(loader, &batch, &error));
    assert_non_null(strstr(error.text, "broken.jsonl"));
    xv_loader_close(loader);
    options.dataset_size = 0;
    assert_null(xv_loader_open(&options, &error));
    assert_non_null(strstr(error.text, "train_dataset_size"));
    golden_remove(folder);
    free(folder);
    free(here);
}

// Every rank goes on from its own place.
static void test_ranks_resume(void **state)
{
    (void)state;
    for (int rank = 0; rank < 2; rank++) {
        XvLoaderOptions options = stream_options(pair_options());
        options.world = 2;
        options.rank = rank;
        XvLoader *loader = open_loader(&options), *other = open_loader(&options);
        next_batch(loader);
        int64_t position = xv_loader_position(loader);
        assert_true(position > 0);
        xv_loader_seek(other, position);
        for (int i = 0; i < 12; i++) {
            XvBatch a = next_batch(loader), b = next_batch(other);
            assert_memory_equal(a.records, b.records, (size_t)a.valid * sizeof *a.records);
        }
        xv_loader_close(other);
        xv_loader_close(loader);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shards),        cmocka_unit_test(test_sharing),
        cmocka_unit_test(test_sharing_pipe),  cmocka_unit_test(test_positions),
        cmocka_unit_test(test_orders),        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_memory),        cmocka_unit_test(test_loader),
        cmocka_unit_test(test_loader_broken), cmocka_unit_test(test_ranks_resume),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
