// What kernels may use of a GPU, and nothing else: kernels include no header. Two implementations with the same lane
// semantics: CUDA (below, compiled by NVRTC) and the emulator (runtime/simt/simt.cuh, compiled by g++ with XV_SIMT).
//
//   XV_KERNEL(threads) name(...)   a kernel of blocks of `threads` threads; XV_ENTRY(name) after it makes it callable
//   XV_KERNEL_FOR(threads, blocks) the same, with registers for so many blocks at once on a multiprocessor
//   XV_IN(T, count), XV_OUT        parameter: a buffer of so many elements, read; read and written
//   XvSpan<T>                      a buffer whose count is known at run time, in parameter structures
//   XV_SHARED(T, name, count)      array in shared memory, on 16 bytes; XV_SHARED_REF(T) passes one on
//   xv_sync_block(), xv_sync_warp(mask), xv_shuffle(mask, value, lane), xv_shuffle_xor(mask, value, bits),
//   xv_ballot, xv_any, xv_all(mask, vote), xv_atomic_add(span, index, value)
//
// A team is the threads that share a row of a loop nest: 1, 2, 4 .. 32 lanes of a warp, or a whole block of 64 or more
// threads. Sums over a team are butterflies, so every thread gets the same bits, and the order is fixed.
#ifdef XV_SIMT
#include "runtime/simt/simt.cuh"
#else

typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;

#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fffffff)

#define XV_HERE int = 0
#define XV_THERE 0
#define XV_FN static __device__ __forceinline__
#define XV_INLINE_MEMBER __device__ __forceinline__
#define XV_KERNEL(threads) extern "C" __global__ void __launch_bounds__(threads)
#define XV_KERNEL_FOR(threads, blocks) extern "C" __global__ void __launch_bounds__(threads, blocks)
#define XV_ENTRY(name)
#define XV_IN(T, count) const T *
#define XV_OUT(T, count) T *
#define XV_SHARED(T, name, count) __shared__ __align__(16) T name[count]
#define XV_SHARED_REF(T) T *

template <class T> struct XvSpan {
    T *at;
    int64_t count;
    __device__ __forceinline__ T &operator[](int64_t index) const { return at[index]; }
    __device__ __forceinline__ explicit operator bool() const { return at != nullptr; }
};

XV_FN void xv_sync_block(XV_HERE)
{
    __syncthreads();
}

XV_FN void xv_sync_warp(uint32_t mask = 0xffffffffu, XV_HERE)
{
    __syncwarp(mask);
}

template <class T> XV_FN T xv_shuffle(uint32_t mask, T value, int lane)
{
    return __shfl_sync(mask, value, lane);
}

template <class T> XV_FN T xv_shuffle_xor(uint32_t mask, T value, int bits)
{
    return __shfl_xor_sync(mask, value, bits);
}

XV_FN uint32_t xv_ballot(uint32_t mask, bool vote)
{
    return __ballot_sync(mask, vote);
}

XV_FN bool xv_any(uint32_t mask, bool vote)
{
    return __any_sync(mask, vote);
}

XV_FN bool xv_all(uint32_t mask, bool vote)
{
    return __all_sync(mask, vote);
}

template <int WIDTH, class F, class T> XV_FN T xv_team_join(uint32_t mask, T value, int)
{
#pragma unroll
    for (int bits = WIDTH / 2; bits > 0; bits /= 2) {
        value = F::join(value, xv_shuffle_xor(mask, value, bits));
    }
    return value;
}

template <class T> XV_FN T xv_atomic_add(const XvSpan<T> &buffer, int64_t index, T value)
{
    return atomicAdd(&buffer.at[index], value);
}

XV_FN uint32_t xv_multiply_high(uint32_t a, uint32_t b)
{
    return __umulhi(a, b);
}
#endif

// A value of a row with the lane it stands in.
struct XvPicked {
    float value;
    int32_t lane;
};

#ifndef XV_SIMT
XV_FN XvPicked xv_shuffle_xor(uint32_t mask, XvPicked picked, int bits)
{
    return XvPicked{__shfl_xor_sync(mask, picked.value, bits), __shfl_xor_sync(mask, picked.lane, bits)};
}
#endif

// What a team does with the values of its threads.
struct XvSum {
    template <class T> static XV_INLINE_MEMBER T join(T a, T b) { return a + b; }
    static XV_INLINE_MEMBER const char *name() { return "sum over a team"; }
};

struct XvMaximum {
    template <class T> static XV_INLINE_MEMBER T join(T a, T b) { return a > b ? a : b; }
    static XV_INLINE_MEMBER const char *name() { return "maximum over a team"; }
};

// The largest value; of equal ones the first lane.
struct XvArgmax {
    static XV_INLINE_MEMBER XvPicked join(XvPicked a, XvPicked b)
    {
        return b.value > a.value || (b.value == a.value && b.lane < a.lane) ? b : a;
    }
    static XV_INLINE_MEMBER const char *name() { return "argmax over a team"; }
};

// The lanes of the calling thread's team within its warp.
template <int TEAM> XV_FN uint32_t xv_team_mask()
{
    return TEAM >= 32 ? 0xffffffffu : ((1u << (TEAM & 31)) - 1) << (threadIdx.x % 32 / TEAM * TEAM);
}

// Orders the memory accesses of a team's threads.
template <int TEAM> XV_FN void xv_sync_team(XV_HERE)
{
    if (TEAM > 32) {
        xv_sync_block(XV_THERE);
    } else if (TEAM > 1) {
        xv_sync_warp(xv_team_mask<TEAM>(), XV_THERE);
    }
}

template <int TEAM, class F, class T> XV_FN T xv_team_reduce(T value, XV_HERE)
{
    if (TEAM > 1) {
        value = xv_team_join<(TEAM < 32 ? TEAM : 32), F>(xv_team_mask<TEAM>(), value, XV_THERE);
    }
    if (TEAM > 32) {
        XV_SHARED(T, parts, (TEAM > 32 ? TEAM / 32 : 1));
        if (threadIdx.x % 32 == 0) {
            parts[threadIdx.x / 32] = value;
        }
        xv_sync_block(XV_THERE);
        value = parts[0];
        for (int warp = 1; warp < TEAM / 32; warp++) {
            value = F::join(value, (T)parts[warp]);
        }
        xv_sync_block(XV_THERE);
    }
    return value;
}
