// The stack machine that reads pickles; see pickle.h. Every operation is one row of OPERATIONS; names that a pickle
// mentions are looked up in pickle_build.c. Nothing is taken from the bytes without a check of what is left.
#include "runtime/checkpoint/pickle_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LATEST_PROTOCOL = 5 };

bool xv_unpickle_fail(XvUnpickler *unpickler, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return xv_fail(unpickler->error, "byte %zu of the pickle: %s", unpickler->operation_at, text);
}

// Stack ------------------------------------------------------------------------------------------------------------

static bool grow(XvUnpickler *unpickler, void **array, size_t *capacity, size_t wanted)
{
    if (wanted <= *capacity) {
        return true;
    }
    size_t larger = wanted > 2 * *capacity ? wanted : 2 * *capacity;
    void *grown = realloc(*array, larger * sizeof(void *));
    if (!grown) {
        return xv_unpickle_fail(unpickler, "no memory");
    }
    memset((char *)grown + *capacity * sizeof(void *), 0, (larger - *capacity) * sizeof(void *));
    *array = grown;
    *capacity = larger;
    return true;
}

bool xv_unpickle_push(XvUnpickler *unpickler, XvPickle *value)
{
    if (!value ||
        !grow(unpickler, (void **)&unpickler->stack, &unpickler->stack_capacity, unpickler->n_stack + 1)) {
        return false;
    }
    unpickler->stack[unpickler->n_stack++] = value;
    return true;
}

// Values below the last mark cannot be reached.
static size_t floor_of_stack(const XvUnpickler *unpickler)
{
    return unpickler->n_marks ? unpickler->marks[unpickler->n_marks - 1] : 0;
}

static bool needs(XvUnpickler *unpickler, size_t count)
{
    return unpickler->n_stack - floor_of_stack(unpickler) >= count ||
           xv_unpickle_fail(unpickler, "the stack is too short for this operation");
}

static XvPickle *top(const XvUnpickler *unpickler, size_t below)
{
    return unpickler->stack[unpickler->n_stack - 1 - below];
}

// Ends the innermost group: its values start at *first and are off the stack once n_stack is set to it.
static bool end_group(XvUnpickler *unpickler, size_t *first)
{
    if (unpickler->n_marks == 0) {
        return xv_unpickle_fail(unpickler, "there is no mark for this operation");
    }
    *first = unpickler->marks[--unpickler->n_marks];
    return true;
}

// Bytes ------------------------------------------------------------------------------------------------------------

const uint8_t *xv_unpickle_take(XvUnpickler *unpickler, uint64_t count)
{
    if (count > unpickler->length - unpickler->at) {
        xv_unpickle_fail(unpickler, "%" PRIu64 " bytes are announced, %zu are left; is the file complete?",
                         count, unpickler->length - unpickler->at);
        return NULL;
    }
    const uint8_t *bytes = unpickler->bytes + unpickler->at;
    unpickler->at += (size_t)count;
    return bytes;
}

bool xv_unpickle_unsigned(XvUnpickler *unpickler, int width, uint64_t *out)
{
    const uint8_t *bytes = xv_unpickle_take(unpickler, (uint64_t)width);
    *out = 0;
    for (int i = width - 1; bytes && i >= 0; i--) {
        *out = *out << 8 | bytes[i];
    }
    return bytes != NULL;
}

const uint8_t *xv_unpickle_line(XvUnpickler *unpickler, size_t *length)
{
    const uint8_t *line = unpickler->bytes + unpickler->at;
    const uint8_t *end = memchr(line, '\n', unpickler->length - unpickler->at);
    if (!end) {
        xv_unpickle_fail(unpickler, "a line without an end; is the file complete?");
        return NULL;
    }
    *length = (size_t)(end - line);
    unpickler->at += *length + 1;
    return line;
}

// A line that must be short: numbers and names.
bool xv_unpickle_word(XvUnpickler *unpickler, char *out, size_t size)
{
    size_t length = 0;
    const uint8_t *line = xv_unpickle_line(unpickler, &length);
    if (!line) {
        return false;
    }
    if (length >= size || memchr(line, 0, length)) {
        return xv_unpickle_fail(unpickler, "a number or name of %zu characters", length);
    }
    memcpy(out, line, length);
    out[length] = 0;
    return true;
}

// Containers -------------------------------------------------------------------------------------------------------

static bool op_empty_tuple(XvUnpickler *unpickler)
{
    return xv_unpickle_push(unpickler, xv_unpickle_value(unpickler, XV_PICKLE_TUPLE));
}

static bool op_empty_list(XvUnpickler *unpickler)
{
    return xv_unpickle_push(unpickler, xv_unpickle_value(unpickler, XV_PICKLE_LIST));
}

static bool op_empty_dict(XvUnpickler *unpickler)
{
    return xv_unpickle_push(unpickler, xv_unpickle_value(unpickler, XV_PICKLE_DICT));
}

static bool op_empty_set(XvUnpickler *unpickler)
{
    return xv_unpickle_push(unpickler, xv_unpickle_value(unpickler, XV_PICKLE_SET));
}

// Replaces the last values of the stack, from `first` on, by a container of them.
static bool gather(XvUnpickler *unpickler, XvPickleKind kind, size_t first)
{
    XvPickle *container = xv_unpickle_value(unpickler, kind);
    size_t count = unpickler->n_stack - first;
    if (kind == XV_PICKLE_DICT && count % 2 != 0) {
        return xv_unpickle_fail(unpickler, "a key without a value");
    }
    // An empty group may come before the stack has any memory.
    if (!container ||
        (count > 0 && !xv_unpickle_append(unpickler, container, unpickler->stack + first, count))) {
        return false;
    }
    unpickler->n_stack = first;
    return xv_unpickle_push(unpickler, container);
}

static bool gather_group(XvUnpickler *unpickler, XvPickleKind kind)
{
    size_t first = 0;
    return end_group(unpickler, &first) && gather(unpickler, kind, first);
}

static bool op_tuple(XvUnpickler *unpickler)
{
    return gather_group(unpickler, XV_PICKLE_TUPLE);
}

static bool op_list(XvUnpickler *unpickler)
{
    return gather_group(unpickler, XV_PICKLE_LIST);
}

static bool op_dict(XvUnpickler *unpickler)
{
    return gather_group(unpickler, XV_PICKLE_DICT);
}

static bool op_frozen_set(XvUnpickler *unpickler)
{
    return gather_group(unpickler, XV_PICKLE_SET);
}

static bool op_tuple1(XvUnpickler *unpickler)
{
    return needs(unpickler, 1) && gather(unpickler, XV_PICKLE_TUPLE, unpickler->n_stack - 1);
}

static bool op_tuple2(XvUnpickler *unpickler)
{
    return needs(unpickler, 2) && gather(unpickler, XV_PICKLE_TUPLE, unpickler->n_stack - 2);
}

static bool op_tuple3(XvUnpickler *unpickler)
{
    return needs(unpickler, 3) && gather(unpickler, XV_PICKLE_TUPLE, unpickler->n_stack - 3);
}

// Adds the last values of the stack, from `first` on, to the container below them.
static bool add_items(XvUnpickler *unpickler, XvPickleKind kind, size_t first)
{
    size_t floor = floor_of_stack(unpickler);
    if (first <= floor || unpickler->stack[first - 1]->kind != kind) {
        return xv_unpickle_fail(unpickler, "items without %s to put them in", xv_pickle_kind_name(kind));
    }
    size_t count = unpickler->n_stack - first;
    if (kind == XV_PICKLE_DICT && count % 2 != 0) {
        return xv_unpickle_fail(unpickler, "a key without a value");
    }
    XvPickle *container = unpickler->stack[first - 1];
    unpickler->n_stack = first;
    return xv_unpickle_append(unpickler, container, unpickler->stack + first, count);
}

static bool op_append(XvUnpickler *unpickler)
{
    return needs(unpickler, 2) && add_items(unpickler, XV_PICKLE_LIST, unpickler->n_stack - 1);
}

static bool op_set_item(XvUnpickler *unpickler)
{
    return needs(unpickler, 3) && add_items(unpickler, XV_PICKLE_DICT, unpickler->n_stack - 2);
}

static bool add_group(XvUnpickler *unpickler, XvPickleKind kind)
{
    size_t first = 0;
    return end_group(unpickler, &first) && add_items(unpickler, kind, first);
}

static bool op_appends(XvUnpickler *unpickler)
{
    return add_group(unpickler, XV_PICKLE_LIST);
}

static bool op_set_items(XvUnpickler *unpickler)
{
    return add_group(unpickler, XV_PICKLE_DICT);
}

static bool op_add_items(XvUnpickler *unpickler)
{
    return add_group(unpickler, XV_PICKLE_SET);
}

// Stack and memo ---------------------------------------------------------------------------------------------------

static bool op_mark(XvUnpickler *unpickler)
{
    if (!grow(unpickler, (void **)&unpickler->marks, &unpickler->marks_capacity, unpickler->n_marks + 1)) {
        return false;
    }
    unpickler->marks[unpickler->n_marks++] = unpickler->n_stack;
    return true;
}

static bool op_pop(XvUnpickler *unpickler)
{
    if (unpickler->n_stack == floor_of_stack(unpickler) && unpickler->n_marks > 0) {
        unpickler->n_marks--;  // Python lets POP take a mark
        return true;
    }
    if (!needs(unpickler, 1)) {
        return false;
    }
    unpickler->n_stack--;
    return true;
}

static bool op_pop_mark(XvUnpickler *unpickler)
{
    return end_group(unpickler, &unpickler->n_stack);
}

static bool op_duplicate(XvUnpickler *unpickler)
{
    return needs(unpickler, 1) && xv_unpickle_push(unpickler, top(unpickler, 0));
}

static bool remember(XvUnpickler *unpickler, uint64_t index)
{
    if (!needs(unpickler, 1)) {
        return false;
    }
    if (index > unpickler->length) {  // every entry takes a byte at least, so no honest index is larger
        return xv_unpickle_fail(unpickler, "memo entry %" PRIu64 " in a pickle of %zu bytes", index,
                                unpickler->length);
    }
    if (!grow(unpickler, (void **)&unpickler->memo, &unpickler->memo_capacity, (size_t)index + 1)) {
        return false;
    }
    unpickler->n_memo += !unpickler->memo[index];
    unpickler->memo[index] = top(unpickler, 0);
    return true;
}

static bool recall(XvUnpickler *unpickler, uint64_t index)
{
    if (index >= unpickler->memo_capacity || !unpickler->memo[index]) {
        return xv_unpickle_fail(unpickler, "memo entry %" PRIu64 " was never stored", index);
    }
    return xv_unpickle_push(unpickler, unpickler->memo[index]);
}

static bool op_memoize(XvUnpickler *unpickler)
{
    return remember(unpickler, unpickler->n_memo);
}

static bool op_put1(XvUnpickler *unpickler)
{
    uint64_t index;
    return xv_unpickle_unsigned(unpickler, 1, &index) && remember(unpickler, index);
}

static bool op_put4(XvUnpickler *unpickler)
{
    uint64_t index;
    return xv_unpickle_unsigned(unpickler, 4, &index) && remember(unpickler, index);
}

static bool op_get1(XvUnpickler *unpickler)
{
    uint64_t index;
    return xv_unpickle_unsigned(unpickler, 1, &index) && recall(unpickler, index);
}

static bool op_get4(XvUnpickler *unpickler)
{
    uint64_t index;
    return xv_unpickle_unsigned(unpickler, 4, &index) && recall(unpickler, index);
}

static bool index_line(XvUnpickler *unpickler, uint64_t *index)
{
    char word[XV_UNPICKLE_NUMBER];
    if (!xv_unpickle_word(unpickler, word, sizeof word)) {
        return false;
    }
    char *end = NULL;
    errno = 0;
    *index = strtoull(word, &end, 10);
    return (end != word && !*end && !errno && word[0] != '-') ||
           xv_unpickle_fail(unpickler, "\"%s\" is no index", word);
}

static bool op_put_line(XvUnpickler *unpickler)
{
    uint64_t index;
    return index_line(unpickler, &index) && remember(unpickler, index);
}

static bool op_get_line(XvUnpickler *unpickler)
{
    uint64_t index;
    return index_line(unpickler, &index) && recall(unpickler, index);
}

// Names and calls --------------------------------------------------------------------------------------------------

enum { MOST_NAME = 200 };

static bool op_global(XvUnpickler *unpickler)
{
    char module[MOST_NAME], name[MOST_NAME];
    return xv_unpickle_word(unpickler, module, sizeof module) &&
           xv_unpickle_word(unpickler, name, sizeof name) &&
           xv_unpickle_push(unpickler, xv_unpickle_name(unpickler, module, name));
}

static bool op_stack_global(XvUnpickler *unpickler)
{
    if (!needs(unpickler, 2)) {
        return false;
    }
    const char *module = xv_pickle_text(top(unpickler, 1)), *name = xv_pickle_text(top(unpickler, 0));
    if (!module || !name) {
        return xv_unpickle_fail(unpickler, "a name that is not text");
    }
    unpickler->n_stack -= 2;
    return xv_unpickle_push(unpickler, xv_unpickle_name(unpickler, module, name));
}

// A class and its arguments in one: old pickles of objects.
static bool op_instance(XvUnpickler *unpickler)
{
    char module[MOST_NAME], name[MOST_NAME];
    return xv_unpickle_word(unpickler, module, sizeof module) &&
           xv_unpickle_word(unpickler, name, sizeof name) &&
           xv_unpickle_fail(unpickler, "builds an object of %s.%s, which no data file may; nothing was run",
                            module, name);
}

static bool op_reduce(XvUnpickler *unpickler)
{
    if (!needs(unpickler, 2)) {
        return false;
    }
    XvPickle *callable = top(unpickler, 1), *arguments = top(unpickler, 0);
    unpickler->n_stack -= 2;
    return xv_unpickle_push(unpickler, xv_unpickle_call(unpickler, callable, arguments));
}

static bool op_build(XvUnpickler *unpickler)
{
    if (!needs(unpickler, 2)) {
        return false;
    }
    unpickler->n_stack--;
    return xv_unpickle_build(unpickler, top(unpickler, 0), unpickler->stack[unpickler->n_stack]);
}

static bool op_persistent(XvUnpickler *unpickler)
{
    if (!needs(unpickler, 1)) {
        return false;
    }
    unpickler->n_stack--;
    return xv_unpickle_push(unpickler,
                            xv_unpickle_persistent(unpickler, unpickler->stack[unpickler->n_stack]));
}

static bool op_refused(XvUnpickler *unpickler)
{
    return xv_unpickle_fail(unpickler,
                            "the operation 0x%02x builds objects or reads from elsewhere; nothing was run",
                            unpickler->bytes[unpickler->operation_at]);
}

static bool op_protocol(XvUnpickler *unpickler)
{
    uint64_t protocol;
    return xv_unpickle_unsigned(unpickler, 1, &protocol) &&
           (protocol <= LATEST_PROTOCOL ||
            xv_unpickle_fail(unpickler, "protocol %" PRIu64 "; 0 to %d are known", protocol,
                             LATEST_PROTOCOL));
}

// A frame only says how much may be read ahead.
static bool op_frame(XvUnpickler *unpickler)
{
    uint64_t length;
    return xv_unpickle_unsigned(unpickler, 8, &length);
}

static bool op_stop(XvUnpickler *unpickler)
{
    unpickler->is_stopped = true;
    return needs(unpickler, 1);
}

static bool (*const OPERATIONS[256])(XvUnpickler *) = {
    ['('] = op_mark,
    ['.'] = op_stop,
    ['0'] = op_pop,
    ['1'] = op_pop_mark,
    ['2'] = op_duplicate,
    ['F'] = xv_op_float_line,
    ['I'] = xv_op_int_line,
    ['J'] = xv_op_int4,
    ['K'] = xv_op_int1,
    ['L'] = xv_op_int_line,
    ['M'] = xv_op_int2,
    ['N'] = xv_op_none,
    ['P'] = op_refused,
    ['Q'] = op_persistent,
    ['R'] = op_reduce,
    ['S'] = xv_op_string_line,
    ['T'] = xv_op_bytes4,
    ['U'] = xv_op_bytes1,
    ['V'] = xv_op_unicode_line,
    ['X'] = xv_op_text4,
    ['a'] = op_append,
    ['b'] = op_build,
    ['c'] = op_global,
    ['d'] = op_dict,
    ['}'] = op_empty_dict,
    ['e'] = op_appends,
    ['g'] = op_get_line,
    ['h'] = op_get1,
    ['i'] = op_instance,
    ['j'] = op_get4,
    ['l'] = op_list,
    [']'] = op_empty_list,
    ['o'] = op_refused,
    ['p'] = op_put_line,
    ['q'] = op_put1,
    ['r'] = op_put4,
    ['s'] = op_set_item,
    ['t'] = op_tuple,
    [')'] = op_empty_tuple,
    ['u'] = op_set_items,
    ['G'] = xv_op_float,
    [0x80] = op_protocol,
    [0x81] = op_reduce,
    [0x82] = op_refused,
    [0x83] = op_refused,
    [0x84] = op_refused,
    [0x85] = op_tuple1,
    [0x86] = op_tuple2,
    [0x87] = op_tuple3,
    [0x88] = xv_op_true,
    [0x89] = xv_op_false,
    [0x8a] = xv_op_long1,
    [0x8b] = xv_op_long4,
    ['B'] = xv_op_bytes4,
    ['C'] = xv_op_bytes1,
    [0x8c] = xv_op_text1,
    [0x8d] = xv_op_text8,
    [0x8e] = xv_op_bytes8,
    [0x8f] = op_empty_set,
    [0x90] = op_add_items,
    [0x91] = op_frozen_set,
    [0x92] = op_refused,
    [0x93] = op_stack_global,
    [0x94] = op_memoize,
    [0x95] = op_frame,
    [0x96] = xv_op_bytes8,
    [0x97] = op_refused,
    [0x98] = op_refused,
};

static bool run(XvUnpickler *unpickler)
{
    while (!unpickler->is_stopped) {
        unpickler->operation_at = unpickler->at;
        if (unpickler->at >= unpickler->length) {
            return xv_unpickle_fail(unpickler, "the pickle ends before its STOP; is the file complete?");
        }
        uint8_t operation = unpickler->bytes[unpickler->at++];
        if (!OPERATIONS[operation]) {
            return xv_unpickle_fail(unpickler, "0x%02x is no operation of a pickle; not a pickle?",
                                    operation);
        }
        if (!OPERATIONS[operation](unpickler)) {
            return false;
        }
    }
    return true;
}

bool xv_pickle_read(XvPickleTree *tree, const void *bytes, size_t length, XvPickleUse use, XvError *error)
{
    *tree = (XvPickleTree){0};
    XvUnpickler unpickler = {.bytes = bytes, .length = length, .use = use, .error = error};
    bool is_read = run(&unpickler);
    XvPickle *root = is_read ? top(&unpickler, 0) : NULL;
    is_read = is_read && xv_pickle_check(root, use, error);
    free(unpickler.stack);
    free(unpickler.marks);
    free(unpickler.memo);
    if (!is_read) {
        xv_pickle_free_memory(unpickler.memory);
        return false;
    }
    *tree = (XvPickleTree){
        .root = root, .storages = unpickler.storages, .end = unpickler.at, .memory = unpickler.memory};
    return true;
}
