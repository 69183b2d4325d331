// Constructors of compile-time values; see value.h.
#include "compiler/value.h"

#include "compiler/base/vec.h"

const char *value_kind_name(ValueKind kind)
{
    static const char *const names[] = {
        [VALUE_ERROR] = "nothing",
        [VALUE_NONE] = "none",
        [VALUE_INT] = "an integer",
        [VALUE_FLOAT] = "a number",
        [VALUE_BOOL] = "true or false",
        [VALUE_STRING] = "text",
        [VALUE_LIST] = "a list",
        [VALUE_GROUP] = "a configuration group",
        [VALUE_TENSOR] = "a tensor",
        [VALUE_PARAMETER] = "a parameter",
        [VALUE_BUFFER] = "a buffer",
        [VALUE_CLASS] = "a module",
        [VALUE_INSTANCE] = "a module instance",
        [VALUE_ARRAY] = "an array of modules",
        [VALUE_FUNCTION] = "a function",
        [VALUE_BUILTIN] = "a built-in function",
    };
    return names[kind];
}

Value value_none(Span span)
{
    return (Value){.kind = VALUE_NONE, .span = span};
}

Value value_error(void)
{
    return (Value){.kind = VALUE_ERROR};
}

Value value_int(int64_t integer, Span span)
{
    return (Value){.kind = VALUE_INT, .span = span, .integer = integer};
}

Value value_float(double number, Span span)
{
    return (Value){.kind = VALUE_FLOAT, .span = span, .number = number};
}

Value value_bool(bool truth, Span span)
{
    return (Value){.kind = VALUE_BOOL, .span = span, .truth = truth};
}

Value value_string(const char *text, Span span)
{
    return (Value){.kind = VALUE_STRING, .span = span, .text = text};
}

Value value_list(Arena *arena, Span span)
{
    return (Value){.kind = VALUE_LIST, .span = span, .list = arena_alloc(arena, sizeof(ValueList))};
}

Value value_tensor(NodeId node, Span span)
{
    return (Value){.kind = VALUE_TENSOR, .span = span, .node = node};
}

void value_append(Arena *arena, Value *list, Value item)
{
    ValueList *items = list->list;
    VEC_PUSH(arena, items->items, items->n_items, items->capacity, item);
}

bool value_is_number(const Value *value)
{
    return value->kind == VALUE_INT || value->kind == VALUE_FLOAT;
}

double value_number(const Value *value)
{
    return value->kind == VALUE_INT ? (double)value->integer : value->number;
}
