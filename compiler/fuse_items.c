// Evaluates the members of a group symbolically: movement changes the access, stored values become loads, the rest
// becomes operations; see fuse_items.h.
#include "compiler/fuse_items.h"

#include "compiler/base/vec.h"

#include <string.h>

static int evaluate(Items *items, NodeId id, const Access *access, const Guard *guard);

Items *items_new(Fusion *fusion, int group, const IndexMap *domain)
{
    Items *items = arena_alloc(fusion->arena, sizeof *items);
    *items = (Items){.fusion = fusion, .group = group, .domain = domain, .n_slots = 64, .n_item_slots = 64};
    items->memos = arena_alloc(fusion->arena, (size_t)items->n_slots * sizeof *items->memos);
    items->item_slots = arena_alloc(fusion->arena, (size_t)items->n_item_slots * sizeof *items->item_slots);
    return items;
}

// Items kept once -------------------------------------------------------------------------------------------------

static uint64_t mixed(uint64_t hash, uint64_t value)
{
    hash ^= value;
    hash *= 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

static bool same_guard(const Guard *a, const Guard *b)
{
    for (; a && b; a = a->next, b = b->next) {
        if (a == b) {
            return true;
        }
        if (a->index != b->index || a->low != b->low || a->high != b->high) {
            return false;
        }
    }
    return a == b;
}

static bool same_item(const Item *a, const Item *b)
{
    return a->kind == b->kind && a->dtype == b->dtype &&
           memcmp(&a->number, &b->number, sizeof a->number) == 0 && a->op == b->op &&
           a->n_args == b->n_args && memcmp(a->args, b->args, sizeof a->args) == 0 && a->index == b->index &&
           a->buffer == b->buffer && a->draw == b->draw && a->sum == b->sum && same_guard(a->guard, b->guard);
}

static uint64_t item_hash(const Item *item)
{
    uint64_t hash = mixed((uint64_t)item->kind * 64 + (uint64_t)item->op, (uint64_t)(uintptr_t)item->index);
    for (int i = 0; i < item->n_args; i++) {
        hash = mixed(hash, (uint64_t)item->args[i] + 1);
    }
    uint64_t bits;
    memcpy(&bits, &item->number, sizeof bits);
    return mixed(mixed(hash, bits),
                 (uint64_t)item->buffer * 4096 + (uint64_t)item->draw * 64 + (uint64_t)item->sum);
}

static void grow_item_slots(Items *items)
{
    int n_slots = 2 * items->n_item_slots;
    int *slots = arena_alloc(items->fusion->arena, (size_t)n_slots * sizeof *slots);
    for (int i = 0; i < items->n_items; i++) {
        uint64_t at = item_hash(&items->items[i]) % (uint64_t)n_slots;
        while (slots[at]) {
            at = (at + 1) % (uint64_t)n_slots;
        }
        slots[at] = i + 1;
    }
    items->item_slots = slots;
    items->n_item_slots = n_slots;
}

static bool guard_uses(const Guard *guard, IndexKind kind)
{
    for (; guard; guard = guard->next) {
        if (index_uses(guard->index, kind)) {
            return true;
        }
    }
    return false;
}

static void find_level(const Items *items, Item *item)
{
    item->uses_lane = item->uses_lane || (item->index && index_uses(item->index, INDEX_LANE)) ||
                      guard_uses(item->guard, INDEX_LANE);
    item->uses_reduce =
        (item->index && index_uses(item->index, INDEX_REDUCE)) || guard_uses(item->guard, INDEX_REDUCE);
    for (int i = 0; i < item->n_args; i++) {
        const Item *arg = &items->items[item->args[i]];
        item->uses_lane = item->uses_lane || arg->uses_lane;
        item->uses_reduce = item->uses_reduce || arg->uses_reduce;
        item->phase = arg->phase > item->phase ? arg->phase : item->phase;
    }
}

static int add_item(Items *items, Item item)
{
    uint64_t at = item_hash(&item) % (uint64_t)items->n_item_slots;
    while (items->item_slots[at]) {
        if (same_item(&items->items[items->item_slots[at] - 1], &item)) {
            return items->item_slots[at] - 1;
        }
        at = (at + 1) % (uint64_t)items->n_item_slots;
    }
    find_level(items, &item);
    VEC_PUSH(items->fusion->arena, items->items, items->n_items, items->item_capacity, item);
    items->item_slots[at] = items->n_items;
    if (2 * items->n_items > items->n_item_slots) {
        grow_item_slots(items);
    }
    return items->n_items - 1;
}

static int constant(Items *items, double number, Dtype dtype, NodeId node)
{
    return add_item(items, (Item){.kind = SCALAR_CONST, .number = number, .dtype = dtype, .node = node});
}

// Integer operations on indices are indices. NULL if the operation is none of those.
static const IndexExpr *index_operation(Items *items, Op op, const Item *a, const Item *b)
{
    IndexPool *pool = items->fusion->pool;
    const IndexExpr *x = a->kind == SCALAR_INDEX ? a->index : NULL;
    const IndexExpr *y = b->kind == SCALAR_INDEX ? b->index : NULL;
    x = a->kind == SCALAR_CONST ? index_const(pool, (int64_t)a->number) : x;
    y = b->kind == SCALAR_CONST ? index_const(pool, (int64_t)b->number) : y;
    if (!x || !y) {
        return NULL;
    }
    bool is_divisible = y->kind == INDEX_CONST && y->value >= 1;
    switch (op) {
    case OP_ADD: return index_add(pool, x, y);
    case OP_SUB: return index_add(pool, x, index_mul(pool, y, -1));
    case OP_MUL:
        return y->kind == INDEX_CONST   ? index_mul(pool, x, y->value)
               : x->kind == INDEX_CONST ? index_mul(pool, y, x->value)
                                        : NULL;
    case OP_IDIV: return is_divisible ? index_div(pool, x, y->value) : NULL;
    case OP_MOD: return is_divisible ? index_mod(pool, x, y->value) : NULL;
    default: return NULL;
    }
}

static int from_index(Items *items, const IndexExpr *index, NodeId node)
{
    if (index->kind == INDEX_CONST) {
        return constant(items, (double)index->value, DTYPE_I32, node);
    }
    return add_item(items, (Item){.kind = SCALAR_INDEX, .dtype = DTYPE_I32, .index = index, .node = node});
}

// Comparisons that the ranges of the operands decide: 0, 1, or -1 for unknown.
static int decided(Items *items, Op op, const Item *a, const Item *b)
{
    bool are_indices = (a->kind == SCALAR_INDEX || a->kind == SCALAR_CONST) &&
                       (b->kind == SCALAR_INDEX || b->kind == SCALAR_CONST) && a->dtype == DTYPE_I32 &&
                       b->dtype == DTYPE_I32;
    if (!are_indices || (op != OP_LT && op != OP_LE && op != OP_EQ && op != OP_NE)) {
        return -1;
    }
    const IndexExpr *difference = index_operation(items, OP_SUB, a, b);
    int64_t low = difference->low;
    int64_t high = difference->high;
    if (op == OP_EQ || op == OP_NE) {
        bool is_never = low > 0 || high < 0;
        bool is_always = low == 0 && high == 0;
        return is_never ? op == OP_NE : is_always ? op == OP_EQ : -1;
    }
    int64_t bound = op == OP_LT ? -1 : 0;
    return high <= bound ? 1 : low > bound ? 0 : -1;
}

static int operation(Items *items, Item item)
{
    const Item *a = &items->items[item.args[0]];
    const Item *b = item.n_args > 1 ? &items->items[item.args[1]] : NULL;
    if (item.op == OP_WHERE && a->kind == SCALAR_CONST) {
        return item.args[a->number != 0 ? 1 : 2];
    }
    if (item.op == OP_WHERE && item.args[1] == item.args[2]) {
        return item.args[1];
    }
    if (item.n_args == 2 && item.dtype == DTYPE_I32) {
        const IndexExpr *index = index_operation(items, item.op, a, b);
        if (index) {
            return from_index(items, index, item.node);
        }
    }
    int known = item.n_args == 2 ? decided(items, item.op, a, b) : -1;
    if (known >= 0) {
        return constant(items, known, DTYPE_BOOL, item.node);
    }
    return add_item(items, item);
}

static int operation2(Items *items, Op op, Dtype dtype, int a, int b, NodeId node)
{
    return operation(
        items,
        (Item){.kind = SCALAR_OP, .op = op, .dtype = dtype, .args = {a, b}, .n_args = 2, .node = node});
}

// Memory ----------------------------------------------------------------------------------------------------------

int items_buffer(Items *items, NodeId storage, BufferKind kind)
{
    for (int i = 0; i < items->n_buffers; i++) {
        if (items->buffers[i].node == storage) {
            if (items->buffers[i].kind != kind) {
                items->buffers[i].kind = BUFFER_READ_WRITE;
            }
            return i;
        }
    }
    const Node *node = fusion_node(items->fusion, storage);
    KernelBuffer buffer = {.node = storage, .dtype = node->dtype, .shape = node->shape, .kind = kind};
    VEC_PUSH(items->fusion->arena, items->buffers, items->n_buffers, items->buffer_capacity, buffer);
    return items->n_buffers - 1;
}

static int load(Items *items, NodeId id, const Access *access, const Guard *guard)
{
    Fusion *fusion = items->fusion;
    const Place *best = NULL;
    const IndexExpr *index = NULL;
    for (const Place *place = fusion->values[id].places; place; place = place->next) {
        const IndexExpr *address = place_address(fusion, place, access);
        if (!best || index_divisions(address) < index_divisions(index)) {
            best = place;
            index = address;
        }
    }
    return add_item(items, (Item){.kind = SCALAR_LOAD,
                                  .dtype = fusion_node(fusion, id)->dtype,
                                  .index = index,
                                  .guard = guard,
                                  .buffer = items_buffer(items, best->storage, BUFFER_READ),
                                  .node = id});
}

// An item as one expression tree: gathered indices are not shared with the rest of the kernel.
static const ScalarExpr *tree_of(Items *items, int item)
{
    if (items->tree_capacity <= item) {
        int capacity = 2 * item + 16;
        const ScalarExpr **trees = arena_alloc(items->fusion->arena, (size_t)capacity * sizeof *trees);
        for (int i = 0; i < items->tree_capacity; i++) {
            trees[i] = items->trees[i];
        }
        items->trees = trees;
        items->tree_capacity = capacity;
    }
    if (items->trees[item]) {
        return items->trees[item];
    }
    const Item *from = &items->items[item];
    XV_ASSERT(from->kind != SCALAR_ACC);
    ScalarExpr *tree = arena_alloc(items->fusion->arena, sizeof *tree);
    *tree = (ScalarExpr){.kind = from->kind,
                         .dtype = from->dtype,
                         .number = from->number,
                         .op = from->op,
                         .n_args = from->n_args,
                         .index = from->index,
                         .buffer = from->buffer,
                         .guard = from->guard,
                         .draw = from->draw};
    for (int i = 0; i < from->n_args; i++) {
        tree->args[i] = tree_of(items, items->items[item].args[i]);
    }
    items->trees[item] = tree;
    return tree;
}

static const IndexExpr *gathered(Items *items, int item, int64_t extent)
{
    const Item *from = &items->items[item];
    if (from->kind == SCALAR_INDEX) {
        return from->index;
    }
    if (from->kind == SCALAR_CONST) {
        return index_const(items->fusion->pool, (int64_t)from->number);
    }
    return index_value(items->fusion->pool, tree_of(items, item), extent);
}

// Movement --------------------------------------------------------------------------------------------------------

// Conditions of `guard` up to `end` as a bool item.
static int condition(Items *items, const Guard *guard, const Guard *end, NodeId node)
{
    int result = constant(items, 1, DTYPE_BOOL, node);
    for (; guard != end; guard = guard->next) {
        int index = from_index(items, guard->index, node);
        int low = operation2(items, OP_LE, DTYPE_BOOL, constant(items, (double)guard->low, DTYPE_I32, node),
                             index, node);
        int high = operation2(items, OP_LT, DTYPE_BOOL, index,
                              constant(items, (double)guard->high, DTYPE_I32, node), node);
        int both[2] = {low, high};
        for (int i = 0; i < 2; i++) {
            const Item *one = &items->items[both[i]];
            const Item *all = &items->items[result];
            if (all->kind == SCALAR_CONST && all->number != 0) {
                result = both[i];
            } else if (one->kind != SCALAR_CONST || one->number == 0) {
                result = operation2(items, OP_AND, DTYPE_BOOL, result, both[i], node);
            }
        }
    }
    return result;
}

static int selected(Items *items, int when, int yes, int no, NodeId node)
{
    return operation(items, (Item){.kind = SCALAR_OP,
                                   .op = OP_WHERE,
                                   .dtype = fusion_node(items->fusion, node)->dtype,
                                   .args = {when, yes, no},
                                   .n_args = 3,
                                   .node = node});
}

static int padded(Items *items, NodeId id, const Access *access, const Guard *guard)
{
    Fusion *fusion = items->fusion;
    const Node *node = fusion_node(fusion, id);
    int zero = constant(items, 0, node->dtype, id);
    Guarded inner = access_pull_pad(fusion->pool, fusion->arena, fusion->graph, id, access, guard);
    if (inner.is_never) {
        return zero;
    }
    int value = evaluate(items, node->inputs[0], &inner.access, inner.guard);
    bool is_guarded_load =
        items->items[value].kind == SCALAR_LOAD && items->items[value].guard == inner.guard;
    if (is_guarded_load || inner.guard == guard) {
        return value;
    }
    return selected(items, condition(items, inner.guard, guard, id), value, zero, id);
}

static int concatenated(Items *items, NodeId id, const Access *access, const Guard *guard)
{
    Fusion *fusion = items->fusion;
    const Node *node = fusion_node(fusion, id);
    int result = -1;
    for (int i = node->n_inputs - 1; i >= 0; i--) {
        Guarded part = access_pull_part(fusion->pool, fusion->arena, fusion->graph, id, i, access, guard);
        if (part.is_never) {
            continue;
        }
        int value = evaluate(items, node->inputs[i], &part.access, part.guard);
        int64_t end = 0;
        for (int j = 0; j <= i; j++) {
            end += fusion_node(fusion, node->inputs[j])->shape.dim[node->attr.axis];
        }
        if (result < 0) {
            result = value;
            continue;
        }
        Guard before = {access->at[node->attr.axis], INT64_MIN / 2, end, NULL};
        int index = from_index(items, before.index, id);
        int is_before =
            operation2(items, OP_LT, DTYPE_BOOL, index, constant(items, (double)end, DTYPE_I32, id), id);
        result = selected(items, is_before, value, result, id);
    }
    XV_ASSERT(result >= 0);
    return result;
}

static int taken(Items *items, NodeId id, const Access *access, const Guard *guard)
{
    Fusion *fusion = items->fusion;
    const Node *node = fusion_node(fusion, id);
    const Shape *rows = &fusion_node(fusion, node->inputs[0])->shape;
    Access at = {.rank = fusion_node(fusion, node->inputs[1])->shape.rank};
    for (int i = 0; i < at.rank; i++) {
        at.at[i] = access->at[i];
    }
    Access row = {.rank = rows->rank};
    row.at[0] = gathered(items, evaluate(items, node->inputs[1], &at, guard), rows->dim[0]);
    for (int i = 1; i < rows->rank; i++) {
        row.at[i] = access->at[at.rank + i - 1];
    }
    return evaluate(items, node->inputs[0], &row, guard);
}

// Values ----------------------------------------------------------------------------------------------------------

int items_sum(Items *items, const Member *member)
{
    for (int i = 0; i < items->n_sums; i++) {
        if (items->sums[i].member == member) {
            return i;
        }
    }
    Access access = access_substitute(items->fusion->pool, &member->input.access, items->domain);
    int value = evaluate(items, fusion_node(items->fusion, member->node)->inputs[0], &access, NULL);
    RowSum sum = {.member = member, .value = value, .id = -1};
    VEC_PUSH(items->fusion->arena, items->sums, items->n_sums, items->sum_capacity, sum);
    return items->n_sums - 1;
}

static int accumulated(Items *items, NodeId id)
{
    const Fusion *fusion = items->fusion;
    const Member *member = &fusion->groups[items->group].members[fusion->member_of[id]];
    XV_ASSERT(member->at.level == LEVEL_ROW || member->at.level == LEVEL_OUTER);
    int sum = items_sum(items, member);
    return add_item(items, (Item){.kind = SCALAR_ACC,
                                  .dtype = fusion_node(fusion, id)->dtype,
                                  .sum = sum,
                                  .node = id,
                                  .phase = items->items[items->sums[sum].value].phase + 1,
                                  .uses_lane = member->at.level == LEVEL_OUTER});
}

static int computed(Items *items, NodeId id, const Access *access, const Guard *guard)
{
    Fusion *fusion = items->fusion;
    const Node *node = fusion_node(fusion, id);
    Item item = {
        .kind = SCALAR_OP, .op = node->op, .dtype = node->dtype, .n_args = node->n_inputs, .node = id};
    switch (node->op) {
    case OP_CONST: return constant(items, node->attr.number, node->dtype, id);
    case OP_IOTA: return from_index(items, access->at[node->attr.axis], id);
    case OP_KEEP: {
        const IndexExpr *index = access_linear(fusion->pool, access, &node->shape);
        index = guard ? index_mod(fusion->pool, index, shape_count(&node->shape)) : index;
        return add_item(items, (Item){.kind = SCALAR_KEEP,
                                      .dtype = DTYPE_F32,
                                      .index = index,
                                      .draw = node->attr.index,
                                      .node = id});
    }
    case OP_STOP_GRADIENT: return evaluate(items, node->inputs[0], access, guard);
    case OP_PAD: return padded(items, id, access, guard);
    case OP_CONCAT: return concatenated(items, id, access, guard);
    case OP_TAKE: return taken(items, id, access, guard);
    default: break;
    }
    if (move_is_plain(fusion->graph, id)) {
        Access below = access_pull(fusion->pool, fusion->graph, id, access);
        return evaluate(items, node->inputs[0], &below, guard);
    }
    if (op_info(node->op)->class != CLASS_ELEMENTWISE) {
        XV_BUG("%s (node %d) is needed where it is not computed", op_info(node->op)->name, id);
    }
    for (int i = 0; i < node->n_inputs; i++) {
        item.args[i] = evaluate(items, node->inputs[i], access, guard);
    }
    return operation(items, item);
}

static ItemMemo *memo_at(ItemMemo *memos, int n_slots, const ItemMemo *key, int rank)
{
    uint64_t hash = mixed((uint64_t)key->node + 1, (uint64_t)(uintptr_t)key->guard);
    for (int i = 0; i < rank; i++) {
        hash = mixed(hash, (uint64_t)(uintptr_t)key->at[i]);
    }
    uint64_t at = hash % (uint64_t)n_slots;
    for (; memos[at].item; at = (at + 1) % (uint64_t)n_slots) {
        bool is_same = memos[at].node == key->node && memos[at].guard == key->guard &&
                       memcmp(memos[at].at, key->at, sizeof key->at) == 0;
        if (is_same) {
            break;
        }
    }
    return &memos[at];
}

static void grow_memos(Items *items)
{
    int n_slots = 2 * items->n_slots;
    ItemMemo *memos = arena_alloc(items->fusion->arena, (size_t)n_slots * sizeof *memos);
    for (int i = 0; i < items->n_slots; i++) {
        const ItemMemo *memo = &items->memos[i];
        if (memo->item) {
            *memo_at(memos, n_slots, memo, fusion_node(items->fusion, memo->node)->shape.rank) = *memo;
        }
    }
    items->memos = memos;
    items->n_slots = n_slots;
}

static int evaluate(Items *items, NodeId id, const Access *access, const Guard *guard)
{
    Fusion *fusion = items->fusion;
    const Value *value = &fusion->values[id];
    bool is_member = value->role == ROLE_COMPUTE && value->group == items->group;
    if (is_member && op_info(fusion_node(fusion, id)->op)->class == CLASS_REDUCE) {
        return accumulated(items, id);
    }
    ItemMemo key = {.node = id, .guard = guard};
    memcpy(key.at, access->at, (size_t)access->rank * sizeof key.at[0]);
    const ItemMemo *memo = memo_at(items->memos, items->n_slots, &key, access->rank);
    if (memo->item) {
        return memo->item - 1;
    }
    bool is_load = value->places && !is_member;
    int item = is_load ? load(items, id, access, guard) : computed(items, id, access, guard);
    key.item = item + 1;
    *memo_at(items->memos, items->n_slots, &key, access->rank) = key;
    if (2 * ++items->n_memos > items->n_slots) {
        grow_memos(items);
    }
    return item;
}

int items_member(Items *items, const Member *member)
{
    Access access = access_substitute(items->fusion->pool, &member->at.access, items->domain);
    return evaluate(items, member->node, &access, NULL);
}

const IndexExpr *items_address(Items *items, const Member *member, const Place *place)
{
    Access access = access_substitute(items->fusion->pool, &member->at.access, items->domain);
    return place_address(items->fusion, place, &access);
}
