// What the runtime declares of NVIDIA's interfaces by itself, against NVIDIA's headers: numbers and layouts. Compiled
// with -DHEADER_CUDA, _BLASLT or _NCCL where the header is, and never run.
#include <stddef.h>

#define SAME(own, official) _Static_assert((long long)(own) == (long long)(official), #own)
#define SAME_FIELD(own, field, official, official_field)            \
    SAME(offsetof(own, field), offsetof(official, official_field)); \
    SAME(sizeof((own){0}.field), sizeof((official){0}.official_field))

#ifdef HEADER_CUDA
#include "runtime/cuda/driver.h"

#include <cuda.h>

SAME(XV_CU_NOT_FOUND, CUDA_ERROR_NOT_FOUND);
SAME(XV_CU_NOT_READY, CUDA_ERROR_NOT_READY);
SAME(XV_CU_STREAM_NON_BLOCKING, CU_STREAM_NON_BLOCKING);
SAME(XV_CU_EVENT_NO_TIMING, CU_EVENT_DISABLE_TIMING);
SAME(XV_CU_CAPTURE_RELAXED, CU_STREAM_CAPTURE_MODE_RELAXED);
SAME(XV_CU_MEMORY_DEVICE, CU_MEMORYTYPE_DEVICE);
SAME(XV_CU_ATTRIBUTE_MULTIPROCESSORS, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
SAME(XV_CU_ATTRIBUTE_MAJOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
SAME(XV_CU_ATTRIBUTE_MINOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
SAME(sizeof(XvCuMemory), sizeof(CUdeviceptr));
SAME(sizeof(int), sizeof(CUdevice));
SAME(sizeof(XvCuCopy), sizeof(CUDA_MEMCPY2D));
SAME_FIELD(XvCuCopy, from_x, CUDA_MEMCPY2D, srcXInBytes);
SAME_FIELD(XvCuCopy, from_y, CUDA_MEMCPY2D, srcY);
SAME_FIELD(XvCuCopy, from_type, CUDA_MEMCPY2D, srcMemoryType);
SAME_FIELD(XvCuCopy, from_host, CUDA_MEMCPY2D, srcHost);
SAME_FIELD(XvCuCopy, from, CUDA_MEMCPY2D, srcDevice);
SAME_FIELD(XvCuCopy, from_array, CUDA_MEMCPY2D, srcArray);
SAME_FIELD(XvCuCopy, from_pitch, CUDA_MEMCPY2D, srcPitch);
SAME_FIELD(XvCuCopy, to_x, CUDA_MEMCPY2D, dstXInBytes);
SAME_FIELD(XvCuCopy, to_y, CUDA_MEMCPY2D, dstY);
SAME_FIELD(XvCuCopy, to_type, CUDA_MEMCPY2D, dstMemoryType);
SAME_FIELD(XvCuCopy, to_host, CUDA_MEMCPY2D, dstHost);
SAME_FIELD(XvCuCopy, to, CUDA_MEMCPY2D, dstDevice);
SAME_FIELD(XvCuCopy, to_array, CUDA_MEMCPY2D, dstArray);
SAME_FIELD(XvCuCopy, to_pitch, CUDA_MEMCPY2D, dstPitch);
SAME_FIELD(XvCuCopy, width, CUDA_MEMCPY2D, WidthInBytes);
SAME_FIELD(XvCuCopy, height, CUDA_MEMCPY2D, Height);

// Names without a version stand for the newest one in the header: what is loaded by name must not be an older one.
#define STRING(name) #name
#define NEWEST(name) STRING(name)
#define SAME_NAME(field, name) _Static_assert(sizeof NEWEST(name) == sizeof loaded_##field, #name)
#define LOADED_NAME(field, symbol, parameters) \
    static const char loaded_##field[] __attribute__((unused)) = symbol;
XV_DRIVER_CALLS(LOADED_NAME)
SAME_NAME(context_release, cuDevicePrimaryCtxRelease);
SAME_NAME(memory_info, cuMemGetInfo);
SAME_NAME(allocate, cuMemAlloc);
SAME_NAME(release, cuMemFree);
SAME_NAME(allocate_pinned, cuMemHostAlloc);
SAME_NAME(release_pinned, cuMemFreeHost);
SAME_NAME(clear, cuMemsetD8Async);
SAME_NAME(send, cuMemcpyHtoDAsync);
SAME_NAME(fetch, cuMemcpyDtoHAsync);
SAME_NAME(copy, cuMemcpyDtoDAsync);
SAME_NAME(copy_rows, cuMemcpy2DAsync);
SAME_NAME(pin, cuMemHostRegister);
SAME_NAME(unpin, cuMemHostUnregister);
SAME_NAME(stream_create, cuStreamCreate);
SAME_NAME(stream_destroy, cuStreamDestroy);
SAME_NAME(stream_wait, cuStreamWaitEvent);
SAME_NAME(event_create, cuEventCreate);
SAME_NAME(event_destroy, cuEventDestroy);
SAME_NAME(event_record, cuEventRecord);
SAME_NAME(capture_begin, cuStreamBeginCapture);
SAME_NAME(capture_end, cuStreamEndCapture);
SAME_NAME(graph_instantiate, cuGraphInstantiateWithFlags);
SAME_NAME(graph_launch, cuGraphLaunch);
#endif

#ifdef HEADER_BLASLT
#include "runtime/cuda/blaslt.c"

#include <cublasLt.h>

SAME(REAL_32, CUDA_R_32F);
SAME(REAL_16, CUDA_R_16F);
SAME(BRAIN_16, CUDA_R_16BF);
SAME(COMPUTE_32, CUBLAS_COMPUTE_32F);
SAME(COMPUTE_TF32, CUBLAS_COMPUTE_32F_FAST_TF32);
SAME(DESC_TRANSPOSE_A, CUBLASLT_MATMUL_DESC_TRANSA);
SAME(DESC_TRANSPOSE_B, CUBLASLT_MATMUL_DESC_TRANSB);
SAME(DESC_EPILOGUE, CUBLASLT_MATMUL_DESC_EPILOGUE);
SAME(DESC_BIAS, CUBLASLT_MATMUL_DESC_BIAS_POINTER);
SAME(LAYOUT_BATCH, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT);
SAME(LAYOUT_STRIDE, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET);
SAME(PREFERENCE_WORKSPACE, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
SAME(PREFERENCE_REDUCTIONS, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK);
SAME(PREFERENCE_ALIGNMENT, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES);
SAME(PREFERENCE_ALIGNMENT + 1, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES);
SAME(PREFERENCE_ALIGNMENT + 2, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES);
SAME(PREFERENCE_ALIGNMENT + 3, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);
SAME(EPILOGUE_NONE, CUBLASLT_EPILOGUE_DEFAULT);
SAME(EPILOGUE_BIAS, CUBLASLT_EPILOGUE_BIAS);
SAME(EPILOGUE_SUMS, CUBLASLT_EPILOGUE_BGRADB);
SAME(REDUCTION_IN_WORKSPACE, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
SAME(NOT_SUPPORTED, CUBLAS_STATUS_NOT_SUPPORTED);
SAME(true, CUBLAS_OP_T);
SAME(false, CUBLAS_OP_N);
SAME(sizeof(Algorithm), sizeof(cublasLtMatmulAlgo_t));
SAME(sizeof(Choice), sizeof(cublasLtMatmulHeuristicResult_t));
SAME_FIELD(Choice, algorithm, cublasLtMatmulHeuristicResult_t, algo);
SAME_FIELD(Choice, workspace, cublasLtMatmulHeuristicResult_t, workspaceSize);
SAME_FIELD(Choice, status, cublasLtMatmulHeuristicResult_t, state);
SAME_FIELD(Choice, waves, cublasLtMatmulHeuristicResult_t, wavesCount);
#endif

#ifdef HEADER_NCCL
#include "runtime/cuda/nccl.c"

#include <nccl.h>

SAME(WORD, ncclUint32);
SAME(FLOAT_32, ncclFloat32);
SAME(FLOAT_64, ncclFloat64);
SAME(SUM, ncclSum);
SAME(MEAN, ncclAvg);
SAME(sizeof(XvNcclId), sizeof(ncclUniqueId));
#endif
