// The interpreter of programs; see program_eval.h. One double per byte of the arena: an element is the cell of its
// first byte. Rows run backwards and lanes run backwards, because nothing may depend on their order.
#include "tests/unit/program_eval.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

typedef struct Run {
    Arena *arena;
    const Program *program;
    const EvalData *data;
    double *memory;      // one per byte
    double **gradients;  // per parameter
} Run;

typedef struct Memory {
    double *first;
    int64_t step;   // cells per element
    int64_t count;  // elements
} Memory;

static NodeId root_of(const Program *program, NodeId node)
{
    while (program->storage[node].same_as != NO_NODE) {
        node = program->storage[node].same_as;
    }
    return node;
}

static Memory memory_of(const Run *run, NodeId node)
{
    const Program *program = run->program;
    NodeId root = root_of(program, node);
    const Storage *storage = &program->storage[root];
    const Node *of = &program->graph->nodes[node];
    Memory memory = {.step = dtype_bytes(of->dtype), .count = shape_count(&of->shape)};
    assert_true(storage->is_stored);
    if (storage->region == REGION_ARENA) {
        assert_true(storage->offset % 64 == 0 &&
                    storage->offset + memory.count * memory.step <= program->arena_bytes);
        memory.first = run->memory + storage->offset;
        return memory;
    }
    memory.step = 1;
    memory.first = storage->region != REGION_GRADIENT
                       ? (double *)(uintptr_t)run->data->parameters[storage->parameter]
                       : run->gradients[storage->parameter];
    return memory;
}

static double *cell(const Memory *memory, int64_t index)
{
    if (index < 0 || index >= memory->count) {
        fail_msg("index %lld outside of 0..%lld", (long long)index, (long long)memory->count - 1);
    }
    return memory->first + index * memory->step;
}

// Kernels -----------------------------------------------------------------------------------------------------------

typedef struct Point {
    const Run *run;
    const Kernel *kernel;
    const Memory *buffers;
    int64_t row[MAX_RANK], reduce[MAX_RANK];
    int64_t lane;
    double *ids;       // [id][lane]
    double *bests;     // of ARGMAX
    double **columns;  // per statement of a column sum, in order of appearance
} Point;

static double scalar_value(const Point *at, const ScalarExpr *expr);

static int64_t index_value_at(const Point *at, const IndexExpr *index)
{
    switch (index->kind) {
    case INDEX_CONST: return index->value;
    case INDEX_ROW:
        assert_true(index->variable < at->kernel->n_row_dims &&
                    index->high == at->kernel->row_dims[index->variable] - 1);
        return at->row[index->variable];
    case INDEX_REDUCE: return at->reduce[index->variable];
    case INDEX_LANE: assert_true(at->lane >= 0); return at->lane;
    case INDEX_ADD: return index_value_at(at, index->a) + index_value_at(at, index->b);
    case INDEX_MUL: return index_value_at(at, index->a) * index->value;
    case INDEX_DIV: return index_value_at(at, index->a) / index->value;
    case INDEX_MOD: return index_value_at(at, index->a) % index->value;
    case INDEX_VALUE: return (int64_t)scalar_value(at, index->scalar);
    }
    return 0;
}

static double gelu(double x)
{
    return 0.5 * x * (1 + erf(x / sqrt(2.0)));
}

static double gelu_slope(double x)
{
    return 0.5 * (1 + erf(x / sqrt(2.0))) + x * exp(-0.5 * x * x) / sqrt(2 * 3.14159265358979323846);
}

static double cast(double x, Dtype dtype)
{
    return dtype == DTYPE_BOOL ? x != 0 : dtype == DTYPE_I32 ? trunc(x) : eval_rounded(x, dtype);
}

static double operation(const ScalarExpr *expr, const double *x)
{
    switch (expr->op) {
    case OP_NEG: return -x[0];
    case OP_EXP: return exp(x[0]);
    case OP_LOG: return log(x[0]);
    case OP_SQRT: return sqrt(x[0]);
    case OP_RSQRT: return 1 / sqrt(x[0]);
    case OP_ABS: return fabs(x[0]);
    case OP_SIGN: return (x[0] > 0) - (x[0] < 0);
    case OP_TANH: return tanh(x[0]);
    case OP_ERF: return erf(x[0]);
    case OP_SIGMOID: return 1 / (1 + exp(-x[0]));
    case OP_GELU: return gelu(x[0]);
    case OP_GELU_GRAD: return gelu_slope(x[0]);
    case OP_NOT: return x[0] == 0;
    case OP_CAST: return cast(x[0], expr->dtype);
    case OP_ADD: return x[0] + x[1];
    case OP_SUB: return x[0] - x[1];
    case OP_MUL: return x[0] * x[1];
    case OP_DIV: return x[0] / x[1];
    case OP_MAX: return x[0] >= x[1] ? x[0] : x[1];
    case OP_MIN: return x[0] <= x[1] ? x[0] : x[1];
    case OP_POW: return pow(x[0], x[1]);
    case OP_IDIV: return floor(x[0] / x[1]);
    case OP_MOD: return x[0] - x[1] * floor(x[0] / x[1]);
    case OP_LT: return x[0] < x[1];
    case OP_LE: return x[0] <= x[1];
    case OP_EQ: return x[0] == x[1];
    case OP_NE: return x[0] != x[1];
    case OP_AND: return x[0] != 0 && x[1] != 0;
    case OP_OR: return x[0] != 0 || x[1] != 0;
    case OP_WHERE: return x[0] != 0 ? x[1] : x[2];
    default: fail_msg("op %s in a kernel", op_info(expr->op)->name);
    }
    return 0;
}

static bool holds(const Point *at, const Guard *guard)
{
    for (; guard; guard = guard->next) {
        int64_t index = index_value_at(at, guard->index);
        if (index < guard->low || index >= guard->high) {
            return false;
        }
    }
    return true;
}

static double *id_cell(const Point *at, int id, bool is_per_lane)
{
    return &at->ids[(int64_t)id * at->kernel->lanes + (is_per_lane ? at->lane : 0)];
}

// How an id is kept: an accumulator per row and a value per row are in the first lane's cell.
static bool is_per_lane(const Kernel *kernel, int id)
{
    for (int s = 0; s < kernel->n_stages; s++) {
        for (int i = 0; i < kernel->stages[s].n_statements; i++) {
            const Statement *statement = &kernel->stages[s].statements[i];
            bool is_id = statement->kind == STATEMENT_LET || statement->kind == STATEMENT_ACCUMULATE ||
                         statement->kind == STATEMENT_LANE_ACCUMULATE;
            if (is_id && statement->id == id) {
                return statement->kind == STATEMENT_LANE_ACCUMULATE ||
                       (statement->kind == STATEMENT_LET && kernel->stages[s].kind == STAGE_LANES);
            }
        }
    }
    fail_msg("id %d is used but never set", id);
    return false;
}

static double scalar_value(const Point *at, const ScalarExpr *expr)
{
    double args[3] = {0, 0, 0};
    switch (expr->kind) {
    case SCALAR_CONST: return expr->number;
    case SCALAR_INDEX: return (double)index_value_at(at, expr->index);
    case SCALAR_LOAD:
        // Copies of parameters are the parameters here: rounded when they are read.
        return holds(at, expr->guard)
                   ? eval_rounded(*cell(&at->buffers[expr->buffer], index_value_at(at, expr->index)),
                                  expr->dtype)
                   : expr->number;
    case SCALAR_OP:
        for (int i = 0; i < expr->n_args; i++) {
            args[i] = scalar_value(at, expr->args[i]);
        }
        return operation(expr, args);
    case SCALAR_LET:
    case SCALAR_ACC: return *id_cell(at, expr->let, is_per_lane(at->kernel, expr->let));
    case SCALAR_KEEP: return at->run->data->draws[expr->draw][index_value_at(at, expr->index)];
    }
    return 0;
}

static void accumulate(Point *at, const Statement *statement, double *sum, double value)
{
    if (statement->op == OP_SUM) {
        *sum += value;
    } else if (statement->op == OP_REDUCE_MAX) {
        *sum = value > *sum ? value : *sum;
    } else {
        double *best = &at->bests[statement->id];
        bool wins = value > *best || (value == *best && (double)at->lane < *sum);
        *sum = wins ? (double)at->lane : *sum;
        *best = wins ? value : *best;
    }
}

static void run_statement(Point *at, const Stage *stage, const Statement *statement, int *column)
{
    double value = scalar_value(at, statement->value);
    switch (statement->kind) {
    case STATEMENT_LET: *id_cell(at, statement->id, stage->kind == STAGE_LANES) = value; break;
    case STATEMENT_ACCUMULATE: accumulate(at, statement, id_cell(at, statement->id, false), value); break;
    case STATEMENT_LANE_ACCUMULATE: accumulate(at, statement, id_cell(at, statement->id, true), value); break;
    case STATEMENT_COLUMN_ACCUMULATE:
        assert_int_equal(index_value_at(at, statement->index), at->lane);
        at->columns[(*column)++][at->lane] += value;
        break;
    case STATEMENT_STORE:
        assert_true(isnan(value) || value == eval_rounded(value, statement->value->dtype));
        *cell(&at->buffers[statement->buffer], index_value_at(at, statement->index)) = value;
        break;
    }
}

static void run_stage(Point *at, const Stage *stage, int first_column)
{
    bool is_lanes = stage->kind == STAGE_LANES;
    for (int64_t lane = is_lanes ? at->kernel->lanes - 1 : -1; lane >= (is_lanes ? 0 : -1); lane--) {
        int column = first_column;
        at->lane = lane;
        for (int i = 0; i < stage->n_statements; i++) {
            run_statement(at, stage, &stage->statements[i], &column);
        }
    }
}

static void start_accumulators(Point *at, const Stage *stage)
{
    for (int i = 0; i < stage->n_statements; i++) {
        const Statement *statement = &stage->statements[i];
        if (statement->kind == STATEMENT_ACCUMULATE || statement->kind == STATEMENT_LANE_ACCUMULATE) {
            for (int64_t lane = 0; lane < at->kernel->lanes; lane++) {
                at->ids[(int64_t)statement->id * at->kernel->lanes + lane] =
                    statement->op == OP_REDUCE_MAX ? -INFINITY : 0;
            }
            at->bests[statement->id] = -INFINITY;
        }
    }
}

static int columns_of(const Stage *stage)
{
    int n_columns = 0;
    for (int i = 0; i < stage->n_statements; i++) {
        n_columns += stage->statements[i].kind == STATEMENT_COLUMN_ACCUMULATE;
    }
    return n_columns;
}

static int64_t product(const int64_t *dims, int n)
{
    int64_t result = 1;
    for (int i = 0; i < n; i++) {
        result *= dims[i];
    }
    return result;
}

static void coordinates(const int64_t *dims, int n, int64_t flat, int64_t *at)
{
    for (int i = n - 1; i >= 0; i--) {
        at[i] = flat % dims[i];
        flat /= dims[i];
    }
}

static void run_row(Point *at)
{
    const Kernel *kernel = at->kernel;
    int column = 0;
    for (int64_t i = 0; i < (int64_t)kernel->n_ids * kernel->lanes; i++) {
        at->ids[i] = NAN;
    }
    for (int s = 0; s < kernel->n_stages;) {
        int end = s + 1;
        start_accumulators(at, &kernel->stages[s]);
        if (!kernel->stages[s].in_reduce) {
            run_stage(at, &kernel->stages[s], column);
            column += columns_of(&kernel->stages[s]);
            s = end;
            continue;
        }
        while (end < kernel->n_stages && kernel->stages[end].in_reduce) {
            start_accumulators(at, &kernel->stages[end++]);
        }
        for (int64_t k = 0; k < product(kernel->reduce_dims, kernel->n_reduce_dims); k++) {
            coordinates(kernel->reduce_dims, kernel->n_reduce_dims, k, at->reduce);
            for (int i = s; i < end; i++) {
                run_stage(at, &kernel->stages[i], column);
            }
        }
        s = end;
    }
}

// Writes the column sums when all rows are done.
static void finish_columns(Point *at)
{
    const Kernel *kernel = at->kernel;
    int column = 0;
    for (int s = 0; s < kernel->n_stages; s++) {
        for (int i = 0; i < kernel->stages[s].n_statements; i++) {
            const Statement *statement = &kernel->stages[s].statements[i];
            for (int64_t lane = 0; statement->kind == STATEMENT_COLUMN_ACCUMULATE && lane < kernel->lanes;
                 lane++) {
                *cell(&at->buffers[statement->buffer], lane) = at->columns[column][lane];
            }
            column += statement->kind == STATEMENT_COLUMN_ACCUMULATE;
        }
    }
}

static void run_kernel(const Run *run, const Kernel *kernel)
{
    Arena *arena = run->arena;
    Memory *buffers = arena_alloc(arena, ((size_t)kernel->n_buffers + 1) * sizeof *buffers);
    for (int i = 0; i < kernel->n_buffers; i++) {
        buffers[i] = memory_of(run, kernel->buffers[i].node);
        assert_true(shape_equal(&kernel->buffers[i].shape,
                                &run->program->graph->nodes[kernel->buffers[i].node].shape));
    }
    Point at = {.run = run, .kernel = kernel, .buffers = buffers};
    at.ids = arena_alloc(arena, ((size_t)kernel->n_ids + 1) * (size_t)kernel->lanes * sizeof *at.ids);
    at.bests = arena_alloc(arena, ((size_t)kernel->n_ids + 1) * sizeof *at.bests);
    int n_columns = 0;
    for (int s = 0; s < kernel->n_stages; s++) {
        n_columns += columns_of(&kernel->stages[s]);
    }
    assert_true((n_columns > 0) == (kernel->row_chunks > 0));
    at.columns = arena_alloc(arena, ((size_t)n_columns + 1) * sizeof *at.columns);
    for (int i = 0; i < n_columns; i++) {
        at.columns[i] = arena_alloc(arena, (size_t)kernel->lanes * sizeof **at.columns);
    }
    for (int64_t row = product(kernel->row_dims, kernel->n_row_dims) - 1; row >= 0; row--) {
        coordinates(kernel->row_dims, kernel->n_row_dims, row, at.row);
        run_row(&at);
    }
    finish_columns(&at);
}

// Library steps -------------------------------------------------------------------------------------------------------

static int64_t view_position(const View *view, int64_t flat)
{
    int64_t at[MAX_RANK];
    coordinates(view->dim, view->rank, flat, at);
    int64_t position = view->offset;
    for (int i = 0; i < view->rank; i++) {
        position += at[i] * view->stride[i];
    }
    return position;
}

static double *gather(const Run *run, const View *view)
{
    Memory memory = memory_of(run, view->node);
    int64_t count = product(view->dim, view->rank);
    double *values = arena_alloc(run->arena, ((size_t)count + 1) * sizeof *values);
    Dtype dtype = run->program->graph->nodes[view->node].dtype;
    for (int64_t i = 0; i < count; i++) {
        values[i] = eval_rounded(*cell(&memory, view_position(view, i)), dtype);
    }
    return values;
}

static void scatter(const Run *run, const View *view, const double *values, bool accumulates)
{
    Memory memory = memory_of(run, view->node);
    for (int64_t i = 0; i < product(view->dim, view->rank); i++) {
        double *to = cell(&memory, view_position(view, i));
        *to = accumulates ? *to + values[i] : values[i];
    }
}

// What a step may assume of its views (program.h).
static void check_views(const Step *step)
{
    for (int i = 0; i < step->n_reads + step->n_writes; i++) {
        const View *view = i < step->n_reads ? &step->reads[i] : &step->writes[i - step->n_reads];
        int last = view->rank - 1;
        bool is_vector = (i == 2 && step->n_reads == 3) || i > step->n_reads;
        if (step->kind == STEP_MATMUL && is_vector) {
            assert_int_equal(view->stride[last], 1);
        } else if (step->kind == STEP_MATMUL) {
            bool is_row_major = view->dim[2] == 1 || view->stride[2] == 1;
            assert_int_equal(view->rank, 3);
            assert_true(is_row_major || ((view->dim[1] == 1 || view->stride[1] == 1) && i < step->n_reads));
        } else if (step->kind == STEP_SCATTER_ADD || step->kind == STEP_SAMPLE || step->kind == STEP_TOP_K) {
            int64_t stride = 1;
            bool is_dense = step->kind != STEP_SCATTER_ADD || i != 1 || view->rank == 1;
            for (int j = last; is_dense && j >= 0; j--) {
                assert_true(view->dim[j] == 1 || view->stride[j] == stride);
                stride *= view->dim[j];
            }
        }
    }
}

// a b, and the vector that is added to its rows.
static NodeId eval_product(Graph *graph, const Step *step, const NodeId *operands, const Origin *origin)
{
    NodeId product = graph_matmul(graph, operands[0], operands[1], NO_NODE, origin);
    if (step->n_reads < 3) {
        return product;
    }
    Shape shape = graph->nodes[product].shape;
    bool is_low = dtype_is_low(graph->nodes[operands[2]].dtype);
    NodeId vector = is_low ? graph_cast(graph, operands[2], DTYPE_F32, origin) : operands[2];
    NodeId bias = graph_expand_to(graph, vector, &shape, origin);
    return graph_binary(graph, OP_ADD, product, bias, origin);
}

// Evaluates the op on dense copies of its operands.
static void run_call(const Run *run, const Step *step)
{
    const Graph *graph = run->program->graph;
    const Node *node = &graph->nodes[step->node];
    Graph *small = graph_new(run->arena, graph);
    GraphInput *inputs = arena_alloc(run->arena, ((size_t)step->n_reads + 1) * sizeof *inputs);
    const double **values = arena_alloc(run->arena, ((size_t)step->n_reads + 1) * sizeof *values);
    NodeId ids[MAX_RANK * 2];
    Origin origin = node_origin(graph, step->node);
    check_views(step);
    for (int i = 0; i < step->n_reads; i++) {
        const View *view = &step->reads[i];
        inputs[i] =
            (GraphInput){"x", graph->nodes[view->node].dtype, shape_of(view->rank, view->dim), origin.span};
        values[i] = gather(run, view);
    }
    small->inputs = inputs;
    small->n_inputs = step->n_reads;
    for (int i = 0; i < step->n_reads; i++) {
        Attr attr = {.index = i};
        ids[i] = graph_add(small, OP_INPUT, inputs[i].dtype, &inputs[i].shape, NULL, 0, &attr, &origin);
    }
    NodeId result = node->op == OP_MATMUL ? eval_product(small, step, ids, &origin)
                                          : graph_add(small, node->op, node->dtype, &node->shape, ids,
                                                      step->n_reads, &node->attr, &origin);
    if (node->op == OP_MATMUL) {
        result = graph_cast(small, result, graph->nodes[step->writes[0].node].dtype, &origin);
    }
    NodeId results[MAX_RANK] = {result};
    int index = 1;
    if (node->op == OP_MATMUL && step->n_writes > 1) {
        NodeId rows = graph_cast(small, ids[0], DTYPE_F32, &origin);
        results[1] = graph_reduce(small, OP_SUM, rows, 1u << 2, &origin);
    }
    for (int i = 1; i < step->n_writes && node->op != OP_MATMUL; i++, index++) {
        while (node->op == OP_ATTENTION_GRAD && index >= 3 && !(node->attr.axes >> (index - 3) & 1)) {
            index++;
        }
        results[i] = graph_result(small, result, index, &origin);
    }
    EvalData data = {values, run->data->parameters, run->data->draws};
    double **nodes = graph_eval(run->arena, small, &data);
    for (int i = 0; i < step->n_writes; i++) {
        assert_int_equal(product(step->writes[i].dim, step->writes[i].rank),
                         shape_count(&small->nodes[results[i]].shape));
        scatter(run, &step->writes[i], nodes[results[i]], step->accumulates);
    }
}

// Memory that dies ----------------------------------------------------------------------------------------------------

static bool is_in_arena(const Storage *storage)
{
    return storage->is_stored && storage->same_as == NO_NODE && storage->region == REGION_ARENA &&
           storage->first_step >= 0;
}

// NaN over everything that was used last in this step and that nothing alive covers.
static void poison(const Run *run, int step)
{
    const Program *program = run->program;
    bool *is_alive = arena_alloc(run->arena, (size_t)program->arena_bytes + 1);
    for (NodeId id = 0; id < program->graph->n_nodes; id++) {
        const Storage *storage = &program->storage[id];
        if (is_in_arena(storage) && storage->first_step <= step && storage->last_step > step) {
            memset(is_alive + storage->offset, 1, (size_t)storage->bytes);
        }
    }
    for (int64_t i = 0; i < program->arena_bytes; i++) {
        run->memory[i] = is_alive[i] ? run->memory[i] : NAN;
    }
}

static void fill_inputs(const Run *run)
{
    const Graph *graph = run->program->graph;
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        const Node *node = &graph->nodes[id];
        if (node->op == OP_INPUT && run->program->storage[id].is_stored) {
            Memory memory = memory_of(run, id);
            for (int64_t i = 0; i < memory.count; i++) {
                *cell(&memory, i) = run->data->inputs[node->attr.index][i];
            }
        }
    }
}

double **program_eval(Arena *arena, const Program *program, const EvalData *data)
{
    const Graph *graph = program->graph;
    Run run = {.arena = arena, .program = program, .data = data};
    run.memory = arena_alloc(arena, ((size_t)program->arena_bytes + 1) * sizeof *run.memory);
    run.gradients = arena_alloc(arena, ((size_t)graph->n_parameters + 1) * sizeof *run.gradients);
    for (int i = 0; i < graph->n_parameters; i++) {
        size_t count = (size_t)shape_count(&graph->parameters[i].shape);
        run.gradients[i] = arena_alloc(arena, count * sizeof(double));
        for (size_t j = 0; j < count; j++) {
            run.gradients[i][j] = NAN;
        }
    }
    for (int64_t i = 0; i < program->arena_bytes; i++) {
        run.memory[i] = NAN;
    }
    fill_inputs(&run);
    for (int i = 0; i < program->n_steps; i++) {
        const Step *step = &program->steps[i];
        if (step->kind == STEP_KERNEL) {
            run_kernel(&run, step->kernel);
        } else {
            run_call(&run, step);
        }
        poison(&run, i);
    }
    double **results = arena_alloc(arena, ((size_t)graph->n_outputs + 1) * sizeof *results);
    for (int i = 0; i < graph->n_outputs; i++) {
        Memory memory = memory_of(&run, graph->outputs[i].node);
        results[i] = arena_alloc(arena, ((size_t)memory.count + 1) * sizeof **results);
        for (int64_t j = 0; j < memory.count; j++) {
            results[i][j] = *cell(&memory, j);
        }
    }
    return results;
}
