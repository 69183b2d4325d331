// Launches one kernel of a module compiled for the emulator: simt_run MODULE.so KERNEL BLOCKS THREADS. The kernel takes
// a span of BLOCKS * THREADS integers, which start as 0, 1, 2 ... and are printed in one line afterwards. A fault is
// printed and ends with status 1.
#include "runtime/cuda/tasks.h"
#include "runtime/simt/simt.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *found(void *module, const char *name)
{
    void *symbol = dlsym(module, name);
    if (!symbol) {
        fprintf(stderr, "simt_run: %s\n", dlerror());
        exit(2);
    }
    return symbol;
}

static int run(void *module, const char *name, uint32_t blocks, uint32_t threads)
{
    char symbol[256];
    snprintf(symbol, sizeof symbol, "simt_%s", name);
    XvSimt **(*current)(void);
    XvSimtLaunch launch = {.name = name, .grid = {blocks, 1, 1}, .threads = threads};
    void *address = found(module, "xv_simt_current");
    memcpy(&current, &address, sizeof current);
    address = found(module, symbol);
    memcpy(&launch.kernel, &address, sizeof launch.kernel);
    launch.current = current();
    int64_t count = (int64_t)blocks * threads;
    int32_t *data = calloc((size_t)count + 1, sizeof *data);
    XvSimtMachine *machine = xv_simt_open();
    if (!machine || !data) {
        fprintf(stderr, "simt_run: no memory\n");
        return 2;
    }
    for (int32_t i = 0; i < count; i++) {
        data[i] = i;
    }
    XvSpan span = {data, count};
    launch.arguments = (void *[]){&span};
    char message[1024];
    bool is_good = xv_simt_launch(machine, &launch, message, sizeof message);
    for (int64_t i = 0; is_good && i < count; i++) {
        printf("%s%d", i ? " " : "", data[i]);
    }
    printf("%s\n", is_good ? "" : message);
    xv_simt_close(machine);
    free(data);
    return is_good ? 0 : 1;
}

int main(int argc, char **argv)
{
    void *module = argc == 5 ? dlopen(argv[1], RTLD_NOW) : NULL;
    if (!module) {
        fprintf(stderr, "simt_run: %s\n",
                argc == 5 ? dlerror() : "usage: simt_run MODULE.so KERNEL BLOCKS THREADS");
        return 2;
    }
    int status = run(module, argv[2], (uint32_t)atoi(argv[3]), (uint32_t)atoi(argv[4]));
    dlclose(module);
    return status;
}
