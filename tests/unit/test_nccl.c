// The library of NVIDIA's collectives itself, where `make deps-cuda` fetched it: what is looked for in it is there.
// Without a GPU it can do no more; tests/groups/nccl.sh tests the calls against a stand-in.
#include "runtime/cuda/nccl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOLDER "build/cuda/nvidia/nccl"

static void test_library(void **state)
{
    XvNccl *nccl = NULL;
    XvNcclId id = {{0}}, none = {{0}};
    XvError error = {{0}};
    (void)state;
    if (access(FOLDER, R_OK) != 0) {
        skip();
    }
    setenv("XV_CUDA_LIBRARIES", FOLDER "/lib", 1);
    if (!xv_nccl_open(&nccl, &error) || !xv_nccl_make_id(nccl, &id, &error)) {
        fail_msg("%s", error.text);
    }
    assert_memory_not_equal(&id, &none, sizeof id);
    xv_nccl_close(nccl, true);
}

static void assert_line(const char *text, const char *name, int value)
{
    const char *at = strstr(text, name);
    assert_non_null(at);
    assert_int_equal(atoi(strchr(at, '=') + 1), value);
}

// The numbers that runtime/cuda/nccl.c has instead of the header.
static void test_constants(void **state)
{
    static char text[1 << 16];
    (void)state;
    FILE *file = fopen(FOLDER "/include/nccl.h", "r");
    if (!file) {
        skip();
    }
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    assert_line(text, "ncclUint32 ", 3);
    assert_line(text, "ncclFloat32 ", 7);
    assert_line(text, "ncclAvg ", 4);
    assert_non_null(strstr(text, "#define NCCL_UNIQUE_ID_BYTES 128"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_library),
        cmocka_unit_test(test_constants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
