// One optimizer step on a device: clipping by the global norm and AdamW over all parameters, three launches, nothing
// read back in between.
#pragma once

#include "runtime/cuda/device.h"

// Device pointers, laid out as XvProgram says.
typedef struct XvDeviceUpdate {
    const XvProgram *program;
    float *parameters;
    uint16_t *copies;  // of parameters, of the program's copy_type; or NULL
    const float *gradients;
    float *moment1, *moment2;
    const uint8_t *has_gradient;  // a table of the program: known by its address
    XvUpdate rates;               // gradient_scale: without clipping
    double clip;                  // largest norm; 0 or less: no clipping
    const float *losses;          // if any of these is not finite, neither this nor a later update is made
    int n_losses;                 // 0: each update is judged by its own norm
} XvDeviceUpdate;

// Launches the step, waits for it and returns the norm of the gradients, which is not finite when nothing was changed.
// A launch that fails ends the process.
double xv_device_update(XvDevice *device, const XvDeviceUpdate *update);

// Brings the parameters with a clamp into their range; device memory, one launch a parameter.
void xv_device_clamp(XvDevice *device, const XvProgram *program, float *parameters);

// The parts of it. `prepare` allocates what the update of an entry needs, and is called before `launch`, which only
// launches; the rates are expected where xv_device_rates says, an XvUpdateState (tasks.h) is left where
// xv_device_update_state says.
bool xv_device_update_prepare(XvDevice *device, const XvDeviceUpdate *update, XvError *error);
void xv_device_update_launch(XvDevice *device, const XvDeviceUpdate *update);
void *xv_device_rates(const XvDevice *device);
void *xv_device_update_state(const XvDevice *device);

void xv_update_tables_free(XvDevice *device);
