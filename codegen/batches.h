// Steps that one launch of the target cuda does: small tables that are filled by adding rows.
#pragma once

#include "compiler/program.h"

// How many steps from `first` on are one launch; at least 1. None of them touches what another one writes.
int batch_of_steps(const Program *program, int first);
