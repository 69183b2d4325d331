// The names a pickle may mention, and what calling them gives. This list is the whole of what a file can cause; see
// pickle.h. A call never runs anything of the file: each row is a function here.
#include "runtime/checkpoint/pickle_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool has_items(XvUnpickler *unpickler, const XvPickle *tuple, uint32_t fewest, uint32_t most,
                      const char *what)
{
    return (tuple->kind == XV_PICKLE_TUPLE && tuple->count >= fewest && tuple->count <= most) ||
           xv_unpickle_fail(unpickler, "%s with arguments of another number or kind", what);
}

// Containers -------------------------------------------------------------------------------------------------------

// collections.OrderedDict(), or with a list of pairs as Python 2 writes it.
static XvPickle *call_ordered_dict(XvUnpickler *unpickler, const XvPickle *arguments)
{
    XvPickle *dict = xv_unpickle_value(unpickler, XV_PICKLE_DICT);
    if (!dict || !has_items(unpickler, arguments, 0, 1, "OrderedDict")) {
        return NULL;
    }
    const XvPickle *pairs = arguments->count ? arguments->items[0] : NULL;
    if (pairs && pairs->kind != XV_PICKLE_LIST) {
        xv_unpickle_fail(unpickler, "OrderedDict of %s", xv_pickle_kind_name(pairs->kind));
        return NULL;
    }
    for (uint32_t i = 0; pairs && i < pairs->count; i++) {
        const XvPickle *pair = pairs->items[i];
        if ((pair->kind != XV_PICKLE_LIST && pair->kind != XV_PICKLE_TUPLE) || pair->count != 2) {
            xv_unpickle_fail(unpickler, "OrderedDict of items that are not pairs");
            return NULL;
        }
        if (!xv_unpickle_append(unpickler, dict, pair->items, 2)) {
            return NULL;
        }
    }
    return dict;
}

// The factory of a default dict is not kept: nothing is ever asked for that is not there.
static XvPickle *call_default_dict(XvUnpickler *unpickler, const XvPickle *arguments)
{
    return has_items(unpickler, arguments, 0, 1, "defaultdict") ? xv_unpickle_value(unpickler, XV_PICKLE_DICT)
                                                                : NULL;
}

// set([...]), frozenset([...]), torch.Size((...)): a copy of the items as `kind`.
static XvPickle *items_as(XvUnpickler *unpickler, const XvPickle *arguments, XvPickleKind kind,
                          const char *what)
{
    XvPickle *result = xv_unpickle_value(unpickler, kind);
    if (!result || !has_items(unpickler, arguments, 0, 1, what)) {
        return NULL;
    }
    const XvPickle *items = arguments->count ? arguments->items[0] : arguments;
    if (items->kind != XV_PICKLE_LIST && items->kind != XV_PICKLE_TUPLE) {
        xv_unpickle_fail(unpickler, "%s of %s", what, xv_pickle_kind_name(items->kind));
        return NULL;
    }
    return xv_unpickle_append(unpickler, result, items->items, items->count) ? result : NULL;
}

static XvPickle *call_set(XvUnpickler *unpickler, const XvPickle *arguments)
{
    return items_as(unpickler, arguments, XV_PICKLE_SET, "set");
}

static XvPickle *call_size(XvUnpickler *unpickler, const XvPickle *arguments)
{
    return items_as(unpickler, arguments, XV_PICKLE_TUPLE, "torch.Size");
}

// _codecs.encode(text, 'latin1'): how protocols below 3 write bytes.
static XvPickle *call_encode(XvUnpickler *unpickler, const XvPickle *arguments)
{
    if (!has_items(unpickler, arguments, 2, 2, "_codecs.encode")) {
        return NULL;
    }
    const XvPickle *text = arguments->items[0];
    if (text->kind != XV_PICKLE_TEXT || !xv_pickle_is(arguments->items[1], "latin1")) {
        xv_unpickle_fail(unpickler, "_codecs.encode of anything but text to latin1");
        return NULL;
    }
    XvPickle *bytes = xv_unpickle_text(unpickler, XV_PICKLE_BYTES, text->text, text->count);
    if (!bytes) {
        return NULL;
    }
    char *out = (char *)bytes->text;  // of this function's own copy, which only becomes shorter
    uint32_t used = 0;
    for (uint32_t i = 0; i < text->count; i++) {
        unsigned lead = (unsigned char)text->text[i], next = (unsigned char)text->text[i + 1];
        bool is_pair = (lead == 0xC2 || lead == 0xC3) && (next & 0xC0) == 0x80;
        if (lead >= 0x80 && !is_pair) {
            xv_unpickle_fail(unpickler, "_codecs.encode of a character that latin1 lacks");
            return NULL;
        }
        out[used++] = (char)(is_pair ? (lead & 3) << 6 | (next & 0x3F) : lead);
        i += is_pair;
    }
    out[used] = 0;
    bytes->count = used;
    return bytes;
}

// NumPy scalars ----------------------------------------------------------------------------------------------------

// numpy.dtype('f8', False, True).
static XvPickle *call_numpy_type(XvUnpickler *unpickler, const XvPickle *arguments)
{
    if (!has_items(unpickler, arguments, 1, 3, "numpy.dtype")) {
        return NULL;
    }
    const char *name = xv_pickle_text(arguments->items[0]);
    size_t length = name ? strlen(name) : 0;
    if (length != 2 || !strchr("biuf", name[0]) || !strchr("1248", name[1]) ||
        (name[0] == 'f' && name[1] == '1')) {
        xv_unpickle_fail(unpickler, "numpy.dtype(\"%s\"); numbers are b1, i1..i8, u1..u8, f2..f8",
                         name ? name : "?");
        return NULL;
    }
    XvNumpyType *type = xv_unpickle_alloc(unpickler, sizeof *type);
    if (!type) {
        return NULL;
    }
    *type = (XvNumpyType){.internal = XV_INTERNAL_NUMPY_TYPE, .kind = name[0], .size = name[1] - '0'};
    return xv_unpickle_internal(unpickler, type);
}

static double half_value(uint16_t bits)
{
    int exponent = bits >> 10 & 31;
    double fraction = bits & 1023;
    double magnitude = exponent == 0 ? fraction * 0x1p-24 : (fraction + 1024) * 0x1p-25;
    for (int i = 0; i < exponent; i++) {
        magnitude *= 2;
    }
    if (exponent == 31) {
        magnitude = fraction > 0 ? __builtin_nan("") : __builtin_inf();
    }
    return bits & 0x8000 ? -magnitude : magnitude;
}

static XvPickle *numpy_number(XvUnpickler *unpickler, const XvNumpyType *type, uint64_t bits)
{
    bool is_real = type->kind == 'f';
    XvPickleKind kind = is_real ? XV_PICKLE_REAL : type->kind == 'b' ? XV_PICKLE_BOOL : XV_PICKLE_INTEGER;
    XvPickle *value = xv_unpickle_value(unpickler, kind);
    if (!value) {
        return NULL;
    }
    int unused = 64 - 8 * type->size;
    if (is_real && type->size == 8) {
        memcpy(&value->real, &bits, sizeof value->real);
    } else if (is_real && type->size == 4) {
        uint32_t low = (uint32_t)bits;
        float real;
        memcpy(&real, &low, sizeof real);
        value->real = (double)real;
    } else if (is_real) {
        value->real = half_value((uint16_t)bits);
    } else if (type->kind == 'b') {
        value->boolean = bits != 0;
    } else {
        value->integer = type->kind == 'i' ? (int64_t)(bits << unused) >> unused : (int64_t)bits;
    }
    return value;
}

// numpy.core.multiarray.scalar(dtype, bytes).
static XvPickle *call_numpy_scalar(XvUnpickler *unpickler, const XvPickle *arguments)
{
    if (!has_items(unpickler, arguments, 2, 2, "a NumPy scalar")) {
        return NULL;
    }
    const XvNumpyType *type = xv_unpickle_internal_of(arguments->items[0], XV_INTERNAL_NUMPY_TYPE);
    const XvPickle *bytes = arguments->items[1];
    if (!type || bytes->kind != XV_PICKLE_BYTES || bytes->count != (uint32_t)type->size) {
        xv_unpickle_fail(unpickler, "a NumPy scalar whose bytes do not fit its type");
        return NULL;
    }
    uint64_t bits = 0;
    for (int i = 0; i < type->size; i++) {
        bits = bits << 8 | (uint8_t)bytes->text[type->is_big_endian ? i : type->size - 1 - i];
    }
    return numpy_number(unpickler, type, bits);
}

// Tensors ----------------------------------------------------------------------------------------------------------

static bool size_list(XvUnpickler *unpickler, const XvPickle *list, int64_t out[XV_MAX_RANK])
{
    if (list->kind != XV_PICKLE_TUPLE && list->kind != XV_PICKLE_LIST) {
        return xv_unpickle_fail(unpickler, "a tensor whose size is %s", xv_pickle_kind_name(list->kind));
    }
    if (list->count > XV_MAX_RANK) {
        return xv_unpickle_fail(unpickler, "a tensor of %u dimensions; at most %d are supported", list->count,
                                XV_MAX_RANK);
    }
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->items[i]->kind != XV_PICKLE_INTEGER || list->items[i]->integer < 0) {
            return xv_unpickle_fail(unpickler,
                                    "a tensor with a size or stride that is no whole number from 0 on");
        }
        out[i] = list->items[i]->integer;
    }
    return true;
}

// Every element must lie in the storage.
static bool check_extent(XvUnpickler *unpickler, const XvPickleTensor *tensor)
{
    int64_t last = tensor->offset, count = 1, reach;
    bool is_inside = tensor->offset >= 0;
    for (int i = 0; is_inside && i < tensor->rank; i++) {
        is_inside =
            !__builtin_mul_overflow(count, tensor->shape[i], &count) &&
            !__builtin_mul_overflow(tensor->shape[i] - (tensor->shape[i] > 0), tensor->stride[i], &reach) &&
            !__builtin_add_overflow(last, reach, &last);
    }
    // An expanded tensor may have more elements than its storage, but not without bound.
    is_inside =
        is_inside && count < INT64_MAX / 16 && (count > 0 ? last < tensor->storage->count : last >= 0);
    return is_inside ||
           xv_unpickle_fail(unpickler,
                            "a tensor that reaches beyond its storage \"%s\" of %" PRId64 " elements",
                            tensor->storage->key, tensor->storage->count);
}

// _rebuild_tensor(storage, offset, size, stride) and _v2 with requires_grad, hooks and, lately, metadata behind, which
// say nothing about the values.
static XvPickle *call_tensor(XvUnpickler *unpickler, const XvPickle *arguments)
{
    if (!has_items(unpickler, arguments, 4, 7, "a tensor")) {
        return NULL;
    }
    const XvInternalStorage *storage = xv_unpickle_internal_of(arguments->items[0], XV_INTERNAL_STORAGE);
    const XvPickle *offset = arguments->items[1], *size = arguments->items[2], *stride = arguments->items[3];
    if (!storage || offset->kind != XV_PICKLE_INTEGER) {
        xv_unpickle_fail(unpickler, "a tensor without a storage or with an offset that is no integer");
        return NULL;
    }
    XvPickleTensor *tensor = xv_unpickle_alloc(unpickler, sizeof *tensor);
    if (!tensor || !size_list(unpickler, size, tensor->shape) ||
        !size_list(unpickler, stride, tensor->stride)) {
        return NULL;
    }
    if (size->count != stride->count) {
        xv_unpickle_fail(unpickler, "a tensor of %u sizes and %u strides", size->count, stride->count);
        return NULL;
    }
    tensor->storage = &storage->storage;
    tensor->rank = (int)size->count;
    tensor->offset = offset->integer;
    if (!check_extent(unpickler, tensor)) {
        return NULL;
    }
    XvPickle *value = xv_unpickle_value(unpickler, XV_PICKLE_TENSOR);
    if (value) {
        value->tensor = tensor;
    }
    return value;
}

// _rebuild_parameter(tensor, requires_grad, hooks): the tensor.
static XvPickle *call_parameter(XvUnpickler *unpickler, const XvPickle *arguments)
{
    if (!has_items(unpickler, arguments, 1, 3, "a parameter") ||
        arguments->items[0]->kind != XV_PICKLE_TENSOR) {
        xv_unpickle_fail(unpickler, "a parameter without a tensor");
        return NULL;
    }
    return arguments->items[0];
}

// Views of the legacy format: (key of the view, offset, size) in elements of the stored piece.
static bool apply_view(XvUnpickler *unpickler, XvPickleStorage *storage, const XvPickle *view)
{
    int64_t last;
    if (view->kind == XV_PICKLE_NONE) {
        return true;
    }
    if (view->kind != XV_PICKLE_TUPLE || view->count != 3 || view->items[1]->kind != XV_PICKLE_INTEGER ||
        view->items[2]->kind != XV_PICKLE_INTEGER || view->items[1]->integer < 0 ||
        view->items[2]->integer < 0 ||
        __builtin_add_overflow(view->items[1]->integer, view->items[2]->integer, &last) ||
        last > storage->root_count) {
        return xv_unpickle_fail(unpickler, "a view that does not lie in its storage \"%s\"", storage->key);
    }
    storage->root_offset = view->items[1]->integer;
    storage->count = view->items[2]->integer;
    return true;
}

// ('storage', class, key, location, count) and in legacy files a sixth item, a view or None.
XvPickle *xv_unpickle_persistent(XvUnpickler *unpickler, const XvPickle *id)
{
    if (unpickler->use != XV_PICKLE_CHECKPOINT) {
        xv_unpickle_fail(unpickler, "a tensor in a file of records; is this a checkpoint?");
        return NULL;
    }
    if (id->kind != XV_PICKLE_TUPLE || id->count < 5 || id->count > 6 ||
        !xv_pickle_is(id->items[0], "storage")) {
        xv_unpickle_fail(unpickler, "a reference to something that is no storage");
        return NULL;
    }
    const XvPickleName *class = xv_unpickle_internal_of(id->items[1], XV_INTERNAL_NAME);
    const char *key = xv_pickle_text(id->items[2]);
    const XvPickle *count = id->items[4];
    if (!class || !class->is_storage || !key || count->kind != XV_PICKLE_INTEGER || count->integer < 0 ||
        count->integer > INT64_MAX / 16) {
        xv_unpickle_fail(unpickler, "a storage whose class, key or size makes no sense");
        return NULL;
    }
    XvInternalStorage *storage = xv_unpickle_alloc(unpickler, sizeof *storage);
    if (!storage) {
        return NULL;
    }
    *storage = (XvInternalStorage){
        XV_INTERNAL_STORAGE,
        {.key = key, .dtype = class->dtype, .count = count->integer, .root_count = count->integer}};
    if (id->count == 6 && !apply_view(unpickler, &storage->storage, id->items[5])) {
        return NULL;
    }
    storage->storage.next = unpickler->storages;
    unpickler->storages = &storage->storage;
    return xv_unpickle_internal(unpickler, storage);
}

// Names ------------------------------------------------------------------------------------------------------------

#define CALL(module, name, function)                            \
    {                                                           \
        XV_INTERNAL_NAME, module, name, function, XV_F32, false \
    }
#define NAME(module, name)                                  \
    {                                                       \
        XV_INTERNAL_NAME, module, name, NULL, XV_F32, false \
    }
#define STORAGE(name, dtype)                               \
    {                                                      \
        XV_INTERNAL_NAME, "torch", name, NULL, dtype, true \
    }

// A module "torch" stands for "torch.cuda" as well, "builtins" for Python 2's "__builtin__".
static const XvPickleName NAMES[] = {
    CALL("collections", "OrderedDict", call_ordered_dict),
    CALL("collections", "defaultdict", call_default_dict),
    CALL("torch._utils", "_rebuild_tensor_v2", call_tensor),
    CALL("torch._utils", "_rebuild_tensor", call_tensor),
    CALL("torch._utils", "_rebuild_parameter", call_parameter),
    CALL("torch", "Size", call_size),
    STORAGE("FloatStorage", XV_F32),
    STORAGE("DoubleStorage", XV_F64),
    STORAGE("HalfStorage", XV_F16),
    STORAGE("BFloat16Storage", XV_BF16),
    STORAGE("LongStorage", XV_I64),
    STORAGE("IntStorage", XV_I32),
    STORAGE("ShortStorage", XV_I16),
    STORAGE("CharStorage", XV_I8),
    STORAGE("ByteStorage", XV_U8),
    STORAGE("BoolStorage", XV_BOOL),
    CALL("builtins", "set", call_set),
    CALL("builtins", "frozenset", call_set),
    NAME("builtins", "int"),
    NAME("builtins", "long"),
    NAME("builtins", "float"),
    NAME("builtins", "bool"),
    NAME("builtins", "str"),
    NAME("builtins", "list"),
    NAME("builtins", "dict"),
    CALL("_codecs", "encode", call_encode),
    CALL("numpy", "dtype", call_numpy_type),
    CALL("numpy.core.multiarray", "scalar", call_numpy_scalar),
    CALL("numpy._core.multiarray", "scalar", call_numpy_scalar),
};

XvPickle *xv_unpickle_name(XvUnpickler *unpickler, const char *module, const char *name)
{
    const char *known = strcmp(module, "__builtin__") == 0  ? "builtins"
                        : strcmp(module, "torch.cuda") == 0 ? "torch"
                                                            : module;
    bool has_torch = unpickler->use == XV_PICKLE_CHECKPOINT;
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        bool is_allowed = has_torch || strncmp(NAMES[i].module, "torch", 5) != 0;
        if (is_allowed && strcmp(NAMES[i].module, known) == 0 && strcmp(NAMES[i].name, name) == 0) {
            return xv_unpickle_internal(unpickler, &NAMES[i]);
        }
    }
    xv_unpickle_fail(unpickler,
                     "asks for %s.%s, which is not among the names that a data file may use; nothing was run",
                     module, name);
    return NULL;
}

XvPickle *xv_unpickle_call(XvUnpickler *unpickler, const XvPickle *callable, const XvPickle *arguments)
{
    const XvPickleName *name = xv_unpickle_internal_of(callable, XV_INTERNAL_NAME);
    if (!name || !name->call) {
        xv_unpickle_fail(unpickler, "calls %s%s%s; nothing was run",
                         name ? name->module : "what cannot be called", name ? "." : "",
                         name ? name->name : "");
        return NULL;
    }
    return name->call(unpickler, arguments);
}

bool xv_unpickle_build(XvUnpickler *unpickler, XvPickle *object, const XvPickle *state)
{
    XvNumpyType *type = (XvNumpyType *)xv_unpickle_internal_of(object, XV_INTERNAL_NUMPY_TYPE);
    if (type && state->kind == XV_PICKLE_TUPLE && state->count >= 2) {
        type->is_big_endian = xv_pickle_is(state->items[1], ">");
        return true;
    }
    // Attributes of an ordered dict: `_metadata` of a state dict, which holds versions of modules.
    return object->kind == XV_PICKLE_DICT ||
           xv_unpickle_fail(unpickler, "sets attributes of %s", xv_pickle_kind_name(object->kind));
}
