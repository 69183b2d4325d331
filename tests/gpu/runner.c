// Runs a generated program that was linked as a shared object: runner PROGRAM.so COMMAND... So the runtime is in a
// bundle once, however many programs there are.
#include "runtime/loop/main.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    void *module = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    const XvProgram *program = module ? dlsym(module, "xv_program") : NULL;
    if (!program) {
        fprintf(stderr, "runner: %s\n", argc > 1 ? dlerror() : "usage: runner PROGRAM.so COMMAND...");
        return 2;
    }
    setenv("GOMP_SPINCOUNT", "3000",
           0);  // or the program would start itself again, with this file as its name
    return xv_main(argc - 1, argv + 1, program);
}
