// The emulated half of runtime/cuda/matrix.cuh: conversions in software with the bits of the instructions, fragments
// lane by lane as PTX lays them out, copies that arrive when the thread waits for them.
#include <vector>

XV_FN uint32_t xv_float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

XV_FN float xv_bits_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

// Every NaN becomes the one that the instructions give.
XV_FN uint16_t xv_simt_bf16(float x)
{
    const uint32_t bits = xv_float_bits(x);
    return x != x ? 0x7fff : (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

XV_FN uint16_t xv_simt_f16(float x)
{
    const uint32_t bits = xv_float_bits(x), size = bits & 0x7fffffffu;
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    if (x != x) {
        return 0x7fff;
    }
    if (size >= 0x47800000u) {  // 65536 and more; what rounds up to it carries into the exponent below
        return (uint16_t)(sign | 0x7c00u);
    }
    if (size < 0x38800000u) {  // below 2^-14: a multiple of 2^-24, which the sum with 0.5 leaves in the fraction
        return (uint16_t)(sign | (xv_float_bits(xv_bits_float(size) + 0.5f) - 0x3f000000u));
    }
    return (uint16_t)(sign | ((size - (112u << 23) + 0xfffu + (size >> 13 & 1u)) >> 13));
}

XV_FN float xv_simt_of_f16(uint16_t bits)
{
    const uint32_t sign = (uint32_t)(bits & 0x8000u) << 16, size = bits & 0x7fffu;
    if (size < 0x400u) {
        return xv_bits_float(sign | xv_float_bits((float)size * 0x1p-24f));
    }
    return xv_bits_float(sign | ((size << 13) + (size < 0x7c00u ? 112u << 23 : 224u << 23)));
}

struct XvBf16 {
    uint16_t bits;
    XvBf16() = default;
    explicit XvBf16(float x) : bits(xv_simt_bf16(x)) {}
    operator float() const { return xv_bits_float((uint32_t)bits << 16); }
};

struct XvF16 {
    uint16_t bits;
    XvF16() = default;
    explicit XvF16(float x) : bits(xv_simt_f16(x)) {}
    operator float() const { return xv_simt_of_f16(bits); }
};

XV_FN float xv_tf32(float x)
{
    const uint32_t bits = xv_float_bits(x);
    const bool is_infinite = (bits & 0x7fffffffu) == 0x7f800000u;
    return xv_bits_float(x != x ? 0x7fffe000u : is_infinite ? bits : (bits + 0x1000u) & 0xffffe000u);
}

template <class T> static inline uint32_t xv_pair(float x, float y)
{
    return T(x).bits | (uint32_t)T(y).bits << 16;
}

static inline void xv_store_pair(const XvSpan<uint16_t> &to, int64_t at, uint32_t pair, XV_HERE)
{
    if ((uintptr_t)(to.at + at) % 4 != 0) {
        xv_simt->fault(xv_simt, {file, line}, "element %lld of a buffer is not on 4 bytes", (long long)at);
    }
    to[XvIndex(at, file, line)] = (uint16_t)pair;
    to[XvIndex(at + 1, file, line)] = (uint16_t)(pair >> 16);
}

// Matrices ------------------------------------------------------------------------------------------------------

// 16 bytes of shared memory from an element on, read by the calling lane.
template <class T> static inline const T *xv_simt_row(const XvShared<T> &from, int64_t index, XvSimtPlace place)
{
    constexpr int count = 16 / sizeof(T);
    if (index < 0 || index + count > from.count) {
        xv_simt->fault(xv_simt, place, "elements %lld..%lld outside a shared array of %lld elements", (long long)index,
                       (long long)index + count - 1, (long long)from.count);
    }
    if ((uintptr_t)(from.at + index) % 16 != 0) {
        xv_simt->fault(xv_simt, place, "element %lld of a shared array is not on 16 bytes", (long long)index);
    }
    return from.at + index;
}

struct XvLoadSlot {
    const void *row;
    uint32_t to[4];
};

template <bool IS_TRANSPOSED> static void xv_simt_load(void **slots, uint32_t)
{
    for (int matrix = 0; matrix < 4; matrix++) {
        uint16_t rows[8][8];
        for (int row = 0; row < 8; row++) {
            memcpy(rows[row], ((XvLoadSlot *)slots[matrix * 8 + row])->row, sizeof rows[row]);
        }
        for (int lane = 0; lane < XV_SIMT_WARP; lane++) {
            const int g = lane / 4, t = 2 * (lane % 4);
            const uint32_t low = IS_TRANSPOSED ? rows[t][g] : rows[g][t];
            const uint32_t high = IS_TRANSPOSED ? rows[t + 1][g] : rows[g][t + 1];
            ((XvLoadSlot *)slots[lane])->to[matrix] = low | high << 16;
        }
    }
}

template <bool IS_TRANSPOSED, class T>
static inline void xv_load_matrix(uint32_t (&to)[4], const XvShared<T> &from, int index, XV_HERE)
{
    static_assert(sizeof(T) == 2, "matrices of two-byte elements");
    XvLoadSlot slot = {xv_simt_row(from, index, {file, line}), {}};
    for (int i = 0; i < 8; i++) {
        xv_simt_note_read(from.shadow[index + i], index + i, {file, line});
    }
    xv_simt_meet(0xffffffffu, &slot, xv_simt_load<IS_TRANSPOSED>, "xv_load_matrix", {file, line});
    memcpy(to, slot.to, sizeof to);
}

struct XvMultiplySlot {
    const uint32_t *a, *b;
    float *c;
};

// PTX leaves the order of a sum and its rounding open; here it is that of k, in single precision.
template <int DEPTH>
__attribute__((optimize("O3"))) static void xv_simt_products(const float (&a)[16][DEPTH], const float (&b)[DEPTH][8],
                                                             float (&c)[16][8])
{
    for (int row = 0; row < 16; row++) {
        for (int k = 0; k < DEPTH; k++) {
            for (int column = 0; column < 8; column++) {
                c[row][column] += a[row][k] * b[k][column];
            }
        }
    }
}

template <int DEPTH> static void xv_simt_sum(void **slots, const float (&a)[16][DEPTH], const float (&b)[DEPTH][8])
{
    float c[16][8];
    for (int is_result = 0; is_result < 2; is_result++) {
        for (int lane = 0; lane < XV_SIMT_WARP; lane++) {
            for (int i = 0; i < 4; i++) {
                float &own = ((XvMultiplySlot *)slots[lane])->c[i];
                float &shared = c[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2];
                (is_result ? own : shared) = is_result ? shared : own;
            }
        }
        if (!is_result) {
            xv_simt_products<DEPTH>(a, b, c);
        }
    }
}

template <class T> static void xv_simt_multiply(void **slots, uint32_t)
{
    float a[16][16], b[16][8];
    for (int lane = 0; lane < XV_SIMT_WARP; lane++) {
        const XvMultiplySlot *slot = (XvMultiplySlot *)slots[lane];
        const int g = lane / 4, t = lane % 4;
        for (int i = 0; i < 8; i++) {  // elements, two a register
            T element;
            element.bits = (uint16_t)(slot->a[i / 2] >> i % 2 * 16);
            a[g + i / 2 % 2 * 8][2 * t + i % 2 + i / 4 * 8] = element;
        }
        for (int i = 0; i < 4; i++) {
            T element;
            element.bits = (uint16_t)(slot->b[i / 2] >> i % 2 * 16);
            b[2 * t + i % 2 + i / 2 * 8][g] = element;
        }
    }
    xv_simt_sum<16>(slots, a, b);
}

static inline void xv_simt_multiply_tf32(void **slots, uint32_t)
{
    float a[16][8], b[8][8];
    for (int lane = 0; lane < XV_SIMT_WARP; lane++) {
        const XvMultiplySlot *slot = (XvMultiplySlot *)slots[lane];
        const int g = lane / 4, t = lane % 4;
        for (int i = 0; i < 4; i++) {  // the bits below the fraction are not looked at
            a[g + i % 2 * 8][t + i / 2 * 4] = xv_bits_float(slot->a[i] & 0xffffe000u);
        }
        for (int i = 0; i < 2; i++) {
            b[t + i * 4][g] = xv_bits_float(slot->b[i] & 0xffffe000u);
        }
    }
    xv_simt_sum<8>(slots, a, b);
}

template <class T>
static inline void xv_multiply(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], XV_HERE)
{
    XvMultiplySlot slot = {a, b, c};
    xv_simt_meet(0xffffffffu, &slot, xv_simt_multiply<T>, "xv_multiply", {file, line});
}

static inline void xv_multiply_tf32(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], XV_HERE)
{
    XvMultiplySlot slot = {a, b, c};
    xv_simt_meet(0xffffffffu, &slot, xv_simt_multiply_tf32, "xv_multiply_tf32", {file, line});
}

// Copies ----------------------------------------------------------------------------------------------------------

// Of one thread: what it has asked for and not waited for.
struct XvCopies {
    struct Copy {
        XvSimtShadow *shadow;
        int count;
        uint64_t group;
    };
    uint64_t block_epoch = 0;
    uint64_t n_committed = 0;
    std::vector<Copy> copies;
};

static XvCopies xv_simt_copies[XV_SIMT_MAX_THREADS];

static inline XvCopies &xv_simt_own_copies()
{
    XvCopies &own = xv_simt_copies[xv_simt->thread];
    if (own.block_epoch != xv_simt->block_epoch) {
        own.block_epoch = xv_simt->block_epoch;
        own.n_committed = 0;
        own.copies.clear();
    }
    return own;
}

template <class T, class S>
static inline void xv_copy_async(const XvShared<T> &to, int index, const XvSpan<S> &source, int64_t from,
                                 bool is_inside, XV_HERE)
{
    static_assert(sizeof(T) == sizeof(S), "elements are copied as they are");
    constexpr int count = 16 / sizeof(T);
    const XvSimtPlace place = {file, line};
    T *target = (T *)xv_simt_row(to, index, place);
    if (is_inside && (from < 0 || from + count > source.count)) {
        xv_simt_outside(from < 0 ? from : from + count - 1, source.count, place);
    }
    if (is_inside && (uintptr_t)(source.at + from) % 16 != 0) {
        xv_simt->fault(xv_simt, place, "element %lld of a buffer is not on 16 bytes", (long long)from);
    }
    for (int i = 0; i < count; i++) {
        xv_simt_note_write(to.shadow[index + i], index + i, place);
        to.shadow[index + i].is_pending = true;
        memset((void *)(target + i), 0, sizeof(T));
        if (is_inside) {
            memcpy((void *)(target + i), source.at + from + i, sizeof(T));
        }
    }
    XvCopies &own = xv_simt_own_copies();
    own.copies.push_back({to.shadow + index, count, own.n_committed});
}

static inline void xv_copy_commit()
{
    xv_simt_own_copies().n_committed++;
}

template <int N> static inline void xv_copy_wait()
{
    XvCopies &own = xv_simt_own_copies();
    size_t n_left = 0;
    for (const XvCopies::Copy &copy : own.copies) {
        if (copy.group + N >= own.n_committed) {
            own.copies[n_left++] = copy;
            continue;
        }
        for (int i = 0; i < copy.count; i++) {
            copy.shadow[i].is_pending = false;
            copy.shadow[i].write_epoch = xv_simt->epoch;
            copy.shadow[i].write_clock = xv_simt_clock();
        }
    }
    own.copies.resize(n_left);
}
