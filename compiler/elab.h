// State and services shared by the files of the elaborator (elaborate*.c, tensor_*.c, builtins*.c): everything that
// turns a checked reading of the DSL into parameters and tensor graphs. Not used by later stages.
#pragma once

#include "compiler/base/diag.h"
#include "compiler/base/map.h"
#include "compiler/task.h"
#include "compiler/value.h"
#include "dsl/ast.h"

// Names and their values. A function's scope stands in its module instance's, that in the globals.
typedef struct Scope {
    const struct Scope *parent;
    Map *values;  // Sym -> Value *
} Scope;

typedef struct Instance {
    const AstItem *module;
    Sym path;  // "" for the root
    Scope *scope;
    const struct FunctionValue *call;  // unnamed function, or NULL
    bool is_traced;
    Span span;
} Instance;

typedef struct ClassValue {
    const AstItem *module;
} ClassValue;

typedef struct FunctionValue {
    const AstItem *item;
    Instance *instance;  // NULL for functions outside modules
} FunctionValue;

// Marks that an instance hands down to every parameter below it.
typedef struct Marks {
    bool is_fresh, is_frozen;
} Marks;

typedef struct Elab {
    Arena *arena;
    Interner *names;
    Diag *diag;
    // The model under construction.
    Parameter *parameters;
    int n_parameters, parameter_capacity;
    Alias *aliases;
    int n_aliases, alias_capacity;
    Buffer *buffers;
    int n_buffers, buffer_capacity;
    // The graph under construction; NULL outside an entry.
    Graph *graph;
    NodeId *parameter_nodes;  // PARAM node of each parameter in the graph, or NO_NODE
    Draw *draws;
    int n_draws, draw_capacity;
    Map *draw_counts;  // automatic draw names given so far
    Sym draw_name;     // inside `draw name = ...`: the name, else NULL
    // Where new nodes come from.
    Sym path;      // module being called
    Sym variable;  // variable being assigned, or NULL
    int depth;     // of nested calls, against runaway recursion
    // Configuration and globals (elaborate.c).
    Scope *globals;
    int64_t world;             // number of ranks
    const Value *world_value;  // what the name `world` stands for where nothing else is called so
    bool is_world_used;        // something depends on the number of ranks
    Map *traces;               // modules whose output is already recorded: path -> itself; NULL: none is
} Elab;

// Tensor services (tensor_ops.c, tensor_index.c). All report errors at `span` and return an ERROR value.
Origin elab_origin(const Elab *elab, Span span);
// A tensor or parameter as a node of the current graph; numbers do not convert. NO_NODE after a message.
NodeId elab_node(Elab *elab, const Value *value, Span span);
// A number, tensor or parameter as a node of dtype `like` (for numbers) with rank 0 if it was a number.
NodeId elab_operand(Elab *elab, const Value *value, Dtype like, Span span);
Value elab_binary(Elab *elab, Op op, Value a, Value b, Span span);  // elementwise with broadcasting
Value elab_unary(Elab *elab, Op op, Value x, Span span);
Value elab_matmul(Elab *elab, Value a, Value b, Span span);
Value elab_where(Elab *elab, Value condition, Value a, Value b, Span span);
Value elab_transpose(Elab *elab, Value x, Span span);
const char *elab_shape(Elab *elab, NodeId node);                           // "[4, 12]"
void elab_note_operand(Elab *elab, const Value *value, const char *what);  // "note: `what` has shape ..."

// One subscript of x[...]: exactly one of the forms is set.
typedef struct Subscript {
    enum { SUBSCRIPT_INDEX, SUBSCRIPT_SLICE, SUBSCRIPT_NEW_AXIS, SUBSCRIPT_ELLIPSIS } kind;
    Value index;              // INDEX: integer or i32 tensor
    Value start, stop, step;  // SLICE: integer or none
    Span span;
} Subscript;
Value elab_index(Elab *elab, Value base, const Subscript *subscripts, int n_subscripts, Span span);

// Built-in functions (builtins.c).
typedef struct Argument {
    Sym name;  // of `name = value` arguments, else NULL
    Value value;
    Span span;
} Argument;

typedef struct Builtin Builtin;
const Builtin *builtin_find(const char *name);
const char *builtin_name(const Builtin *builtin);
int builtin_names(const char **names, int capacity);  // for "did you mean"
Value builtin_call(Elab *elab, const Builtin *builtin, const Argument *arguments, int n_arguments, Span span);
// A random draw of the given shape, named after the `draw` statement or the module path.
int elab_draw(Elab *elab, DrawKind kind, double rate, const Shape *shape, const char *stem, Span span);

// Configuration (elaborate_config.c): fills the globals with groups and constants; groups as JSON.
struct ElaborateOptions;
// `task` with all its items, or NULL.
void elab_configuration(Elab *elab, const AstFile *files, const AstItem *task,
                        const struct ElaborateOptions *options);
const Value *elab_constant(Elab *elab, const char *path);  // by its path, or NULL
const char *elab_json(Elab *elab, const Map *map);

// Expressions and statements (elaborate_expr.c).
Scope *scope_new(Arena *arena, const Scope *parent);
void scope_set(Scope *scope, Sym name, Value value);
const Value *scope_find(const Scope *scope, Sym name);
Value elab_expr(Elab *elab, Scope *scope, const AstExpr *expr);
bool elab_truth(Elab *elab, Scope *scope, const AstExpr *expr, bool *truth);
// What a loop runs over, `from..to` or the items of `from` (then `to` is NULL), as a list.
bool elab_loop_values(Elab *elab, Scope *scope, const AstExpr *from, const AstExpr *to, Value *over);
// Executes statements; true when one returned, with its value.
bool elab_statements(Elab *elab, Scope *scope, const AstItems *items, Value *returned);
Value elab_call(Elab *elab, const Value *callee, const Argument *arguments, int n_arguments, Span span);
// Shape of a declared type whose dimensions are all known; reports the others.
bool elab_shape_of_type(Elab *elab, Scope *scope, const AstType *type, Shape *shape, Dtype *dtype);
// Members of a module or task into `instance` (modules.c).
void elab_members(Elab *elab, Instance *instance, const AstItems *items, Marks marks);
Instance *elab_instantiate(Elab *elab, const ClassValue *class, const Argument *arguments, int n_arguments,
                           Sym path, Marks marks, Span span);
// Binds arguments to parameters in `scope`; checks types. `what` names the callee in messages.
bool elab_bind(Elab *elab, Scope *scope, const AstParam *params, const Argument *arguments, int n_arguments,
               const char *what, Span span);
// A text in which {name} stands for an integer or a text of the scope; NULL after a message (elaborate_source.c).
Sym elab_filled(Elab *elab, const Scope *scope, const char *text, Span span);
// A `buffer` of a module or task (elaborate_buffer.c); `name` is its full path.
void elab_buffer(Elab *elab, Scope *scope, const AstItem *item, Sym name);
void elab_unknown_name(Elab *elab, const Scope *scope, Sym name, Span span);
