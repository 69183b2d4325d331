// Python pickles, read without Python and without running anything.
//
// A pickle is a program for a small stack machine, and in Python it may call any function. The machine here knows the
// operations that build values (protocols 0 to 5) and a fixed list of names (pickle_build.c): what a file may hold is
// None, booleans, numbers, text, bytes, tuples, lists, dicts, sets, ordered and default dicts, NumPy scalars, and in a
// checkpoint tensors. Any other name is refused with a message that says the name and the byte at which it stands.
//
// The result is a tree: values may be shared, but cycles, nesting deeper than XV_PICKLE_DEPTH and trees that would be
// huge when written out ("billion laughs") are refused, so that whoever walks it needs no guard of his own.
#pragma once

#include "runtime/base/error.h"
#include "runtime/base/tensor.h"

#include <stddef.h>
#include <stdint.h>

enum { XV_PICKLE_DEPTH = 200 };

typedef enum XvPickleKind {
    XV_PICKLE_NONE,
    XV_PICKLE_BOOL,     // boolean
    XV_PICKLE_INTEGER,  // integer
    XV_PICKLE_REAL,     // real
    XV_PICKLE_WIDE,  // text: digits of an integer of more than 64 bits, decimal or "0x..." (two's complement)
    XV_PICKLE_TEXT,  // text, count: UTF-8
    XV_PICKLE_BYTES,  // text, count: bytes, or a `str` of Python 2, which does not say what it is
    XV_PICKLE_TUPLE,  // items, count
    XV_PICKLE_LIST,   // items, count
    XV_PICKLE_SET,    // items, count
    XV_PICKLE_DICT,  // items[2 * i] is key i, items[2 * i + 1] its value; count pairs, in the order of the file
    XV_PICKLE_TENSOR,    // tensor
    XV_PICKLE_INTERNAL,  // never in a tree that was read: names, storages
} XvPickleKind;

// Where the elements of tensors lie: a named piece of the checkpoint, which several tensors may share.
typedef struct XvPickleStorage {
    const char *key;  // "0", "1", ... in archives, any text in legacy files
    XvDtype dtype;
    int64_t count;                       // elements
    int64_t root_offset;                 // legacy views: elements of the stored piece before the first one
    int64_t root_count;                  // elements of the stored piece; `count` unless it is a view
    const struct XvPickleStorage *next;  // of all that the pickle mentions
} XvPickleStorage;

typedef struct XvPickleTensor {
    const XvPickleStorage *storage;
    int rank;
    int64_t shape[XV_MAX_RANK];
    int64_t stride[XV_MAX_RANK];  // in elements, never negative; 0 in expanded tensors
    int64_t offset;               // of the first element in the storage; every element lies inside
} XvPickleTensor;

typedef struct XvPickle {
    XvPickleKind kind;
    uint32_t weight;  // values in the written-out tree below this one, itself included
    union {
        bool boolean;
        int64_t integer;
        double real;
        const char *text;  // with a 0 after its `count` bytes; bytes may contain zeros
        struct XvPickle **items;
        const XvPickleTensor *tensor;
        const void *internal;
    };
    uint32_t count;
    uint32_t capacity;  // of items, while they are read
} XvPickle;

typedef struct XvPickleTree {
    const XvPickle *root;
    const XvPickleStorage *storages;  // of the whole pickle, with one row for each mention
    size_t end;                       // bytes read: a file may hold several pickles one after the other
    void *memory;                     // owns all values
} XvPickleTree;

typedef enum XvPickleUse {
    XV_PICKLE_DATA,        // records: no tensors
    XV_PICKLE_CHECKPOINT,  // what torch.save writes: tensors by persistent ids
} XvPickleUse;

// Reads one pickle from memory. The tree borrows nothing from `bytes`; free it with xv_pickle_free. False with a
// message that says the byte.
bool xv_pickle_read(XvPickleTree *tree, const void *bytes, size_t length, XvPickleUse use, XvError *error);

// Reads the one pickle in a file of records, such as "refs(unc).p"; messages start with the path.
bool xv_pickle_open(XvPickleTree *tree, const char *path, XvError *error);

// A tree of {0} is allowed.
void xv_pickle_free(XvPickleTree *tree);

// Zeroed memory that lives as long as the tree; NULL when there is none.
void *xv_pickle_memory(XvPickleTree *tree, size_t bytes);

// The value of a text key of a dict (the last one, should there be several); NULL if there is none, or no dict.
const XvPickle *xv_pickle_get(const XvPickle *dict, const char *key);

// The characters of TEXT and BYTES; NULL for other kinds and for values with a zero byte inside.
const char *xv_pickle_text(const XvPickle *value);

bool xv_pickle_is(const XvPickle *value, const char *text);

// Numbers as they are wanted: a whole number from INTEGER and BOOL, any from REAL as well. False for other kinds.
bool xv_pickle_integer(const XvPickle *value, int64_t *out);
bool xv_pickle_real(const XvPickle *value, double *out);

// "an integer", "a dict": for messages.
const char *xv_pickle_kind_name(XvPickleKind kind);

// The value as JSON: keys become texts, tuples and sets arrays, bytes text (Latin-1), tensors "tensor F32 [2, 3]",
// infinities and NaN texts. The caller frees it; NULL when memory is short.
char *xv_pickle_json(const XvPickle *value);
