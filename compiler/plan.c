// Live ranges over the steps and offsets in one arena. Values are placed in the order in which they come alive, each
// into the smallest free gap that holds it; a kernel may write over an input that dies there when it reads every element
// of it only at the place it stores to.
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
    if (node == NO_NODE) {
        return;
    }
    Storage *storage = &program->storage[root_of(program, node)];
    if (storage->first_step < 0 || step < storage->first_step) {
        storage->first_step = step;
    }
    if (step > storage->last_step) {
        storage->last_step = step;
    }
}

static void find_live_ranges(Program *program)
{
    const Graph *graph = program->graph;
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        program->storage[id].first_step = program->storage[id].last_step = -1;
        if (graph->nodes[id].op == OP_INPUT) {   // observers read inputs again after the run
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
        for (int j = 0; step->kind == STEP_KERNEL && j < step->kernel->n_buffers; j++) {
            touch(program, step->kernel->buffers[j].node, i);
        }
    }
    for (int i = 0; i < graph->n_outputs; i++) {
        touch(program, graph->outputs[i].node, program->n_steps);
    }
}

// Free and taken places ---------------------------------------------------------------------------------------------

typedef struct Block {
    int64_t offset, bytes;
    int last_step;
} Block;

typedef struct Places {
    Arena *arena;
    Block *blocks;            // alive, sorted by offset
    int n_blocks, block_capacity;
    int64_t peak;
} Places;

static void release(Places *places, int step)
{
    int kept = 0;
    for (int i = 0; i < places->n_blocks; i++) {
        if (places->blocks[i].last_step >= step) {
            places->blocks[kept++] = places->blocks[i];
        }
    }
    places->n_blocks = kept;
}

static int64_t best_gap(const Places *places, int64_t bytes, int *position)
{
    int64_t best = -1;
    int64_t best_size = INT64_MAX;
    int64_t end = 0;
    for (int i = 0; i < places->n_blocks; i++) {
        int64_t size = places->blocks[i].offset - end;
        if (size >= bytes && size < best_size) {
            best = end;
            best_size = size;
            *position = i;
        }
        end = places->blocks[i].offset + places->blocks[i].bytes;
    }
    if (best < 0) {
        best = end;
        *position = places->n_blocks;
    }
    return best;
}

static int64_t take(Places *places, int64_t bytes, int last_step)
{
    int position = 0;
    Block block = {best_gap(places, bytes, &position), bytes, last_step};
    VEC_PUSH(places->arena, places->blocks, places->n_blocks, places->block_capacity, block);
    memmove(&places->blocks[position + 1], &places->blocks[position], (size_t)(places->n_blocks - 1 - position) * sizeof(Block));
    places->blocks[position] = block;
    int64_t end = block.offset + bytes;
    places->peak = end > places->peak ? end : places->peak;
    return block.offset;
}

// In place ----------------------------------------------------------------------------------------------------------

static bool reads_only_at(const ScalarExpr *expr, int buffer, const IndexExpr *index)
{
    if (expr->kind == SCALAR_LOAD && expr->buffer == buffer && !index_equal(expr->index, index)) {
        return false;
    }
    for (int i = 0; i < expr->n_args; i++) {
        if (!reads_only_at(expr->args[i], buffer, index)) {
            return false;
        }
    }
    const IndexExpr *at = expr->index;
    return !at || !index_uses(at, INDEX_VALUE);   // gathered reads can be anywhere
}

// The kernel's only store may go over buffer `input`: same size, and every read of it is at the stored element.
static bool can_overwrite(const Program *program, const Kernel *kernel, int output, int input)
{
    const KernelBuffer *from = &kernel->buffers[input];
    const KernelBuffer *to = &kernel->buffers[output];
    bool is_same_size = program->storage[from->node].bytes == program->storage[to->node].bytes && from->dtype == to->dtype;
    if (!is_same_size || kernel->row_chunks > 0) {
        return false;
    }
    const IndexExpr *index = NULL;
    for (int s = 0; s < kernel->n_stages; s++) {
        for (int i = 0; i < kernel->stages[s].n_statements; i++) {
            const Statement *statement = &kernel->stages[s].statements[i];
            if (statement->kind == STATEMENT_STORE) {
                index = index ? NULL : statement->index;
                if (!index) {
                    return false;
                }
            }
        }
    }
    for (int s = 0; index && s < kernel->n_stages; s++) {
        for (int i = 0; i < kernel->stages[s].n_statements; i++) {
            if (!reads_only_at(kernel->stages[s].statements[i].value, input, index)) {
                return false;
            }
        }
    }
    return index != NULL;
}

// An input in the arena that dies at this kernel and can be written over, or NO_NODE.
static NodeId dying_input(const Program *program, const Step *step, int step_index, NodeId result)
{
    if (step->kind != STEP_KERNEL) {
        return NO_NODE;
    }
    const Kernel *kernel = step->kernel;
    int output = -1;
    for (int i = 0; i < kernel->n_buffers; i++) {
        if (kernel->buffers[i].node == result) {
            output = i;
        }
    }
    for (int i = 0; output >= 0 && i < kernel->n_buffers; i++) {
        NodeId node = kernel->buffers[i].node;
        const Storage *storage = &program->storage[node];
        bool dies = i != output && storage->region == REGION_ARENA && storage->last_step == step_index
            && program->graph->nodes[node].op != OP_INPUT;
        if (dies && can_overwrite(program, kernel, output, i)) {
            return node;
        }
    }
    return NO_NODE;
}

static bool take_over(Places *places, const Program *program, NodeId from, Storage *to)
{
    for (int i = 0; i < places->n_blocks; i++) {
        if (places->blocks[i].offset == program->storage[from].offset) {
            places->blocks[i].last_step = to->last_step;
            to->offset = program->storage[from].offset;
            return true;
        }
    }
    return false;
}

// Placement ---------------------------------------------------------------------------------------------------------

typedef struct Birth {
    NodeId node;
    int step;
    int64_t bytes;
} Birth;

static int compare_births(const void *a, const void *b)
{
    const Birth *x = a;
    const Birth *y = b;
    if (x->step != y->step) {
        return x->step < y->step ? -1 : 1;
    }
    if (x->bytes != y->bytes) {
        return x->bytes > y->bytes ? -1 : 1;
    }
    return x->node < y->node ? -1 : x->node > y->node;
}

void plan_memory(Program *program)
{
    const Graph *graph = program->graph;
    Places places = {.arena = graph->arena};
    find_live_ranges(program);
    Birth *births = arena_alloc(graph->arena, ((size_t)graph->n_nodes + 1) * sizeof *births);
    int n_births = 0;
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        const Storage *storage = &program->storage[id];
        bool has_place = storage->is_stored && storage->same_as == NO_NODE && storage->region == REGION_ARENA
            && storage->first_step >= 0;
        if (has_place) {
            births[n_births++] = (Birth){id, storage->first_step, (storage->bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT};
        }
    }
    qsort(births, (size_t)n_births, sizeof *births, compare_births);
    for (int i = 0; i < n_births; i++) {
        Storage *storage = &program->storage[births[i].node];
        release(&places, births[i].step);
        const Step *step = births[i].step < program->n_steps ? &program->steps[births[i].step] : NULL;
        NodeId over = step ? dying_input(program, step, births[i].step, births[i].node) : NO_NODE;
        if (over == NO_NODE || !take_over(&places, program, over, storage)) {
            storage->offset = take(&places, births[i].bytes, storage->last_step);
        }
    }
    program->arena_bytes = places.peak;
}

const char *plan_print(Arena *arena, const Program *program)
{
    Out *out = out_new(arena);
    int64_t total = 0;
    out_line(out, "%14s %14s %6s %6s  %s", "offset", "bytes", "first", "last", "value");
    for (NodeId id = 0; id < program->graph->n_nodes; id++) {
        const Storage *storage = &program->storage[id];
        if (!storage->is_stored || storage->same_as != NO_NODE || storage->region != REGION_ARENA || storage->first_step < 0) {
            continue;
        }
        const Node *node = &program->graph->nodes[id];
        total += storage->bytes;
        out_line(out, "%14lld %14lld %6d %6d  %%%d %s %s%s%s", (long long)storage->offset, (long long)storage->bytes,
                 storage->first_step, storage->last_step, id, shape_text(arena, &node->shape), node->path ? node->path : "",
                 node->name ? " " : "", node->name ? node->name : "");
    }
    out_line(out, "peak %lld bytes; %lld without reuse", (long long)program->arena_bytes, (long long)total);
    return out_text(out);
}
