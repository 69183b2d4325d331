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
    XvRates rates;                // of xv_device_update alone
    double clip;                  // largest norm; 0 or less: no clipping
    const float *losses;  // if any of these is not finite, neither this nor a later update is made; nor if
    int n_losses;         // the norm is not and the loss has no scale to lower. 0: each is judged by its norm
} XvDeviceUpdate;

// Launches the step, waits for it and returns the norm of the gradients of the loss itself, which is not finite when
// nothing was changed but the scaler: that before the update becomes that after it. A launch that fails ends the
// process.
double xv_device_update(XvDevice *device, const XvDeviceUpdate *update, XvScaler *scaler);

// Brings the parameters with a clamp into their range; device memory, one launch a parameter.
void xv_device_clamp(XvDevice *device, const XvProgram *program, float *parameters);

// The parts of it. `prepare` allocates what the update of an entry needs, and is called before `launch`, which only
// launches. All are device memory from the first `prepare` on: rates and scaler are expected where these functions say,
// and an XvUpdateState (tasks.h), of which the scaler is a part, is left.
bool xv_device_update_prepare(XvDevice *device, const XvDeviceUpdate *update, XvError *error);
void xv_device_update_launch(XvDevice *device, const XvDeviceUpdate *update);
XvRates *xv_device_rates(const XvDevice *device);
XvScaler *xv_device_scaler(const XvDevice *device);
void *xv_device_update_state(const XvDevice *device);

void xv_update_tables_free(XvDevice *device);
