// Values of keep draws (dropout, drop path) for runs of elements; see XvDraw in runtime/program.h.
#pragma once

#include "runtime/program.h"

// False where every element is kept with value 1, so that a kernel can leave the draw out. `draw` may be
// NULL: false.
bool xv_keep_is_active(const XvDraw *draw);

// keep[i] = value of element first_index + i, 0 or draw->scale: by draw->given_mask where there is one, else
// by word e mod 4 of xv_philox(draw->key, 0, e / 4) >= draw->threshold. `keep` may not overlap anything else.
void xv_keep_row(const XvDraw *draw, uint64_t first_index, int64_t count, float *keep);
