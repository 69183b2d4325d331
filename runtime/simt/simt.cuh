// The emulated half of runtime/cuda/device.cuh: the same names with the same lane semantics, in C++ for g++, on top of
// runtime/simt/simt.h. Buffers and shared arrays are small classes whose operator[] checks every access; the place of
// the access is a default argument of the conversion to the index type.
#include "runtime/simt/simt.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include <type_traits>
#include <utility>

static XvSimt *xv_simt;   // set by the launch

#define XV_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()
#define XV_THERE file, line
#define XV_FN static inline
#define XV_INLINE_MEMBER inline

#define threadIdx (XvIndex3{xv_simt->thread, 0, 0})
#define blockIdx (XvIndex3{xv_simt->block[0], xv_simt->block[1], xv_simt->block[2]})
#define blockDim (XvIndex3{xv_simt->threads, 1, 1})
#define gridDim (XvIndex3{xv_simt->grid[0], xv_simt->grid[1], xv_simt->grid[2]})

struct XvIndex3 {
    uint32_t x, y, z;
};

// Kernels -------------------------------------------------------------------------------------------------------

#define XV_KERNEL(threads) static void
#define XV_KERNEL_FOR(threads, blocks) static void
#define XV_ENTRY(name)                                                        \
    extern "C" void simt_##name(void **arguments);                            \
    extern "C" void simt_##name(void **arguments) { xv_simt_run(name, arguments); } \
    extern "C" size_t simt_sizes_##name(size_t *bytes);                       \
    extern "C" size_t simt_sizes_##name(size_t *bytes) { return xv_simt_sizes(name, bytes); }

template <class... P, size_t... I>
static inline void xv_simt_unpack(void (*kernel)(P...), void **arguments, std::index_sequence<I...>)
{
    kernel(*(P *)arguments[I]...);
}

template <class... P> static inline void xv_simt_run(void (*kernel)(P...), void **arguments)
{
    xv_simt_unpack(kernel, arguments, std::index_sequence_for<P...>{});
}

// Bytes of each parameter; returns how many there are. A driver copies arguments when a kernel is launched.
template <class... P> static inline size_t xv_simt_sizes(void (*)(P...), size_t *bytes)
{
    size_t n = 0;
    ((bytes[n++] = sizeof(P)), ...);
    return n;
}

extern "C" XvSimt **xv_simt_current(void);
extern "C" XvSimt **xv_simt_current(void)
{
    return &xv_simt;
}

// Buffers -------------------------------------------------------------------------------------------------------

struct XvIndex {
    int64_t value;
    XvSimtPlace place;
    template <class I> XvIndex(I index, XV_HERE) : value((int64_t)index), place{file, line} {}
};

static inline void xv_simt_outside(int64_t index, int64_t count, XvSimtPlace place)
{
    xv_simt->fault(xv_simt, place, "index %lld outside a buffer of %lld elements", (long long)index, (long long)count);
}

template <class T, int64_t COUNT> struct XvBuffer {
    T *at;
    T &operator[](XvIndex index) const
    {
        if (__builtin_expect((uint64_t)index.value >= (uint64_t)COUNT, 0)) {
            xv_simt_outside(index.value, COUNT, index.place);
        }
        return at[index.value];
    }
};

#define XV_IN(T, count) XvBuffer<const T, (count)>
#define XV_OUT(T, count) XvBuffer<T, (count)>

template <class T> struct XvSpan {
    T *at;
    int64_t count;
    T &operator[](XvIndex index) const
    {
        if (__builtin_expect((uint64_t)index.value >= (uint64_t)count, 0)) {
            xv_simt_outside(index.value, count, index.place);
        }
        return at[index.value];
    }
    explicit operator bool() const { return at != nullptr; }
};

// Shared memory -------------------------------------------------------------------------------------------------

static inline bool xv_simt_is_ordered(uint32_t warp, uint32_t lane, uint32_t clock)
{
    const uint32_t own = xv_simt->thread % XV_SIMT_WARP;
    return xv_simt->thread / XV_SIMT_WARP == warp && xv_simt->clocks[warp][own][lane] >= clock;
}

static inline uint32_t xv_simt_clock()
{
    uint32_t lane = xv_simt->thread % XV_SIMT_WARP;
    return xv_simt->clocks[xv_simt->thread / XV_SIMT_WARP][lane][lane];
}

static inline void xv_simt_check_writer(const XvSimtShadow &shadow, const char *what, int64_t index, XvSimtPlace place)
{
    uint32_t writer = shadow.write_thread;
    if (shadow.write_epoch == xv_simt->epoch && writer != xv_simt->thread
        && !xv_simt_is_ordered(writer / XV_SIMT_WARP, writer % XV_SIMT_WARP, shadow.write_clock)) {
        xv_simt->fault(xv_simt, place, "race on shared memory: %s element %lld, which thread %u writes in line %d "
                       "without a barrier between", what, (long long)index, writer, shadow.write_place.line);
    }
}

// An element that an asynchronous copy of this block is to fill, and nobody has waited for.
static inline void xv_simt_check_arrival(const XvSimtShadow &shadow, const char *what, int64_t index, XvSimtPlace place)
{
    if (shadow.is_pending && shadow.write_epoch >= xv_simt->block_epoch) {
        xv_simt->fault(xv_simt, place, "%s element %lld of a shared array, which the copy in line %d may not have "
                       "filled yet: thread %u has not waited for it", what, (long long)index, shadow.write_place.line,
                       shadow.write_thread);
    }
}

static inline void xv_simt_check_readers(const XvSimtShadow &shadow, int64_t index, XvSimtPlace place)
{
    if (shadow.read_epoch != xv_simt->epoch) {
        return;
    }
    bool is_race = shadow.is_read_by_warps;
    for (uint32_t lane = 0; !is_race && lane < XV_SIMT_WARP; lane++) {
        uint32_t reader = shadow.read_warp * (uint32_t)XV_SIMT_WARP + lane;
        is_race = (shadow.read_mask >> lane & 1) && reader != xv_simt->thread
            && !xv_simt_is_ordered(shadow.read_warp, lane, shadow.read_clock);
    }
    if (is_race) {
        xv_simt->fault(xv_simt, place, "race on shared memory: writes element %lld, which another thread reads in "
                       "line %d without a barrier between", (long long)index, shadow.read_place.line);
    }
}

static inline void xv_simt_note_read(XvSimtShadow &shadow, int64_t index, XvSimtPlace place)
{
    if (shadow.write_epoch < xv_simt->block_epoch) {
        xv_simt->fault(xv_simt, place, "reads element %lld of a shared array, which nothing wrote", (long long)index);
    }
    xv_simt_check_arrival(shadow, "reads", index, place);
    xv_simt_check_writer(shadow, "reads", index, place);
    uint16_t warp = (uint16_t)(xv_simt->thread / XV_SIMT_WARP);
    uint32_t bit = 1u << xv_simt->thread % XV_SIMT_WARP;
    uint32_t clock = xv_simt_clock();
    if (shadow.read_epoch != xv_simt->epoch) {
        shadow.read_epoch = xv_simt->epoch;
        shadow.read_warp = warp;
        shadow.read_mask = 0;
        shadow.read_clock = 0;
        shadow.is_read_by_warps = false;
    }
    shadow.is_read_by_warps |= shadow.read_warp != warp;
    shadow.read_mask |= bit;
    shadow.read_clock = clock > shadow.read_clock ? clock : shadow.read_clock;
    shadow.read_place = place;
}

static inline void xv_simt_note_write(XvSimtShadow &shadow, int64_t index, XvSimtPlace place)
{
    xv_simt_check_arrival(shadow, "writes", index, place);
    xv_simt_check_writer(shadow, "writes", index, place);
    xv_simt_check_readers(shadow, index, place);
    shadow.write_epoch = xv_simt->epoch;
    shadow.write_thread = (uint16_t)xv_simt->thread;
    shadow.write_clock = xv_simt_clock();
    shadow.write_place = place;
    shadow.read_epoch = 0;
    shadow.is_pending = false;
}

// An element on its way to be read or written.
template <class T> struct XvCell {
    T *at;
    XvSimtShadow *shadow;
    int64_t index;
    XvSimtPlace place;
    operator T() const
    {
        xv_simt_note_read(*shadow, index, place);
        return *at;
    }
    // Of two-byte elements, which become floats by themselves.
    template <class U = T, class = std::enable_if_t<std::is_class_v<U> && std::is_convertible_v<U, float>>>
    operator float() const
    {
        return (float)(T)*this;
    }
    const XvCell &operator=(T value) const
    {
        xv_simt_note_write(*shadow, index, place);
        *at = value;
        return *this;
    }
    const XvCell &operator=(const XvCell &other) const { return *this = (T)other; }
    const XvCell &operator+=(T value) const { return *this = (T)*this + value; }
};

template <class T> struct XvShared {
    T *at;
    XvSimtShadow *shadow;
    int64_t count;
    XvCell<T> operator[](XvIndex index) const
    {
        if (__builtin_expect((uint64_t)index.value >= (uint64_t)count, 0)) {
            xv_simt->fault(xv_simt, index.place, "index %lld outside a shared array of %lld elements",
                           (long long)index.value, (long long)count);
        }
        return XvCell<T>{at + index.value, shadow + index.value, index.value, index.place};
    }
};

template <class T> static inline XvShared<T> xv_simt_shared(int64_t count, XvSimtPlace place)
{
    XvShared<T> array;
    array.count = count;
    array.at = (T *)xv_simt->shared(xv_simt, place, (size_t)count, sizeof(T), &array.shadow);
    return array;
}

#define XV_SHARED(T, name, count) const XvShared<T> name = xv_simt_shared<T>(count, XvSimtPlace{__FILE__, __LINE__})
#define XV_SHARED_REF(T) XvShared<T>

// Meetings ------------------------------------------------------------------------------------------------------

static inline void xv_sync_block(XV_HERE)
{
    xv_simt->sync_block(xv_simt, XvSimtPlace{file, line});
}

static inline void xv_simt_meet(uint32_t mask, void *slot, void (*combine)(void **, uint32_t), const char *what,
                                XvSimtPlace place)
{
    XvSimtMeeting meeting = {mask, slot, combine, what, place, false};
    xv_simt->meet(xv_simt, &meeting);
}

static inline void xv_sync_warp(uint32_t mask = 0xffffffffu, XV_HERE)
{
    XvSimtMeeting meeting = {mask, nullptr, nullptr, "xv_sync_warp", {file, line}, true};
    xv_simt->meet(xv_simt, &meeting);
}

template <class T> struct XvSlot {
    T value, result;
    int lane;
};

// Every lane of the mask gets the value of the lane it names; its own where the named lane is not in the mask.
template <class T> static void xv_simt_exchange(void **slots, uint32_t mask)
{
    for (int i = 0; i < XV_SIMT_WARP; i++) {
        if (mask >> i & 1) {
            XvSlot<T> *slot = (XvSlot<T> *)slots[i];
            int from = slot->lane & (XV_SIMT_WARP - 1);
            slot->result = mask >> from & 1 ? ((XvSlot<T> *)slots[from])->value : slot->value;
        }
    }
}

template <class T> static inline T xv_shuffle(uint32_t mask, T value, int lane, XV_HERE)
{
    XvSlot<T> slot = {value, value, lane};
    xv_simt_meet(mask, &slot, xv_simt_exchange<T>, "xv_shuffle", {file, line});
    return slot.result;
}

template <class T> static inline T xv_shuffle_xor(uint32_t mask, T value, int bits, XV_HERE)
{
    XvSlot<T> slot = {value, value, (int)(xv_simt->thread % XV_SIMT_WARP) ^ bits};
    xv_simt_meet(mask, &slot, xv_simt_exchange<T>, "xv_shuffle_xor", {file, line});
    return slot.result;
}

static void xv_simt_collect_votes(void **slots, uint32_t mask)
{
    uint32_t votes = 0;
    for (int i = 0; i < XV_SIMT_WARP; i++) {
        votes |= mask >> i & 1 && *(uint32_t *)slots[i] ? 1u << i : 0;
    }
    for (int i = 0; i < XV_SIMT_WARP; i++) {
        if (mask >> i & 1) {
            *(uint32_t *)slots[i] = votes;
        }
    }
}

static inline uint32_t xv_ballot(uint32_t mask, bool vote, XV_HERE)
{
    uint32_t slot = vote;
    xv_simt_meet(mask, &slot, xv_simt_collect_votes, "xv_ballot", {file, line});
    return slot;
}

static inline bool xv_any(uint32_t mask, bool vote, XV_HERE)
{
    return xv_ballot(mask, vote, file, line) != 0;
}

static inline bool xv_all(uint32_t mask, bool vote, XV_HERE)
{
    return xv_ballot(mask, vote, file, line) == mask;
}

// The butterflies of device.cuh in one meeting: the same additions in the same order.
template <class T, int WIDTH, class F> static void xv_simt_butterfly(void **slots, uint32_t mask)
{
    for (int bits = WIDTH / 2; bits > 0; bits /= 2) {
        T before[XV_SIMT_WARP];
        for (int i = 0; i < XV_SIMT_WARP; i++) {
            before[i] = mask >> i & 1 ? *(T *)slots[i] : T();
        }
        for (int i = 0; i < XV_SIMT_WARP; i++) {
            if (mask >> i & 1) {
                *(T *)slots[i] = F::join(before[i], before[i ^ bits]);
            }
        }
    }
}

template <int WIDTH, class F, class T> static inline T xv_team_join(uint32_t mask, T value, const char *file, int line)
{
    xv_simt_meet(mask, &value, xv_simt_butterfly<T, WIDTH, F>, F::name(), {file, line});
    return value;
}

// The addition is not atomic in anything but name: one thread runs at a time. Returns what was there before.
template <class T> static inline T xv_atomic_add(const XvSpan<T> &buffer, int64_t index, T value, XV_HERE)
{
    T &element = buffer[XvIndex(index, file, line)];
    T before = element;
    element += value;
    return before;
}

static inline uint32_t xv_multiply_high(uint32_t a, uint32_t b)
{
    return (uint32_t)((uint64_t)a * b >> 32);
}
