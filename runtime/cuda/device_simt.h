// The device "simt": kernels run lane by lane on the CPU (runtime/simt), from kernels_simt.so beside the program, which
// `make simt` in the program's folder compiles. Its memory is the host's.
#pragma once

#include "runtime/cuda/device.h"

extern const XvDeviceKind xv_device_simt;
