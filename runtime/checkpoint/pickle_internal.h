// The machine of pickle.c, shared with the names it may call (pickle_build.c) and the values it makes.
#pragma once

#include "runtime/checkpoint/pickle.h"

// Values that exist only while a pickle is read: XvPickle.internal of XV_PICKLE_INTERNAL points to one of these, whose
// first member tells which.
typedef enum XvPickleInternal {
    XV_INTERNAL_NAME,
    XV_INTERNAL_STORAGE,
    XV_INTERNAL_NUMPY_TYPE
} XvPickleInternal;

typedef struct XvUnpickler XvUnpickler;

// A name that a pickle may mention. `call` gets a tuple of arguments; NULL: may be mentioned, not called.
typedef struct XvPickleName {
    XvPickleInternal internal;
    const char *module, *name;
    XvPickle *(*call)(XvUnpickler *unpickler, const XvPickle *arguments);
    XvDtype dtype;  // of a torch storage class
    bool is_storage;
} XvPickleName;

typedef struct XvInternalStorage {
    XvPickleInternal internal;
    XvPickleStorage storage;
} XvInternalStorage;

// numpy.dtype('<f8') while its parts arrive.
typedef struct XvNumpyType {
    XvPickleInternal internal;
    char kind;  // 'b', 'i', 'u', 'f'
    int size;
    bool is_big_endian;
} XvNumpyType;

struct XvUnpickler {
    const uint8_t *bytes;
    size_t length, at;
    size_t operation_at;  // of the operation that runs
    XvPickleUse use;
    void *memory;  // list of chunks, see pickle_value.c
    size_t memory_used;
    XvPickle **stack;
    size_t n_stack, stack_capacity;
    size_t *marks;  // heights of the stack
    size_t n_marks, marks_capacity;
    XvPickle **memo;
    size_t memo_capacity, n_memo;
    const XvPickleStorage *storages;
    bool is_stopped;
    XvError *error;
};

// The message with "byte N of the pickle" in front; returns NULL or false as it is needed.
bool xv_unpickle_fail(XvUnpickler *unpickler, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Zeroed memory of the tree; NULL with a message when the limit is reached.
void *xv_unpickle_alloc(XvUnpickler *unpickler, size_t bytes);
XvPickle *xv_unpickle_value(XvUnpickler *unpickler, XvPickleKind kind);
XvPickle *xv_unpickle_integer(XvUnpickler *unpickler, int64_t integer);
XvPickle *xv_unpickle_text(XvUnpickler *unpickler, XvPickleKind kind, const void *text, size_t length);
XvPickle *xv_unpickle_internal(XvUnpickler *unpickler, const void *internal);

bool xv_unpickle_push(XvUnpickler *unpickler, XvPickle *value);  // false for NULL

// The next bytes: a number of them, an unsigned number of `width` bytes, a line, a line of fewer than `size`
// characters. False or NULL with a message when they are not there.
const uint8_t *xv_unpickle_take(XvUnpickler *unpickler, uint64_t count);
bool xv_unpickle_unsigned(XvUnpickler *unpickler, int width, uint64_t *out);
const uint8_t *xv_unpickle_line(XvUnpickler *unpickler, size_t *length);
bool xv_unpickle_word(XvUnpickler *unpickler, char *out, size_t size);
enum { XV_UNPICKLE_NUMBER = 64 };  // a number in characters is shorter

// Appends items to a list, set or tuple (1 each) or a dict (2 each: pairs).
bool xv_unpickle_append(XvUnpickler *unpickler, XvPickle *container, XvPickle *const *items, size_t count);

// What the operations GLOBAL, REDUCE, BUILD and BINPERSID do; NULL with a message for what is not allowed.
XvPickle *xv_unpickle_name(XvUnpickler *unpickler, const char *module, const char *name);
XvPickle *xv_unpickle_call(XvUnpickler *unpickler, const XvPickle *callable, const XvPickle *arguments);
bool xv_unpickle_build(XvUnpickler *unpickler, XvPickle *object, const XvPickle *state);
XvPickle *xv_unpickle_persistent(XvUnpickler *unpickler, const XvPickle *id);

// NULL unless the value is such an internal one.
const void *xv_unpickle_internal_of(const XvPickle *value, XvPickleInternal internal);

void xv_pickle_free_memory(void *memory);

// Sets the weights; refuses cycles, depth, size and leftovers that are no values.
bool xv_pickle_check(XvPickle *root, XvPickleUse use, XvError *error);

// The operations of pickle_scalars.c.
bool xv_op_none(XvUnpickler *unpickler);
bool xv_op_true(XvUnpickler *unpickler);
bool xv_op_false(XvUnpickler *unpickler);
bool xv_op_int4(XvUnpickler *unpickler);
bool xv_op_int2(XvUnpickler *unpickler);
bool xv_op_int1(XvUnpickler *unpickler);
bool xv_op_long1(XvUnpickler *unpickler);
bool xv_op_long4(XvUnpickler *unpickler);
bool xv_op_int_line(XvUnpickler *unpickler);
bool xv_op_float(XvUnpickler *unpickler);
bool xv_op_float_line(XvUnpickler *unpickler);
bool xv_op_text1(XvUnpickler *unpickler);
bool xv_op_text4(XvUnpickler *unpickler);
bool xv_op_text8(XvUnpickler *unpickler);
bool xv_op_bytes1(XvUnpickler *unpickler);
bool xv_op_bytes4(XvUnpickler *unpickler);
bool xv_op_bytes8(XvUnpickler *unpickler);
bool xv_op_string_line(XvUnpickler *unpickler);
bool xv_op_unicode_line(XvUnpickler *unpickler);
