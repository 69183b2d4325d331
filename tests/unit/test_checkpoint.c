// Checkpoints of all formats: what PyTorch wrote, and files that must be refused. tests/data/SOURCES.md says where the
// files come from.
#include "runtime/checkpoint/checkpoint.h"
#include "runtime/checkpoint/safetensors.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define DATA "tests/data/checkpoint/"

static void open_or_fail(XvCheckpoint *checkpoint, const char *path)
{
    XvError error = {{0}};
    if (!xv_checkpoint_open(checkpoint, path, &error)) {
        fail_msg("%s", error.text);
    }
}

static void compare_floats(const XvCheckpoint *checkpoint, const XvCheckpointTensor *tensor,
                           const float *expected)
{
    XvError error = {{0}};
    float *values = malloc((size_t)tensor->count * sizeof *values + 1);
    assert_true(xv_checkpoint_read_f32(checkpoint, tensor, values, &error));
    assert_memory_equal(values, expected, (size_t)tensor->count * sizeof *values);
    free(values);
}

static void compare_integers(const XvCheckpoint *checkpoint, const XvCheckpointTensor *tensor,
                             const int32_t *expected)
{
    XvError error = {{0}};
    int32_t *values = malloc((size_t)tensor->count * sizeof *values + 1);
    assert_true(xv_checkpoint_read_i32(checkpoint, tensor, values, &error));
    assert_memory_equal(values, expected, (size_t)tensor->count * sizeof *values);
    free(values);
}

static bool is_float(XvDtype dtype)
{
    return dtype == XV_F32 || dtype == XV_F64 || dtype == XV_F16 || dtype == XV_BF16;
}

// Every tensor of `path` has the values of the same name in the expected file.
static int compare_files(const char *path, const char *expected_path)
{
    XvCheckpoint checkpoint;
    XvSafetensors expected;
    XvError error = {{0}};
    open_or_fail(&checkpoint, path);
    assert_true(xv_safetensors_open(&expected, expected_path, &error));
    for (int i = 0; i < checkpoint.n_tensors; i++) {
        const XvCheckpointTensor *tensor = &checkpoint.tensors[i];
        const XvStored *stored = xv_safetensors_find(&expected, tensor->name);
        assert_non_null(stored);
        assert_int_equal(stored->rank, tensor->rank);
        assert_memory_equal(stored->shape, tensor->shape, (size_t)tensor->rank * sizeof *tensor->shape);
        assert_int_equal(is_float(stored->dtype), is_float(tensor->dtype));
        void *values = malloc((size_t)stored->count * 4 + 1);
        if (is_float(tensor->dtype)) {
            assert_true(xv_safetensors_read_f32(&expected, stored, values, &error));
            compare_floats(&checkpoint, tensor, values);
        } else {
            assert_true(xv_safetensors_read_i32(&expected, stored, values, &error));
            compare_integers(&checkpoint, tensor, values);
        }
        free(values);
    }
    int n_tensors = checkpoint.n_tensors;
    assert_true(n_tensors <= expected.n_tensors);
    xv_safetensors_close(&expected);
    xv_checkpoint_close(&checkpoint);
    return n_tensors;
}

static void test_reference_files(void **state)
{
    (void)state;
    assert_int_equal(compare_files(DATA "tiny.th", DATA "tiny.expected.safetensors"), 158);
    assert_int_equal(compare_files(DATA "bare_state_dict.th", DATA "tiny.expected.safetensors"), 6);
    assert_int_equal(compare_files(DATA "strided.th", DATA "strided.expected.safetensors"), 20);
    assert_int_equal(compare_files(DATA "strided_legacy.th", DATA "strided.expected.safetensors"), 20);
    assert_int_equal(compare_files(DATA "tiny.expected.safetensors", DATA "tiny.expected.safetensors"), 158);
}

static void test_layout(void **state)
{
    (void)state;
    XvCheckpoint checkpoint;
    open_or_fail(&checkpoint, DATA "tiny.th");
    assert_int_equal(checkpoint.format, XV_FORMAT_ARCHIVE);
    assert_string_equal(checkpoint.place, "model");
    assert_non_null(strstr(checkpoint.metadata, "\"epoch\": 3"));
    assert_non_null(strstr(checkpoint.metadata, "\"name\": \"tiny \xc3\xa9\""));
    assert_non_null(strstr(checkpoint.metadata, "\"big\": 1099511627776"));
    const XvCheckpointTensor *words =
        xv_checkpoint_find(&checkpoint, "text_encoder.bert.embeddings.word_embeddings.weight");
    const XvCheckpointTensor *tied =
        xv_checkpoint_find(&checkpoint, "text_encoder.cls.predictions.decoder.weight");
    assert_non_null(words);
    assert_non_null(tied);
    assert_int_equal(words->storage, tied->storage);
    assert_int_equal(words->offset, tied->offset);
    xv_checkpoint_close(&checkpoint);
    open_or_fail(&checkpoint, DATA "strided_legacy.th");
    assert_int_equal(checkpoint.format, XV_FORMAT_LEGACY);
    const XvCheckpointTensor *expanded = xv_checkpoint_find(&checkpoint, "expanded");
    assert_non_null(expanded);
    assert_int_equal(expanded->stride[0], 0);
    XvError error = {{0}};
    float unused[64];
    assert_false(xv_checkpoint_read_f32(&checkpoint, xv_checkpoint_find(&checkpoint, "i64"), unused, &error));
    assert_non_null(strstr(error.text, "floating point is wanted"));
    assert_null(xv_checkpoint_find(&checkpoint, "missing"));
    xv_checkpoint_close(&checkpoint);
    open_or_fail(&checkpoint, DATA "bare_state_dict.th");
    assert_string_equal(checkpoint.place, "");
    assert_string_equal(checkpoint.metadata, "{}");
    xv_checkpoint_close(&checkpoint);
}

static void test_refusals(void **state)
{
    (void)state;
    static const char *const FILES[][2] = {
        {"malicious.th", "byte 29 of the pickle: asks for posix.system"},
        {"malicious_legacy.th", "asks for __builtin__.eval"},
        {"bad_truncated_legacy.th", "is the file complete?"},
        {"bad_oob_size.th", "reaches beyond its storage"},
        {"bad_negative_offset.th", "reaches beyond its storage"},
        {"bad_short_storage.th", "need"},
        {"values.p0", "is neither a safetensors file nor a PyTorch checkpoint"},
        {"values.p2", "is a pickle, but not one that torch.save wrote"},
        {"missing.th", "cannot open"},
        {"", "not a regular file"},
    };
    for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
        char path[256];
        snprintf(path, sizeof path, DATA "%s", FILES[i][0]);
        XvCheckpoint checkpoint;
        XvError error = {{0}};
        assert_false(xv_checkpoint_open(&checkpoint, path, &error));
        if (!strstr(error.text, FILES[i][1]) || !strstr(error.text, path)) {
            fail_msg("%s: \"%s\", expected \"%s\"", path, error.text, FILES[i][1]);
        }
    }
}

// Damaged copies -----------------------------------------------------------------------------------------------------

typedef struct Copy {
    unsigned char *bytes;
    size_t length;
    char path[64];
} Copy;

static void read_copy(Copy *copy, const char *path)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    copy->length = (size_t)ftell(file);
    rewind(file);
    copy->bytes = malloc(copy->length);
    assert_int_equal(fread(copy->bytes, 1, copy->length, file), copy->length);
    fclose(file);
    snprintf(copy->path, sizeof copy->path, "/tmp/xv_checkpoint_%d", (int)getpid());
}

static bool opens(const Copy *copy, size_t length)
{
    FILE *file = fopen(copy->path, "wb");
    assert_non_null(file);
    fwrite(copy->bytes, 1, length, file);
    fclose(file);
    XvCheckpoint checkpoint;
    XvError error = {{0}};
    bool is_open = xv_checkpoint_open(&checkpoint, copy->path, &error);
    for (int i = 0; is_open && i < checkpoint.n_tensors; i++) {
        const XvCheckpointTensor *tensor = &checkpoint.tensors[i];
        void *values = tensor->count < 1 << 20 ? malloc((size_t)tensor->count * 8 + 1) : NULL;
        if (values) {
            xv_checkpoint_read_raw(&checkpoint, tensor, values);
        }
        free(values);
    }
    if (is_open) {
        xv_checkpoint_close(&checkpoint);
    } else {
        assert_true(strlen(error.text) > strlen(copy->path));
    }
    return is_open;
}

// No cut of a file is taken for the file; whatever a changed byte does, nothing crashes.
static void test_damage(void **state)
{
    (void)state;
    static const char *const FILES[] = {DATA "strided.th", DATA "strided_legacy.th",
                                        DATA "strided.expected.safetensors"};
    for (int f = 0; f < 3; f++) {
        Copy copy;
        read_copy(&copy, FILES[f]);
        assert_true(opens(&copy, copy.length));
        for (size_t cut = 0; cut < copy.length; cut += 7) {
            assert_false(opens(&copy, cut));
        }
        for (size_t at = 0; at < copy.length; at += 3) {
            unsigned char before = copy.bytes[at];
            copy.bytes[at] = (unsigned char)(before ^ (1u << at % 8));
            opens(&copy, copy.length);
            copy.bytes[at] = 0xFF;
            opens(&copy, copy.length);
            copy.bytes[at] = before;
        }
        unlink(copy.path);
        free(copy.bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_files),
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
