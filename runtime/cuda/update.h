// One optimizer step on a device: clipping by the global norm and AdamW over all parameters, three launches, nothing
// read back in between.
#pragma once

#include "runtime/cuda/device.h"

// Device pointers, laid out as XvProgram says.
typedef struct XvDeviceUpdate {
    const XvProgram *program;
    float *parameters;
    const float *gradients;
    float *moment1, *moment2;
    const uint8_t *has_gradient;  // a table of the program: known by its address
    XvUpdate rates;               // gradient_scale is not used
    double clip;                  // largest norm; 0 or less: no clipping
} XvDeviceUpdate;

// Launches the step, waits for it and returns the norm of the gradients, which is not finite when nothing was changed.
// A launch that fails ends the process.
double xv_device_update(XvDevice *device, const XvDeviceUpdate *update);

void xv_update_tables_free(XvDevice *device);
