// Two-byte elements, products of matrices by whole warps, and copies to shared memory that run beside the arithmetic.
// As device.cuh: CUDA below (PTX, because kernels include nothing), the emulator in runtime/simt/matrix.cuh.
//
//   XvBf16, XvF16           an element; becomes a float by itself, is made of one by XvBf16(x), to nearest even
//   xv_tf32(x)              x with 10 bits of fraction, to nearest, ties away from zero
//   xv_pair<T>(x, y)        two elements in a register, x in the lower half
//   xv_store_pair           a pair to a buffer of elements' bits, on four bytes
//   xv_load_matrix          four 8 x 8 matrices of two-byte elements; lane l names the start of row l % 8 of matrix l / 8,
//                           on 16 bytes. Register i gets of matrix i, in row l / 4, elements 2 (l % 4) and the next; with
//                           IS_TRANSPOSED of its transpose.
//   xv_multiply<T>          c += a b, [16 x 8] += [16 x 16] [16 x 8], T XvBf16 or XvF16
//   xv_multiply_tf32        c += a b, [16 x 8] += [16 x 8] [8 x 8]
//   xv_copy_async           16 bytes from a buffer, or zeros, into shared memory, on 16 bytes on both sides;
//   xv_copy_commit()        ... those since the last one are a group;
//   xv_copy_wait<N>()       ... all groups but the last N have arrived, for the calling thread: others need a barrier
//
// Fragments (PTX ISA, "Matrix Fragments for mma.m16n8k16" and "mma.m16n8k8"), g = lane / 4, t = lane % 4:
//   c[0..3]     (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1)
//   a[0..3]     pairs at (g, 2t), (g + 8, 2t), (g, 2t + 8), (g + 8, 2t + 8);     tf32: (g, t), (g + 8, t), (g, t + 4), ...
//   b[0..1]     pairs at (2t, g), (2t + 8, g), along k;                          tf32: (t, g), (t + 4, g)
#ifdef XV_SIMT
#include "runtime/simt/matrix.cuh"
#else

XV_FN uint32_t xv_float_bits(float x)
{
    return __float_as_uint(x);
}

#define XV_CONVERT_PAIR(instruction)                              \
    uint32_t two;                                                             \
    asm(instruction " %0, %1, %2;" : "=r"(two) : "f"(y), "f"(x));             \
    return two
#define XV_MULTIPLY(instruction)                                                                          \
    asm volatile(instruction " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"           \
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                                         \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))

struct XvBf16 {
    uint16_t bits;
    XvBf16() = default;
    XV_INLINE_MEMBER explicit XvBf16(float x) { asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x)); }
    XV_INLINE_MEMBER operator float() const { return __uint_as_float((uint32_t)bits << 16); }
    static XV_INLINE_MEMBER uint32_t pair(float x, float y) { XV_CONVERT_PAIR("cvt.rn.bf16x2.f32"); }
    static XV_INLINE_MEMBER void multiply(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
    {
        XV_MULTIPLY("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32");
    }
};

struct XvF16 {
    uint16_t bits;
    XvF16() = default;
    XV_INLINE_MEMBER explicit XvF16(float x) { asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x)); }
    XV_INLINE_MEMBER operator float() const
    {
        float x;
        asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
        return x;
    }
    static XV_INLINE_MEMBER uint32_t pair(float x, float y) { XV_CONVERT_PAIR("cvt.rn.f16x2.f32"); }
    static XV_INLINE_MEMBER void multiply(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
    {
        XV_MULTIPLY("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32");
    }
};

template <class T> XV_FN uint32_t xv_pair(float x, float y)
{
    return T::pair(x, y);
}

template <class T> XV_FN void xv_multiply(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
{
    T::multiply(c, a, b);
}

XV_FN void xv_multiply_tf32(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
{
    XV_MULTIPLY("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32");
}

// The bits below the fraction are cleared: PTX leaves them open.
XV_FN float xv_tf32(float x)
{
    uint32_t bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return __uint_as_float(bits & 0xffffe000u);
}

XV_FN uint32_t xv_shared_address(const void *at)
{
    return (uint32_t)__cvta_generic_to_shared(at);
}

template <bool IS_TRANSPOSED, class T> XV_FN void xv_load_matrix(uint32_t (&to)[4], const T *from, int index)
{
    const uint32_t at = xv_shared_address(from + index);
    if (IS_TRANSPOSED) {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                     : "r"(at)
                     : "memory");
    } else {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                     : "r"(at)
                     : "memory");
    }
}

// Elements `at` and the next, on four bytes.
XV_FN void xv_store_pair(const XvSpan<uint16_t> &to, int64_t at, uint32_t pair)
{
    *(uint32_t *)(to.at + at) = pair;
}

// Elements from..from+16/sizeof(T)-1 of the source; without is_inside zeros, and nothing is read.
template <class T, class S>
XV_FN void xv_copy_async(T *to, int index, const XvSpan<S> &source, int64_t from, bool is_inside)
{
    static_assert(sizeof(T) == sizeof(S), "elements are copied as they are");
    const int bytes = is_inside ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(xv_shared_address(to + index)),
                 "l"(source.at + (is_inside ? from : 0)), "r"(bytes)
                 : "memory");
}

XV_FN void xv_copy_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

template <int N> XV_FN void xv_copy_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}
#endif
