// Own matrix product on register tiles (gemm_tile.h). Internal to xv_gemm; see gemm.h for what is computed.
#pragma once

#include "runtime/device/gemm.h"

// `copy_a`: bring A into tile order, slice by slice; the result does not depend on it.
void xv_gemm_packed(const XvGemm *gemm, bool copy_a);

// Dot products of rows of A and rows of B, for !trans_a and trans_b.
void xv_gemm_dot(const XvGemm *gemm);
