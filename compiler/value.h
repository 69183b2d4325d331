// Values of the language while a program is elaborated: numbers, text, lists, modules, functions and tensors. Tensors
// are nodes of the graph being built; everything else exists at compile time only.
#pragma once

#include "compiler/base/map.h"
#include "compiler/graph.h"

typedef enum ValueKind {
    VALUE_ERROR,  // something was reported; further use stays quiet
    VALUE_NONE,
    VALUE_INT,
    VALUE_FLOAT,
    VALUE_BOOL,
    VALUE_STRING,
    VALUE_LIST,       // also tuples
    VALUE_GROUP,      // a configuration group: names to values
    VALUE_TENSOR,     // node of the current graph
    VALUE_PARAMETER,  // parameter of the model; becomes a tensor when computed with
    VALUE_BUFFER,     // declared constant entry of the state dict; has no value of its own
    VALUE_CLASS,      // module declaration
    VALUE_INSTANCE,   // instantiated module
    VALUE_ARRAY,      // array of instances by index (layer[i])
    VALUE_FUNCTION,   // declared function, with the instance it belongs to if any
    VALUE_BUILTIN,    // function of the language
} ValueKind;

typedef struct Value Value;

typedef struct ValueList {
    Value *items;
    int n_items, capacity;
} ValueList;

struct Value {
    ValueKind kind;
    Span span;  // where it was made, for messages
    union {
        int64_t integer;
        double number;
        bool truth;
        const char *text;
        ValueList *list;  // LIST, ARRAY
        Map *group;       // Sym -> Value *
        NodeId node;
        int parameter;
        const struct ClassValue *class;
        struct Instance *instance;
        const struct FunctionValue *function;
        const struct Builtin *builtin;
    };
};

// "int", "a list", "a tensor [4, 12]" for messages.
const char *value_kind_name(ValueKind kind);

Value value_none(Span span);
Value value_error(void);
Value value_int(int64_t integer, Span span);
Value value_float(double number, Span span);
Value value_bool(bool truth, Span span);
Value value_string(const char *text, Span span);
Value value_list(Arena *arena, Span span);
Value value_tensor(NodeId node, Span span);
void value_append(Arena *arena, Value *list, Value item);
bool value_is_number(const Value *value);
double value_number(const Value *value);  // of an INT or FLOAT
