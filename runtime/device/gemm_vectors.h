// What a product does besides multiplying. Internal to xv_gemm; see gemm.h.
#pragma once

#include "runtime/device/gemm.h"

// gemm->sums. Parts of the sums are a function of k alone.
void xv_gemm_sums(const XvGemm *gemm);

// A product of floats with gemm->bias.
void xv_gemm_biased(const XvGemm *gemm, XvGemmKernel kernel);
