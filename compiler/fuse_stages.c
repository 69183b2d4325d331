// Statements and stages; see fuse_stages.h.
#include "compiler/fuse_stages.h"

#include "compiler/base/vec.h"

enum { SLOTS = 4, MAX_INLINE_OPS = 8, MAX_AGAIN_OPS = 6 };

// A store or an accumulation and the stage it happens in.
typedef struct Action {
    Statement statement;
    int item;
    int stage;
} Action;

typedef struct StageText {
    Statement *lets;
    int n_lets, let_capacity;
    Statement *tails;
    int n_tails, tail_capacity;
} StageText;

typedef struct Stages {
    Items *items;
    Arena *arena;
    const Domain *domain;  // of the kernel
    Action *actions;
    int n_actions, action_capacity;
    int n_stages;    // slots of phases, empty ones included
    uint16_t *uses;  // [item][stage]: how often the item is needed there
    int *lets;       // [item][stage]: id + 1 of its name there
    int *kept_in;    // per item: stage that keeps it in a lane buffer, or -1
    int *n_ops;      // per item: operations written in place below it
    StageText *texts;
    int n_ids;
} Stages;

static int stage_of(const Item *item)
{
    return SLOTS * item->phase + (item->uses_reduce ? 2 : 0) + (item->uses_lane ? 1 : 0);
}

static int action_stage(const Stages *stages, const Member *member, int item, bool is_sum)
{
    int phase = stages->items->items[item].phase;
    Level level = is_sum ? LEVEL_FULL : member->at.level;
    int loops = stages->domain->n_reduce > 0 ? 2 : 0;
    return SLOTS * phase + (level == LEVEL_FULL ? loops + 1 : level == LEVEL_OUTER ? 1 : 0);
}

static void add_action(Stages *stages, Statement statement, int item, int stage)
{
    Action action = {statement, item, stage};
    VEC_PUSH(stages->arena, stages->actions, stages->n_actions, stages->action_capacity, action);
    stages->n_stages = stage + 1 > stages->n_stages ? stage + 1 : stages->n_stages;
}

// Stores of one member; a column sum is complete only in memory.
static void add_stores(Stages *stages, const Member *member)
{
    Items *items = stages->items;
    const Value *value = &items->fusion->values[member->node];
    bool is_column = member->at.level == LEVEL_COLUMN;
    int sum = is_column ? items_sum(items, member) : -1;
    int item = is_column ? items->sums[sum].value : items_member(items, member);
    for (const Place *place = value->places; place; place = place->next) {
        Statement statement = {.kind = is_column ? STATEMENT_COLUMN_ACCUMULATE : STATEMENT_STORE,
                               .op = OP_SUM,
                               .id = -1,
                               .buffer = items_buffer(items, place->storage, BUFFER_WRITE),
                               .node = member->node};
        statement.index = items_address(items, member, place);
        add_action(stages, statement, item, action_stage(stages, member, item, is_column));
    }
}

static void add_sums(Stages *stages)
{
    const Items *items = stages->items;
    for (int i = 0; i < items->n_sums; i++) {
        RowSum *sum = &items->sums[i];
        if (sum->member->at.level == LEVEL_COLUMN) {
            continue;
        }
        sum->id = stages->n_ids++;
        StatementKind kind =
            sum->member->at.level == LEVEL_OUTER ? STATEMENT_LANE_ACCUMULATE : STATEMENT_ACCUMULATE;
        Statement statement = {.kind = kind,
                               .id = sum->id,
                               .buffer = -1,
                               .node = sum->member->node,
                               .op = fusion_node(items->fusion, sum->member->node)->op};
        add_action(stages, statement, sum->value, action_stage(stages, sum->member, sum->value, true));
    }
}

static void collect_actions(Stages *stages)
{
    const Group *group = &stages->items->fusion->groups[stages->items->group];
    for (int i = 0; i < group->n_members; i++) {
        if (stages->items->fusion->values[group->members[i].node].places) {
            add_stores(stages, &group->members[i]);
        }
    }
    int n_stores = stages->n_actions;
    add_sums(stages);
    // Accumulations before stores, so that memory that is overwritten in place has been read.
    Action *sorted = arena_alloc(stages->arena, ((size_t)stages->n_actions + 1) * sizeof *sorted);
    for (int i = 0; i < stages->n_actions; i++) {
        sorted[i] = stages->actions[i < stages->n_actions - n_stores ? n_stores + i
                                                                     : i - (stages->n_actions - n_stores)];
    }
    stages->actions = sorted;
}

// Counting --------------------------------------------------------------------------------------------------------

static bool is_leaf(const Item *item)
{
    return item->kind == SCALAR_CONST || item->kind == SCALAR_INDEX || item->kind == SCALAR_ACC;
}

// Where an item is written that a stage needs.
static int written_in(const Stages *stages, int item, int stage)
{
    const Item *it = &stages->items->items[item];
    if (stages->kept_in[item] >= 0) {
        return stages->kept_in[item];
    }
    return it->uses_lane ? stage : stage_of(it);
}

static uint16_t *uses_at(const Stages *stages, int item, int stage)
{
    return &stages->uses[item * stages->n_stages + stage];
}

static void count(Stages *stages, int item, int stage)
{
    const Item *it = &stages->items->items[item];
    if (is_leaf(it)) {
        return;
    }
    int where = written_in(stages, item, stage);
    uint16_t *uses = uses_at(stages, item, where);
    // Another stage can only see it by name.
    *uses = (uint16_t)(*uses + (where == stage ? 1 : 2));
    bool is_first = *uses == (where == stage ? 1 : 2);
    for (int i = 0; i < it->n_args && is_first; i++) {
        count(stages, it->args[i], where);
    }
}

static void count_all(Stages *stages)
{
    size_t n_uses = (size_t)stages->items->n_items * (size_t)stages->n_stages;
    for (size_t i = 0; i < n_uses; i++) {
        stages->uses[i] = 0;
    }
    for (int i = 0; i < stages->n_actions; i++) {
        count(stages, stages->actions[i].item, stages->actions[i].stage);
    }
}

typedef struct Cost {
    int ops, dear, loads;
} Cost;

static void add_cost(const Stages *stages, int item, Cost *cost)
{
    const Item *it = &stages->items->items[item];
    if (!it->uses_lane || cost->ops > MAX_AGAIN_OPS || stages->kept_in[item] >= 0) {
        return;
    }
    cost->ops += it->kind == SCALAR_OP;
    cost->loads += it->kind == SCALAR_LOAD;
    bool is_dear_op = it->kind == SCALAR_OP && node_is_dear(stages->items->fusion, it->node) &&
                      fusion_node(stages->items->fusion, it->node)->op == it->op;
    cost->dear += is_dear_op || it->kind == SCALAR_KEEP;
    for (int i = 0; i < it->n_args; i++) {
        add_cost(stages, it->args[i], cost);
    }
}

// Keeps the last item (nothing above it is dear) that several stages need and that costs more than a lane buffer.
static bool keep_one(Stages *stages)
{
    for (int item = stages->items->n_items - 1; item >= 0; item--) {
        const Item *it = &stages->items->items[item];
        int first = -1;
        int n_stages = 0;
        for (int s = 0; s < stages->n_stages; s++) {
            bool is_used = *uses_at(stages, item, s) > 0;
            first = is_used && first < 0 ? s : first;
            n_stages += is_used;
        }
        if (!it->uses_lane || it->kind == SCALAR_LOAD || is_leaf(it) || stages->kept_in[item] >= 0 ||
            n_stages < 2) {
            continue;
        }
        Cost cost = {0, 0, 0};
        add_cost(stages, item, &cost);
        if (cost.dear > 0 || cost.loads > 1 || cost.ops > MAX_AGAIN_OPS) {
            stages->kept_in[item] = first;
            return true;
        }
    }
    return false;
}

// Writing ---------------------------------------------------------------------------------------------------------

static const ScalarExpr *write(Stages *stages, int item, int stage);

static const ScalarExpr *written_value(Stages *stages, int item, int stage)
{
    const Item *it = &stages->items->items[item];
    ScalarExpr *expr = arena_alloc(stages->arena, sizeof *expr);
    *expr = (ScalarExpr){.kind = it->kind,
                         .dtype = it->dtype,
                         .number = it->number,
                         .op = it->op,
                         .n_args = it->n_args,
                         .index = it->index,
                         .buffer = it->buffer,
                         .guard = it->guard,
                         .draw = it->draw};
    for (int i = 0; i < it->n_args; i++) {
        expr->args[i] = write(stages, it->args[i], stage);
    }
    if (it->kind == SCALAR_ACC) {
        expr->let = stages->items->sums[it->sum].id;
    }
    return expr;
}

static int let_of(Stages *stages, int item, int stage)
{
    int *let = &stages->lets[item * stages->n_stages + stage];
    if (*let == 0) {
        const ScalarExpr *value = written_value(stages, item, stage);
        Statement statement = {.kind = STATEMENT_LET,
                               .value = value,
                               .buffer = -1,
                               .node = stages->items->items[item].node,
                               .is_buffered = stages->kept_in[item] == stage};
        statement.id = stages->n_ids++;
        *let = statement.id + 1;
        StageText *text = &stages->texts[stage];
        VEC_PUSH(stages->arena, text->lets, text->n_lets, text->let_capacity, statement);
    }
    return *let - 1;
}

// Operations that would be written in place in this stage.
static int inline_ops(const Stages *stages, int item, int stage)
{
    const Item *it = &stages->items->items[item];
    if (it->kind != SCALAR_OP || written_in(stages, item, stage) != stage ||
        *uses_at(stages, item, stage) > 1) {
        return 0;
    }
    int ops = 1;
    for (int i = 0; i < it->n_args && ops <= MAX_INLINE_OPS; i++) {
        ops += inline_ops(stages, it->args[i], stage);
    }
    return ops;
}

static const ScalarExpr *write(Stages *stages, int item, int stage)
{
    const Item *it = &stages->items->items[item];
    int where = written_in(stages, item, stage);
    bool is_named =
        !is_leaf(it) && (where != stage || *uses_at(stages, item, stage) > 1 ||
                         stages->kept_in[item] == stage || inline_ops(stages, item, stage) > MAX_INLINE_OPS);
    if (!is_named) {
        return written_value(stages, item, stage);
    }
    ScalarExpr *expr = arena_alloc(stages->arena, sizeof *expr);
    *expr = (ScalarExpr){.kind = SCALAR_LET, .dtype = it->dtype, .let = let_of(stages, item, where)};
    return expr;
}

static void write_actions(Stages *stages)
{
    for (int s = 0; s < stages->n_stages; s++) {
        for (int i = 0; i < stages->n_actions; i++) {
            Action *action = &stages->actions[i];
            if (action->stage == s) {
                action->statement.value = write(stages, action->item, s);
                StageText *text = &stages->texts[s];
                VEC_PUSH(stages->arena, text->tails, text->n_tails, text->tail_capacity, action->statement);
            }
        }
    }
}

// Drops empty stages; two runs of reduce loops without anything between them are kept apart.
static void assemble(Stages *stages, Kernel *kernel)
{
    Stage *list = arena_alloc(stages->arena, (2 * (size_t)stages->n_stages + 1) * sizeof *list);
    int last_phase = -1;
    for (int s = 0; s < stages->n_stages; s++) {
        const StageText *text = &stages->texts[s];
        int n_statements = text->n_lets + text->n_tails;
        bool in_reduce = (s & 2) != 0;
        if (n_statements == 0) {
            continue;
        }
        if (in_reduce && kernel->n_stages > 0 && list[kernel->n_stages - 1].in_reduce &&
            last_phase != s / SLOTS) {
            list[kernel->n_stages++] = (Stage){.kind = STAGE_SCALAR};
        }
        Statement *statements = arena_alloc(stages->arena, (size_t)n_statements * sizeof *statements);
        for (int i = 0; i < n_statements; i++) {
            statements[i] = i < text->n_lets ? text->lets[i] : text->tails[i - text->n_lets];
        }
        list[kernel->n_stages++] =
            (Stage){s & 1 ? STAGE_LANES : STAGE_SCALAR, in_reduce, statements, n_statements};
        last_phase = s / SLOTS;
    }
    kernel->stages = list;
}

static void set_costs(const Stages *stages, Kernel *kernel)
{
    const Items *items = stages->items;
    int64_t rows = 1;
    int64_t loops = 1;
    for (int i = 0; i < kernel->n_row_dims; i++) {
        rows *= kernel->row_dims[i];
    }
    for (int i = 0; i < kernel->n_reduce_dims; i++) {
        loops *= kernel->reduce_dims[i];
    }
    for (int i = 0; i < items->n_items; i++) {
        const Item *it = &items->items[i];
        int64_t times = rows * (it->uses_lane ? kernel->lanes : 1) * (it->uses_reduce ? loops : 1);
        kernel->flops += it->kind == SCALAR_OP ? times : 0;
    }
    for (int i = 0; i < items->n_sums; i++) {
        kernel->flops += rows * loops * kernel->lanes;
    }
    for (int i = 0; i < items->n_buffers; i++) {
        const KernelBuffer *buffer = &items->buffers[i];
        int64_t elements = shape_count(&buffer->shape);
        int64_t points = rows * loops * kernel->lanes;
        elements = elements < points ? elements : points;
        kernel->bytes += elements * dtype_bytes(buffer->dtype);
    }
}

static void list_nodes(const Stages *stages, Kernel *kernel)
{
    const Group *group = &stages->items->fusion->groups[stages->items->group];
    NodeId *nodes = arena_alloc(stages->arena, ((size_t)group->n_members + 1) * sizeof *nodes);
    for (int i = 0; i < group->n_members; i++) {
        bool is_used = stages->items->fusion->values[group->members[i].node].places != NULL;
        for (int j = 0; j < stages->items->n_items && !is_used; j++) {
            is_used = stages->items->items[j].node == group->members[i].node;
        }
        for (int j = 0; j < stages->items->n_sums && !is_used; j++) {
            is_used = stages->items->sums[j].member->node == group->members[i].node;
        }
        if (is_used) {
            nodes[kernel->n_nodes++] = group->members[i].node;
        }
    }
    kernel->nodes = nodes;
}

void fuse_stages(Items *items, Kernel *kernel)
{
    Domain domain = {.n_reduce = kernel->n_reduce_dims};
    Stages stages = {.items = items, .arena = items->fusion->arena, .domain = &domain};
    collect_actions(&stages);
    size_t n_cells = ((size_t)items->n_items + 1) * (size_t)stages.n_stages;
    stages.uses = arena_alloc(stages.arena, n_cells * sizeof *stages.uses);
    stages.lets = arena_alloc(stages.arena, n_cells * sizeof *stages.lets);
    stages.kept_in = arena_alloc(stages.arena, ((size_t)items->n_items + 1) * sizeof *stages.kept_in);
    stages.texts = arena_alloc(stages.arena, (size_t)stages.n_stages * sizeof *stages.texts);
    for (int i = 0; i < items->n_items; i++) {
        stages.kept_in[i] = -1;
    }
    do {
        count_all(&stages);
    } while (keep_one(&stages));
    write_actions(&stages);
    assemble(&stages, kernel);
    kernel->buffers = items->buffers;
    kernel->n_buffers = items->n_buffers;
    kernel->n_ids = stages.n_ids;
    set_costs(&stages, kernel);
    list_nodes(&stages, kernel);
}
