// Live ranges over the steps and offsets in one arena; see plan_memory in program.h.
//
// A kernel may write over an input that dies there if it reads every element of it before, and only where, it stores;
// the two then share a block. Blocks are placed largest first, each into the smallest gap that is free while it lives.
#include "compiler/plan.h"

#include "compiler/base/out.h"
#include "compiler/base/vec.h"
#include "compiler/index_expr.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

static NodeId root_of(const Program *program, NodeId node)
{
    while (program->storage[node].same_as != NO_NODE) {
        node = program->storage[node].same_as;
    }
    return node;
}

static void touch(Program *program, NodeId node, int step)
{
    Storage *storage = &program->storage[root_of(program, node)];
    storage->first_step = storage->first_step < 0 || step < storage->first_step ? step : storage->first_step;
    storage->last_step = step > storage->last_step ? step : storage->last_step;
}

// Inputs are there before the first step and, like outputs, still after the last.
static void find_live_ranges(Program *program)
{
    const Graph *graph = program->graph;
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        program->storage[id].first_step = program->storage[id].last_step = -1;
        if (graph->nodes[id].op == OP_INPUT && program->storage[id].is_stored) {
            touch(program, id, 0);
            touch(program, id, program->n_steps);
        }
    }
    for (int i = 0; i < program->n_steps; i++) {
        const Step *step = &program->steps[i];
        for (int j = 0; j < step->n_reads; j++) {
            touch(program, step->reads[j].node, i);
        }
        for (int j = 0; j < step->n_writes; j++) {
            touch(program, step->writes[j].node, i);
        }
        for (int j = 0; step->kernel && j < step->kernel->n_buffers; j++) {
            touch(program, step->kernel->buffers[j].node, i);
        }
    }
    for (int i = 0; i < graph->n_outputs; i++) {
        touch(program, graph->outputs[i].node, program->n_steps);
    }
}

// In place ----------------------------------------------------------------------------------------------------------

static bool loads_only_at(const ScalarExpr *expr, int buffer, const IndexExpr *index);

// Gathered indices inside an index must not come from the buffer.
static bool is_index_clear(const IndexExpr *index, int buffer)
{
    if (!index) {
        return true;
    }
    bool is_clear = index->kind != INDEX_VALUE || loads_only_at(index->scalar, buffer, NULL);
    return is_clear && is_index_clear(index->a, buffer) && is_index_clear(index->b, buffer);
}

// Whether every load of the buffer is at `index` (NULL: there is none).
static bool loads_only_at(const ScalarExpr *expr, int buffer, const IndexExpr *index)
{
    if (expr->kind == SCALAR_LOAD && expr->buffer == buffer && expr->index != index) {
        return false;
    }
    bool is_good = is_index_clear(expr->index, buffer);
    for (const Guard *guard = expr->guard; guard; guard = guard->next) {
        is_good = is_good && is_index_clear(guard->index, buffer);
    }
    for (int i = 0; i < expr->n_args; i++) {
        is_good = is_good && loads_only_at(expr->args[i], buffer, index);
    }
    return is_good;
}

// The only store to a buffer, or NULL.
static const Statement *only_store(const Kernel *kernel, int buffer)
{
    const Statement *found = NULL;
    for (int s = 0; s < kernel->n_stages; s++) {
        for (int i = 0; i < kernel->stages[s].n_statements; i++) {
            const Statement *statement = &kernel->stages[s].statements[i];
            bool is_write =
                statement->kind == STATEMENT_STORE || statement->kind == STATEMENT_COLUMN_ACCUMULATE;
            if (is_write && statement->buffer == buffer) {
                if (found || statement->kind != STATEMENT_STORE) {
                    return NULL;
                }
                found = statement;
            }
        }
    }
    return found;
}

static bool can_overwrite(const Kernel *kernel, int output, int input)
{
    const Statement *store = only_store(kernel, output);
    bool is_after = false;
    if (!store || kernel->buffers[output].kind != BUFFER_WRITE ||
        kernel->buffers[input].kind != BUFFER_READ) {
        return false;
    }
    for (int s = 0; s < kernel->n_stages; s++) {
        for (int i = 0; i < kernel->stages[s].n_statements; i++) {
            const Statement *statement = &kernel->stages[s].statements[i];
            const IndexExpr *allowed = is_after ? NULL : store->index;
            bool is_good = loads_only_at(statement->value, input, allowed) &&
                           (!statement->index || is_index_clear(statement->index, input));
            if (!is_good) {
                return false;
            }
            is_after = is_after || statement == store;
        }
    }
    return true;
}

// The compiler of the generated code must know that the two overlap.
static void mark_overlap(Program *program, Step *step, int a, int b)
{
    Arena *arena = program->graph->arena;
    Kernel *kernel = arena_alloc(arena, sizeof *kernel);
    *kernel = *step->kernel;
    KernelBuffer *buffers = arena_alloc(arena, (size_t)kernel->n_buffers * sizeof *buffers);
    memcpy(buffers, kernel->buffers, (size_t)kernel->n_buffers * sizeof *buffers);
    buffers[a].kind = buffers[b].kind = BUFFER_READ_WRITE;
    kernel->buffers = buffers;
    step->kernel = kernel;
}

static int64_t rounded(int64_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

// Finds an input that the output can take over: `over[output]` = that storage.
static void find_overwritten(Program *program, int index, NodeId *over, bool *is_taken)
{
    Step *step = &program->steps[index];
    for (int o = 0; o < step->kernel->n_buffers; o++) {
        NodeId to = root_of(program, step->kernel->buffers[o].node);
        const Storage *output = &program->storage[to];
        if (output->region != REGION_ARENA || output->first_step != index || over[to] != NO_NODE) {
            continue;
        }
        for (int i = 0; i < step->kernel->n_buffers; i++) {
            NodeId from = root_of(program, step->kernel->buffers[i].node);
            const Storage *input = &program->storage[from];
            bool dies = input->region == REGION_ARENA && input->last_step == index &&
                        input->first_step < index && !is_taken[from] &&
                        rounded(input->bytes) == rounded(output->bytes) &&
                        step->kernel->buffers[i].dtype == step->kernel->buffers[o].dtype;
            if (dies && can_overwrite(step->kernel, o, i)) {
                over[to] = from;
                is_taken[from] = true;
                mark_overlap(program, step, o, i);
                break;
            }
        }
    }
}

// Placement ---------------------------------------------------------------------------------------------------------

typedef struct Block {
    NodeId node;  // first of a chain of storages that take over from each other
    int64_t bytes, offset;
    int first_step, last_step;
} Block;

static int compare_blocks(const void *a, const void *b)
{
    const Block *x = a;
    const Block *y = b;
    if (x->bytes != y->bytes) {
        return x->bytes > y->bytes ? -1 : 1;
    }
    int64_t length_x = x->last_step - x->first_step;
    int64_t length_y = y->last_step - y->first_step;
    if (length_x != length_y) {
        return length_x > length_y ? -1 : 1;
    }
    return x->node < y->node ? -1 : x->node > y->node;
}

static int compare_offsets(const void *a, const void *b)
{
    const Block *const *x = a;
    const Block *const *y = b;
    return (*x)->offset < (*y)->offset ? -1 : (*x)->offset > (*y)->offset;
}

// The smallest gap between the placed blocks that live at the same time.
static int64_t best_gap(const Block *block, const Block **alive, int n_alive)
{
    int64_t best = -1;
    int64_t best_size = INT64_MAX;
    int64_t end = 0;
    for (int i = 0; i < n_alive; i++) {
        int64_t size = alive[i]->offset - end;
        if (size >= block->bytes && size < best_size) {
            best = end;
            best_size = size;
        }
        int64_t alive_end = alive[i]->offset + alive[i]->bytes;
        end = alive_end > end ? alive_end : end;
    }
    return best >= 0 ? best : end;
}

static int64_t place_blocks(Arena *arena, Block *blocks, int n_blocks)
{
    const Block **alive = arena_alloc(arena, ((size_t)n_blocks + 1) * sizeof *alive);
    int64_t peak = 0;
    qsort(blocks, (size_t)n_blocks, sizeof *blocks, compare_blocks);
    for (int i = 0; i < n_blocks; i++) {
        int n_alive = 0;
        for (int j = 0; j < i; j++) {
            if (blocks[j].first_step <= blocks[i].last_step && blocks[i].first_step <= blocks[j].last_step) {
                alive[n_alive++] = &blocks[j];
            }
        }
        qsort(alive, (size_t)n_alive, sizeof *alive, compare_offsets);
        blocks[i].offset = best_gap(&blocks[i], alive, n_alive);
        peak = blocks[i].offset + blocks[i].bytes > peak ? blocks[i].offset + blocks[i].bytes : peak;
    }
    return peak;
}

static bool needs_place(const Storage *storage)
{
    return storage->is_stored && storage->same_as == NO_NODE && storage->region == REGION_ARENA &&
           storage->first_step >= 0;
}

void plan_memory(Program *program)
{
    const Graph *graph = program->graph;
    size_t n = (size_t)graph->n_nodes + 1;
    NodeId *over = arena_alloc(graph->arena, n * sizeof *over);
    bool *is_taken = arena_alloc(graph->arena, n * sizeof *is_taken);
    Block *blocks = arena_alloc(graph->arena, n * sizeof *blocks);
    int *block_of = arena_alloc(graph->arena, n * sizeof *block_of);
    int n_blocks = 0;
    find_live_ranges(program);
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        over[id] = NO_NODE;
    }
    for (int i = 0; i < program->n_steps; i++) {
        if (program->steps[i].kind == STEP_KERNEL) {
            find_overwritten(program, i, over, is_taken);
        }
    }
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        NodeId first = id;
        while (over[first] != NO_NODE) {
            first = over[first];
        }
        const Storage *storage = &program->storage[id];
        if (!needs_place(storage)) {
            continue;
        }
        if (block_of[first] == 0) {
            blocks[n_blocks++] = (Block){first, 0, 0, storage->first_step, storage->last_step};
            block_of[first] = n_blocks;
        }
        Block *block = &blocks[block_of[first] - 1];
        int64_t bytes = rounded(storage->bytes);
        block->bytes = bytes > block->bytes ? bytes : block->bytes;
        block->first_step = storage->first_step < block->first_step ? storage->first_step : block->first_step;
        block->last_step = storage->last_step > block->last_step ? storage->last_step : block->last_step;
    }
    program->arena_bytes = place_blocks(graph->arena, blocks, n_blocks);
    for (int i = 0; i < n_blocks; i++) {
        program->storage[blocks[i].node].offset = blocks[i].offset;
    }
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        NodeId first = root_of(program, id);
        while (over[first] != NO_NODE) {
            first = over[first];
        }
        program->storage[id].offset = program->storage[first].offset;
    }
}

const char *plan_print(Arena *arena, const Program *program)
{
    Out *out = out_new(arena);
    int64_t total = 0;
    out_line(out, "%14s %14s %6s %6s  %s", "offset", "bytes", "first", "last", "value");
    for (NodeId id = 0; id < program->graph->n_nodes; id++) {
        const Storage *storage = &program->storage[id];
        if (!needs_place(storage)) {
            continue;
        }
        const Node *node = &program->graph->nodes[id];
        total += storage->bytes;
        out_line(out, "%14lld %14lld %6d %6d  %%%d %s%s %s%s%s", (long long)storage->offset,
                 (long long)storage->bytes, storage->first_step, storage->last_step, id,
                 dtype_name(node->dtype), shape_text(arena, &node->shape), node->path ? node->path : "",
                 node->name ? " " : "", node->name ? node->name : "");
    }
    out_line(out, "peak %lld bytes; %lld without reuse", (long long)program->arena_bytes, (long long)total);
    return out_text(out);
}
