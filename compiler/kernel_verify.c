// Checks of kernels and programs; see kernel_verify.h.
#include "compiler/kernel_verify.h"

#include "compiler/index_expr.h"

#define FAULT(...) arena_format(check->arena, __VA_ARGS__)

typedef enum IdState { ID_UNKNOWN, ID_LET, ID_ROW_SUM, ID_LANE_SUM } IdState;

typedef struct IdUse {
    IdState state;
    int stage;  // that sets it
    bool is_per_lane, is_buffered;
} IdUse;

typedef struct Check {
    Arena *arena;
    const Kernel *kernel;
    IdUse *ids;
    int stage;  // being checked
} Check;

static const char *check_scalar(Check *check, const ScalarExpr *expr);

static const char *check_index(Check *check, const IndexExpr *index)
{
    const Kernel *kernel = check->kernel;
    const Stage *stage = &kernel->stages[check->stage];
    if (!index) {
        return NULL;
    }
    switch (index->kind) {
    case INDEX_ROW:
        if (index->variable >= kernel->n_row_dims || index->high != kernel->row_dims[index->variable] - 1) {
            return FAULT("row coordinate %d is not one of the kernel's", index->variable);
        }
        break;
    case INDEX_REDUCE:
        if (!stage->in_reduce || index->variable >= kernel->n_reduce_dims) {
            return FAULT("reduce coordinate %d outside of its loop", index->variable);
        }
        break;
    case INDEX_LANE:
        if (stage->kind != STAGE_LANES || index->high != kernel->lanes - 1) {
            return FAULT("the lane is used outside of a lane loop of its extent");
        }
        break;
    case INDEX_DIV:
    case INDEX_MOD:
        if (index->a->low < 0 || index->value < 1) {
            return FAULT("division of an index that may be negative");
        }
        break;
    case INDEX_VALUE:
        return index->scalar->dtype == DTYPE_I32 ? check_scalar(check, index->scalar)
                                                 : FAULT("gathered index is not i32");
    default: break;
    }
    const char *fault = check_index(check, index->a);
    return fault ? fault : check_index(check, index->b);
}

static const char *check_id(Check *check, const ScalarExpr *expr)
{
    if (expr->let < 0 || expr->let >= check->kernel->n_ids) {
        return FAULT("id %d of %d", expr->let, check->kernel->n_ids);
    }
    const IdUse *use = &check->ids[expr->let];
    const Stage *stage = &check->kernel->stages[check->stage];
    bool is_lane_stage = stage->kind == STAGE_LANES;
    if (use->state == ID_UNKNOWN || (use->state == ID_LET) != (expr->kind == SCALAR_LET)) {
        return FAULT("id %d is used before it is set", expr->let);
    }
    if (use->state != ID_LET && use->stage >= check->stage) {
        return FAULT("accumulator %d is used before it is complete", expr->let);
    }
    bool is_local = use->is_per_lane && !use->is_buffered;
    if ((is_local && use->stage != check->stage) || (use->is_per_lane && !is_lane_stage)) {
        return FAULT("value %d of one lane is used outside of its lane loop", expr->let);
    }
    return NULL;
}

static const char *check_load(Check *check, const ScalarExpr *expr)
{
    if (expr->buffer < 0 || expr->buffer >= check->kernel->n_buffers) {
        return FAULT("load from buffer %d", expr->buffer);
    }
    const KernelBuffer *buffer = &check->kernel->buffers[expr->buffer];
    bool is_inside = expr->index->low >= 0 && expr->index->high < shape_count(&buffer->shape);
    if (buffer->kind == BUFFER_WRITE || (!is_inside && !expr->guard) || buffer->dtype != expr->dtype) {
        return FAULT("load from buffer %d, which may be outside, of another type, or only written",
                     expr->buffer);
    }
    return NULL;
}

static const char *check_scalar(Check *check, const ScalarExpr *expr)
{
    const char *fault = check_index(check, expr->index);
    for (const Guard *guard = expr->guard; guard && !fault; guard = guard->next) {
        fault = check_index(check, guard->index);
    }
    for (int i = 0; i < expr->n_args && !fault; i++) {
        fault = check_scalar(check, expr->args[i]);
    }
    if (!fault && (expr->kind == SCALAR_LET || expr->kind == SCALAR_ACC)) {
        fault = check_id(check, expr);
    }
    return fault || expr->kind != SCALAR_LOAD ? fault : check_load(check, expr);
}

static const char *set_id(Check *check, const Statement *statement)
{
    const Stage *stage = &check->kernel->stages[check->stage];
    IdUse *use = &check->ids[statement->id];
    if (statement->id < 0 || statement->id >= check->kernel->n_ids || use->state != ID_UNKNOWN) {
        return FAULT("id %d is set twice or out of range", statement->id);
    }
    bool is_let = statement->kind == STATEMENT_LET;
    bool is_lane_sum = statement->kind == STATEMENT_LANE_ACCUMULATE;
    *use = (IdUse){is_let        ? ID_LET
                   : is_lane_sum ? ID_LANE_SUM
                                 : ID_ROW_SUM,
                   check->stage, (is_let && stage->kind == STAGE_LANES) || is_lane_sum,
                   statement->is_buffered || is_lane_sum};
    if (!is_let && stage->kind != STAGE_LANES) {
        return FAULT("accumulator %d outside of a lane loop", statement->id);
    }
    return is_lane_sum && !stage->in_reduce
               ? FAULT("lane accumulator %d outside of the reduce loops", statement->id)
               : NULL;
}

static const char *check_write(Check *check, const Statement *statement)
{
    const Kernel *kernel = check->kernel;
    if (statement->buffer < 0 || statement->buffer >= kernel->n_buffers ||
        kernel->buffers[statement->buffer].kind == BUFFER_READ) {
        return FAULT("store to buffer %d", statement->buffer);
    }
    const KernelBuffer *buffer = &kernel->buffers[statement->buffer];
    if (buffer->dtype != statement->value->dtype) {
        return FAULT("%s stored to buffer %d of %s", dtype_name(statement->value->dtype), statement->buffer,
                     dtype_name(buffer->dtype));
    }
    if (statement->index->low < 0 || statement->index->high >= shape_count(&buffer->shape)) {
        return FAULT("store outside of buffer %d", statement->buffer);
    }
    bool is_column = statement->kind == STATEMENT_COLUMN_ACCUMULATE;
    bool is_lane = kernel->lanes == 1 || statement->index->kind == INDEX_LANE;
    if (is_column && (!is_lane || kernel->row_chunks < 1)) {
        return FAULT("column sum of buffer %d at %s is not per lane, or without chunks", statement->buffer,
                     index_text(check->arena, statement->index));
    }
    return check_index(check, statement->index);
}

static const char *check_statement(Check *check, const Statement *statement)
{
    const char *fault = check_scalar(check, statement->value);
    if (fault) {
        return fault;
    }
    bool is_write = statement->kind == STATEMENT_STORE || statement->kind == STATEMENT_COLUMN_ACCUMULATE;
    return is_write ? check_write(check, statement) : set_id(check, statement);
}

const char *kernel_verify(Arena *arena, const Kernel *kernel)
{
    Check check = {.arena = arena, .kernel = kernel};
    check.ids = arena_alloc(arena, ((size_t)kernel->n_ids + 1) * sizeof *check.ids);
    for (check.stage = 0; check.stage < kernel->n_stages; check.stage++) {
        const Stage *stage = &kernel->stages[check.stage];
        for (int i = 0; i < stage->n_statements; i++) {
            const char *fault = check_statement(&check, &stage->statements[i]);
            if (fault) {
                return arena_format(arena, "kernel %s, stage %d, statement %d: %s",
                                    kernel->name ? kernel->name : "", check.stage, i, fault);
            }
        }
    }
    return NULL;
}

// Programs ----------------------------------------------------------------------------------------------------------

static const char *check_view(Arena *arena, const Program *program, const View *view)
{
    int64_t low = view->offset;
    int64_t high = view->offset;
    for (int i = 0; i < view->rank; i++) {
        int64_t reach = (view->dim[i] - 1) * view->stride[i];
        low += reach < 0 ? reach : 0;
        high += reach > 0 ? reach : 0;
    }
    const Storage *storage = &program->storage[view->node];
    bool is_inside = low >= 0 && high < shape_count(&program->graph->nodes[view->node].shape);
    return storage->is_stored && is_inside ? NULL
                                           : arena_format(arena, "view of %%%d reaches outside", view->node);
}

typedef struct Written {
    Arena *arena;
    const Program *program;
    bool *is_written;  // per node
} Written;

static const char *check_step(Written *written, const Step *step)
{
    const Program *program = written->program;
    const char *fault = step->kernel ? kernel_verify(written->arena, step->kernel) : NULL;
    for (int i = 0; i < step->n_reads + step->n_writes && !fault; i++) {
        fault = check_view(written->arena, program,
                           i < step->n_reads ? &step->reads[i] : &step->writes[i - step->n_reads]);
    }
    for (int i = 0; i < step->n_reads && !fault; i++) {
        if (!written->is_written[step->reads[i].node]) {
            fault = arena_format(written->arena, "%%%d is read before it is written", step->reads[i].node);
        }
    }
    for (int i = 0; step->kernel && i < step->kernel->n_buffers && !fault; i++) {
        const KernelBuffer *buffer = &step->kernel->buffers[i];
        if (buffer->kind == BUFFER_READ && !written->is_written[buffer->node]) {
            fault = arena_format(written->arena, "%%%d is loaded before it is written", buffer->node);
        }
    }
    for (int i = 0; step->kernel && i < step->kernel->n_buffers; i++) {
        written->is_written[step->kernel->buffers[i].node] = true;
    }
    for (int i = 0; i < step->n_writes; i++) {
        written->is_written[step->writes[i].node] = true;
    }
    return fault;
}

static bool has_block(const Storage *storage)
{
    return storage->is_stored && storage->same_as == NO_NODE && storage->region == REGION_ARENA &&
           storage->first_step >= 0;
}

// Two values may share bytes only where one ends in the step in which the other begins.
static const char *check_overlap(Arena *arena, const Program *program)
{
    int n_nodes = program->graph->n_nodes;
    for (NodeId a = 0; a < n_nodes; a++) {
        const Storage *x = &program->storage[a];
        for (NodeId b = a + 1; has_block(x) && b < n_nodes; b++) {
            const Storage *y = &program->storage[b];
            bool overlaps = has_block(y) && x->offset < y->offset + y->bytes &&
                            y->offset < x->offset + x->bytes && x->first_step < y->last_step &&
                            y->first_step < x->last_step;
            if (overlaps) {
                return arena_format(arena, "%%%d and %%%d overlap in memory while both are alive", a, b);
            }
        }
    }
    return NULL;
}

const char *program_verify(Arena *arena, const Program *program)
{
    Written written = {arena, program, arena_alloc(arena, (size_t)program->graph->n_nodes + 1)};
    for (NodeId id = 0; id < program->graph->n_nodes; id++) {
        Op op = program->graph->nodes[id].op;
        written.is_written[id] = op == OP_INPUT || op == OP_PARAM;
    }
    for (int i = 0; i < program->n_steps; i++) {
        const char *fault = check_step(&written, &program->steps[i]);
        if (fault) {
            return arena_format(arena, "step %d: %s", i, fault);
        }
    }
    return check_overlap(arena, program);
}
