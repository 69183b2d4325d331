// Matrix products by NVIDIA's cuBLASLt, loaded when a GPU is opened. Sums that it splits are added in a fixed order, so
// results repeat. The choice of algorithm is the library's own and is made once for every kind of product.
#pragma once

#include "runtime/base/error.h"
#include "runtime/device/gemm.h"

#include <stddef.h>

typedef struct XvBlasLt XvBlasLt;

enum { XV_BLASLT_WORKSPACE = 32 << 20 };

// False after a message when the library cannot be found or used. `workspace` is XV_BLASLT_WORKSPACE bytes of device
// memory that only products on one stream use.
bool xv_blaslt_open(XvBlasLt **blas, void *workspace, XvError *error);
void xv_blaslt_close(XvBlasLt *blas);

// Chooses an algorithm for products of such sizes, once; whether there is one. Not on a thread that records a stream:
// some versions of the library have no answer there.
bool xv_blaslt_choose(XvBlasLt *blas, const XvGemm *gemm, bool *is_possible, XvError *error);

// Queues a product on a stream; pointers are device memory. *is_done stays false, without an error, when the
// library has nothing for such a product. Chooses first what was not chosen before.
bool xv_blaslt_gemm(XvBlasLt *blas, const XvGemm *gemm, void *stream, bool *is_done, XvError *error);
