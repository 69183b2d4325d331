// The program's side of NVTX; see nvtx.h. Numbers of modules, tables and functions are those of nvtx3.
#include "runtime/cuda/nvtx.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TABLE_CALLBACKS = 1,
    TABLE_VERSION = 3,
    VERSION = 3,
    MODULE_CORE = 1,
    MODULE_CUDA = 2,
    N_MODULES = 7,
    MOST_FUNCTIONS = 16,
    CORE_PUSH = 9,         // nvtxRangePushA
    CORE_POP = 11,         // nvtxRangePop
    CUDA_NAME_STREAM = 5,  // nvtxNameCuStreamA
};

typedef void (*Function)(void);

// How many functions each module has, number 0 included, which is none.
static const unsigned N_FUNCTIONS[N_MODULES] = {0, 16, 9, 15, 7, 16, 7};

// What a tool writes, by module and function. The protocol gives its functions no context, so this is the process's.
static Function xv_nvtx_functions[N_MODULES][MOST_FUNCTIONS];

typedef struct Callbacks {
    size_t bytes;
    int (*table_of)(int module, Function ***table, unsigned *count);
} Callbacks;

typedef struct Version {
    size_t bytes;
    uint32_t version, unused;
    void (*set_version)(uint32_t version);
} Version;

// Tables of addresses, which tools keep.
static int table_of(int module, Function ***table, unsigned *count)
{
    if (module <= 0 || module >= N_MODULES) {
        return 0;
    }
    unsigned n = N_FUNCTIONS[module];
    Function **addresses = table ? calloc((size_t)n + 1, sizeof *addresses) : NULL;
    for (unsigned i = 1; i < n && addresses; i++) {
        addresses[i] = &xv_nvtx_functions[module][i];
    }
    if (table) {
        *table = addresses;
    }
    if (count) {
        *count = n;
    }
    return !table || addresses;
}

static void ignore_version(uint32_t version)
{
    (void)version;
}

static const void *table_named(uint32_t name)
{
    static const Callbacks callbacks = {sizeof callbacks, table_of};
    static const Version version = {sizeof version, VERSION, 0, ignore_version};
    return name == TABLE_CALLBACKS ? (const void *)&callbacks : name == TABLE_VERSION ? &version : NULL;
}

static bool attach(const char *path)
{
    int (*begin)(const void *(*tables)(uint32_t));
    void *library = dlopen(path, RTLD_LAZY);
    void *address = library ? dlsym(library, "InitializeInjectionNvtx2") : NULL;
    if (!address) {
        fprintf(stderr, "note: no ranges for a profiler: NVTX_INJECTION64_PATH: %s\n",
                library ? "it has no InitializeInjectionNvtx2" : dlerror());
        return false;
    }
    memcpy(&begin, &address, sizeof begin);
    return begin(table_named) != 0;
}

bool xv_nvtx_open(XvNvtx *nvtx)
{
    const char *path = getenv("NVTX_INJECTION64_PATH");
    Function *core = xv_nvtx_functions[MODULE_CORE];
    *nvtx = (XvNvtx){0};
    if (!path || !*path || (!core[CORE_PUSH] && !attach(path)) || !core[CORE_PUSH] || !core[CORE_POP]) {
        return false;
    }
    memcpy(&nvtx->push, &core[CORE_PUSH], sizeof nvtx->push);
    memcpy(&nvtx->pop, &core[CORE_POP], sizeof nvtx->pop);
    memcpy(&nvtx->name_stream, &xv_nvtx_functions[MODULE_CUDA][CUDA_NAME_STREAM], sizeof nvtx->name_stream);
    return true;
}
