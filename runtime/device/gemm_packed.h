// Own matrix product on register tiles (gemm_tile.h). Internal to xv_gemm; see gemm.h for what is computed.
#pragma once

#include "runtime/device/gemm.h"

// `copy_a`: bring A into tile order, slice by slice; the result does not depend on it.
void xv_gemm_packed(const XvGemm *gemm, bool copy_a);

// Whether all elements are floats, read as they lie. The functions above and below need that; this one
// does the rest of them.
bool xv_gemm_is_plain(const XvGemm *gemm);
void xv_gemm_typed(const XvGemm *gemm, XvGemmKernel kernel);

// Dot products of rows of A and rows of B, for !trans_a and trans_b.
void xv_gemm_dot(const XvGemm *gemm);
