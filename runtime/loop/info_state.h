// What `info` says of a program's parameters, as JSON.
#pragma once

#include "runtime/program.h"

#include <cjson/cJSON.h>

// The official state dict: one object per entry, {"name", "dtype", "shape"}; with "decay" and "fresh" (the larger
// learning rate) for parameters, "alias_of" for a further name of one, and "computed": true for a constant that files
// carry and the program has no need of.
cJSON *xv_state_dict_object(const XvProgram *program);

// Elements below every module path, parameters with several names once: {"vision_encoder": 86743224,
// "vision_encoder.layers": ..., ...}; parameters outside modules under their own names.
cJSON *xv_modules_object(const XvProgram *program);

// The four groups of the optimizer: {"decay", "fresh", "tensors", "elements"}.
cJSON *xv_groups_object(const XvProgram *program);
