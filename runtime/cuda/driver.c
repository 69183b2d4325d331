// Loading the driver API; see driver.h.
#include "runtime/cuda/driver.h"

#include "runtime/cuda/libraries.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

static void *find(void)
{
    const char *folder = getenv("XV_CUDA_LIBRARIES");
    char path[PATH_MAX];
    int length = folder && *folder ? snprintf(path, sizeof path, "%s/libcuda.so.1", folder) : 0;
    void *library = length > 0 && (size_t)length < sizeof path ? dlopen(path, RTLD_NOW) : NULL;
    return library ? library : dlopen("libcuda.so.1", RTLD_NOW);
}

#define LOAD(field, symbol, parameters) \
    &&xv_cuda_function(driver->library, "driver", symbol, &driver->field, error)

bool xv_driver_open(XvDriver *driver, XvError *error)
{
    *driver = (XvDriver){.library = find()};
    if (!driver->library) {
        return xv_fail(error, "there is no NVIDIA driver here: libcuda.so.1 cannot be loaded");
    }
    bool is_open = true XV_DRIVER_CALLS(LOAD);
    is_open = is_open && xv_driver_good(driver, driver->init(0), "cuInit", error);
    if (!is_open) {
        xv_driver_close(driver);
    }
    return is_open;
}

void xv_driver_close(XvDriver *driver)
{
    if (driver->library) {
        dlclose(driver->library);
    }
    *driver = (XvDriver){0};
}

bool xv_driver_good(const XvDriver *driver, int status, const char *call, XvError *error)
{
    const char *name = NULL, *text = NULL;
    if (status == 0) {
        return true;
    }
    if (driver->error_name(status, &name) != 0 || driver->error_string(status, &text) != 0) {
        name = text = NULL;
    }
    return xv_fail(error, "%s: %s (%d): %s", call, name ? name : "unknown status", status,
                   text ? text : "the driver does not know it");
}
