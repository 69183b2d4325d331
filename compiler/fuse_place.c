// Where library results and operands lie; see fuse_internal.h. The aim is that no movement becomes a copy: results are
// written through strides in the layout that their users want, operands are read through strides, and only where that
// is impossible does a node become stored in between, if possible by the kernel that computes it.
#include "compiler/fuse_internal.h"

enum { MAX_PARTS = 16 };

const IndexExpr *place_address(Fusion *fusion, const Place *place, const Access *access)
{
    Access at = *access;
    for (int i = 0; i < place->n_path; i++) {
        NodeId id = place->path[i].node;
        OpClass class = op_info(fusion_node(fusion, id)->op)->class;
        if (class == CLASS_MOVE || class == CLASS_COLLECTIVE) {
            at = access_push(fusion->pool, fusion->graph, id, place->path[i].part, &at);
        }
    }
    return access_linear(fusion->pool, &at, &fusion_node(fusion, place->storage)->shape);
}

Place *place_add(Fusion *fusion, NodeId value, NodeId storage, const PathStep *path, int n_path)
{
    PathStep *owned = arena_alloc(fusion->arena, ((size_t)n_path + 1) * sizeof *owned);
    for (int i = 0; i < n_path; i++) {
        owned[i] = path[i];
    }
    Place *place = arena_alloc(fusion->arena, sizeof *place);
    *place = (Place){storage, owned, n_path, NULL};
    Place **end = &fusion->values[value].places;
    while (*end) {
        end = &(*end)->next;
    }
    *end = place;
    return place;
}

static bool has_place_at(const Fusion *fusion, NodeId value, NodeId storage)
{
    for (const Place *place = fusion->values[value].places; place; place = place->next) {
        if (place->storage == storage) {
            return true;
        }
    }
    return false;
}

void place_itself(Fusion *fusion, NodeId value)
{
    if (!has_place_at(fusion, value, value)) {
        place_add(fusion, value, value, NULL, 0);
    }
}

Need operand_need(const Node *node, int input)
{
    switch (node->op) {
    case OP_MATMUL: return NEED_MATRIX;
    case OP_ATTENTION: return input < 3 ? NEED_UNIT_LAST : NEED_STRIDES;
    case OP_ATTENTION_GRAD: return input == 4 ? NEED_DENSE : input < 6 ? NEED_UNIT_LAST : NEED_STRIDES;
    case OP_SCATTER_ADD: return input == 1 && node->shape.rank == 2 ? NEED_LEADING : NEED_DENSE;
    default: return NEED_DENSE;
    }
}

Need result_need(Op op, int result)
{
    switch (op) {
    case OP_MATMUL: return NEED_MATRIX;
    case OP_ATTENTION: return result == 0 ? NEED_UNIT_LAST : NEED_DENSE;
    case OP_ATTENTION_GRAD: return result < 3 ? NEED_UNIT_LAST : NEED_DENSE;
    default: return NEED_DENSE;
    }
}

static Need need_of_value(const Fusion *fusion, NodeId value)
{
    const Node *node = fusion_node(fusion, value);
    int result = node->op == OP_RESULT ? node->attr.index : 0;
    NodeId call = fusion->values[value].call;
    return fusion->bias[call] != NO_NODE ? NEED_ROWS : result_need(fusion_node(fusion, call)->op, result);
}

// Library results -------------------------------------------------------------------------------------------------

typedef struct Route {
    PathStep steps[MAX_PATH];
    int n_steps;
    NodeId end;
} Route;

static bool fits_at_end(Fusion *fusion, NodeId value, const Route *route)
{
    Place place = {.storage = route->end, .path = route->steps, .n_path = route->n_steps};
    View view;
    return view_of_result(fusion, value, &place, &view) && view_fits(&view, need_of_value(fusion, value));
}

// The one RESHAPE or PERMUTE that uses a node, or NO_NODE. An ATTENTION's own gradient may read it besides.
static NodeId only_move(const Fusion *fusion, NodeId id)
{
    const Value *value = &fusion->values[id];
    NodeId found = NO_NODE;
    for (int i = 0; i < value->users.n_items; i++) {
        NodeId user = value->users.items[i];
        Op op = fusion_node(fusion, user)->op;
        if (op == OP_RESULT || (op == OP_ATTENTION_GRAD && fusion_node(fusion, id)->op == OP_ATTENTION)) {
            continue;
        }
        bool is_move = (op == OP_RESHAPE || op == OP_PERMUTE) && fusion->values[user].role == ROLE_MOVE;
        if (!is_move || found != NO_NODE) {
            return NO_NODE;
        }
        found = user;
    }
    return value->is_output ? NO_NODE : found;
}

static bool extend(const Fusion *fusion, Route *route)
{
    NodeId next = only_move(fusion, route->end);
    if (next == NO_NODE || route->n_steps == MAX_PATH) {
        return false;
    }
    route->steps[route->n_steps++] = (PathStep){next, 0};
    route->end = next;
    return true;
}

static bool fits_with_sum(Fusion *fusion, NodeId value, const Route *route)
{
    for (; value != NO_NODE; value = fusion->accumulated[fusion->values[value].call]) {
        if (fusion->values[value].role != ROLE_LIBRARY) {
            break;
        }
        if (!fits_at_end(fusion, value, route)) {
            return false;
        }
    }
    return true;
}

// The furthest node in whose layout the value (and what it adds to) can be written; only a PERMUTE makes it worthwhile
// to leave the value itself.
static Route best_route(Fusion *fusion, NodeId value)
{
    Route best = {.end = value};
    Route route = best;
    bool has_permute = false;
    while (extend(fusion, &route)) {
        has_permute = has_permute || fusion_node(fusion, route.end)->op == OP_PERMUTE;
        if (has_permute && fits_with_sum(fusion, value, &route)) {
            best = route;
        }
    }
    return best;
}

// The value an accumulating call adds to lies in the same place.
static void place_sum(Fusion *fusion, NodeId value, const Place *place)
{
    NodeId from = fusion->accumulated[fusion->values[value].call];
    while (from != NO_NODE) {
        Place *same = place_add(fusion, from, place->storage, place->path, place->n_path);
        XV_ASSERT(fusion->values[from].places == same);
        from = fusion->values[from].role == ROLE_LIBRARY ? fusion->accumulated[fusion->values[from].call]
                                                         : NO_NODE;
    }
}

static void place_results(Fusion *fusion)
{
    for (NodeId id = fusion->graph->n_nodes - 1; id >= 0; id--) {
        Value *value = &fusion->values[id];
        if (value->role != ROLE_LIBRARY || value->places) {
            continue;
        }
        Route route = fusion->is_fused ? best_route(fusion, id) : (Route){.end = id};
        Place *place = place_add(fusion, id, route.end, route.steps, route.n_steps);
        place_sum(fusion, id, place);
    }
}

// Assembled values -------------------------------------------------------------------------------------------------

typedef struct Assembly {
    NodeId whole;
    NodeId parts[MAX_PARTS];  // library values
    Route routes[MAX_PARTS];  // from the part to `whole`
    NodeId pads[MAX_PARTS];   // PAD nodes, of a sum
    int n_parts;
} Assembly;

// Follows a single-use chain down to a library value and writes the way back into the route.
static bool find_part(Fusion *fusion, NodeId id, Assembly *assembly, PathStep last)
{
    NodeId chain[MAX_PATH];
    int n_chain = 0;
    while (fusion->values[id].role == ROLE_MOVE) {
        Op op = fusion_node(fusion, id)->op;
        bool is_good = (op == OP_RESHAPE || op == OP_PERMUTE) && fusion->values[id].users.n_items == 1 &&
                       !fusion->values[id].is_output && n_chain < MAX_PATH - 2;
        if (!is_good) {
            return false;
        }
        chain[n_chain++] = id;
        id = fusion_node(fusion, id)->inputs[0];
    }
    const Value *value = &fusion->values[id];
    int n_users = 0;
    for (int i = 0; i < value->users.n_items; i++) {
        n_users += fusion_node(fusion, value->users.items[i])->op != OP_RESULT;
    }
    bool is_good = value->role == ROLE_LIBRARY && n_users == 1 && !value->is_output && !value->places &&
                   assembly->n_parts < MAX_PARTS && fusion->accumulated[value->call] == NO_NODE;
    if (!is_good) {
        return false;
    }
    Route *route = &assembly->routes[assembly->n_parts];
    *route = (Route){.end = assembly->whole};
    while (n_chain > 0) {
        route->steps[route->n_steps++] = (PathStep){chain[--n_chain], 0};
    }
    route->steps[route->n_steps++] = last;
    assembly->parts[assembly->n_parts++] = id;
    return true;
}

static bool find_concat(Fusion *fusion, NodeId id, Assembly *assembly)
{
    const Node *node = fusion_node(fusion, id);
    *assembly = (Assembly){.whole = id};
    for (int i = 0; i < node->n_inputs; i++) {
        if (!find_part(fusion, node->inputs[i], assembly, (PathStep){id, i})) {
            return false;
        }
    }
    return true;
}

static bool find_summands(Fusion *fusion, NodeId id, Assembly *assembly)
{
    const Node *node = fusion_node(fusion, id);
    bool is_inner = id != assembly->whole;
    if (is_inner && (fusion->values[id].users.n_items != 1 || fusion->values[id].is_output)) {
        return false;
    }
    if (node->op == OP_ADD && fusion->values[id].role == ROLE_COMPUTE) {
        return find_summands(fusion, node->inputs[0], assembly) &&
               find_summands(fusion, node->inputs[1], assembly);
    }
    if (node->op != OP_PAD || assembly->n_parts == MAX_PARTS) {
        return false;
    }
    assembly->pads[assembly->n_parts] = id;
    return find_part(fusion, node->inputs[0], assembly, (PathStep){id, 0});
}

static bool are_disjoint(const Node *a, const Shape *size_a, const Node *b, const Shape *size_b)
{
    for (int i = 0; i < a->shape.rank; i++) {
        int64_t end_a = a->attr.start[i] + (size_a->dim[i] - 1) * a->attr.step[i];
        int64_t end_b = b->attr.start[i] + (size_b->dim[i] - 1) * b->attr.step[i];
        if (end_a < b->attr.start[i] || end_b < a->attr.start[i]) {
            return true;
        }
    }
    return false;
}

// A sum of PADs whose boxes cover everything without overlap.
static bool find_sum(Fusion *fusion, NodeId id, Assembly *assembly)
{
    *assembly = (Assembly){.whole = id};
    if (!find_summands(fusion, id, assembly)) {
        return false;
    }
    int64_t covered = 0;
    for (int i = 0; i < assembly->n_parts; i++) {
        const Node *pad = fusion_node(fusion, assembly->pads[i]);
        const Shape *size = &fusion_node(fusion, pad->inputs[0])->shape;
        covered += shape_count(size);
        for (int j = 0; j < i; j++) {
            const Node *other = fusion_node(fusion, assembly->pads[j]);
            if (!are_disjoint(pad, size, other, &fusion_node(fusion, other->inputs[0])->shape)) {
                return false;
            }
        }
    }
    return covered == shape_count(&fusion_node(fusion, id)->shape);
}

static bool all_fit(Fusion *fusion, const Assembly *assembly, const Route *onwards)
{
    for (int i = 0; i < assembly->n_parts; i++) {
        Route route = assembly->routes[i];
        if (route.n_steps + onwards->n_steps > MAX_PATH) {
            return false;
        }
        for (int j = 0; j < onwards->n_steps; j++) {
            route.steps[route.n_steps++] = onwards->steps[j];
        }
        route.end = onwards->end;
        if (!fits_at_end(fusion, assembly->parts[i], &route)) {
            return false;
        }
    }
    return true;
}

static void absorb_sum(Fusion *fusion, NodeId id, NodeId whole)
{
    Value *value = &fusion->values[id];
    const Node *node = fusion_node(fusion, id);
    bool is_add = node->op == OP_ADD;
    for (int i = 0; is_add && i < 2; i++) {
        absorb_sum(fusion, node->inputs[i], whole);
    }
    value->role = id == whole ? ROLE_ASSEMBLED : ROLE_ABSORBED;
}

static void assemble(Fusion *fusion, const Assembly *assembly)
{
    Route onwards = {.end = assembly->whole};
    if (!all_fit(fusion, assembly, &onwards)) {
        return;
    }
    for (Route route = onwards; extend(fusion, &route);) {
        if (all_fit(fusion, assembly, &route)) {
            onwards = route;
        }
    }
    absorb_sum(fusion, assembly->whole, assembly->whole);
    place_add(fusion, assembly->whole, onwards.end, onwards.steps, onwards.n_steps);
    for (int i = 0; i < assembly->n_parts; i++) {
        Route route = assembly->routes[i];
        for (int j = 0; j < onwards.n_steps; j++) {
            route.steps[route.n_steps++] = onwards.steps[j];
        }
        place_add(fusion, assembly->parts[i], onwards.end, route.steps, route.n_steps);
    }
}

static void find_assemblies(Fusion *fusion)
{
    for (NodeId id = fusion->graph->n_nodes - 1; id >= 0; id--) {
        Op op = fusion_node(fusion, id)->op;
        Role role = fusion->values[id].role;
        Assembly assembly;
        bool is_found = (op == OP_CONCAT && role == ROLE_MOVE && find_concat(fusion, id, &assembly)) ||
                        (op == OP_ADD && role == ROLE_COMPUTE && find_sum(fusion, id, &assembly));
        if (is_found) {
            assemble(fusion, &assembly);
        }
    }
}

// Operands and outputs -----------------------------------------------------------------------------------------------

// The bijective way from a computed value up to a node above it, or false.
static bool bijective_route(const Fusion *fusion, NodeId base, NodeId to, Route *route)
{
    int n_steps = 0;
    for (NodeId id = to; id != base; id = fusion_node(fusion, id)->inputs[0]) {
        if (!move_is_bijective(fusion->graph, id) || ++n_steps > MAX_PATH) {
            return false;
        }
    }
    *route = (Route){.n_steps = n_steps, .end = to};
    for (NodeId id = to; id != base; id = fusion_node(fusion, id)->inputs[0]) {
        route->steps[--n_steps] = (PathStep){id, 0};
    }
    return true;
}

// Sums over all rows are complete only in memory, lane by lane: their storage must have the same order.
static bool can_write(Fusion *fusion, NodeId base, const Route *route)
{
    Place place = {.storage = route->end, .path = route->steps, .n_path = route->n_steps};
    View view;
    return !reduction_is_column(fusion, base) ||
           (view_through_place(fusion, base, base, &place, &view) && view_fits(&view, NEED_DENSE));
}

// Stores a node on the chain above `base`: by the kernel that computes the base if that is possible.
static void store_above(Fusion *fusion, NodeId base, NodeId id)
{
    Route route;
    if (fusion->values[base].role == ROLE_COMPUTE && bijective_route(fusion, base, id, &route) &&
        can_write(fusion, base, &route)) {
        if (!has_place_at(fusion, base, id)) {
            place_add(fusion, base, id, route.steps, route.n_steps);
        }
        return;
    }
    if (fusion->values[id].role != ROLE_COMPUTE) {
        role_make_copy(fusion, id);
    }
    place_itself(fusion, id);
}

static void make_readable(Fusion *fusion, NodeId node, Need need)
{
    Reading reading;
    if (find_view(fusion, node, need, &reading)) {
        return;
    }
    NodeId base = chain_base(fusion, node);
    NodeId chain[MAX_PATH * 2];
    int n_chain = 0;
    for (NodeId id = node; id != base && n_chain < MAX_PATH * 2; id = fusion_node(fusion, id)->inputs[0]) {
        chain[n_chain++] = id;
    }
    bool is_kept = fusion->values[base].role == ROLE_LIBRARY || fusion->values[base].role == ROLE_SOURCE ||
                   fusion->values[base].role == ROLE_ASSEMBLED;
    bool is_generator = fusion->values[base].role == ROLE_GENERATOR;
    View view;
    if (!is_kept && !is_generator && view_through_node(fusion, node, base, &view) && view_fits(&view, need)) {
        store_above(fusion, base, base);
        return;
    }
    for (int i = n_chain - 1; i > 0 && !is_generator; i--) {
        if (view_through_node(fusion, node, chain[i], &view) && view_fits(&view, need)) {
            store_above(fusion, base, chain[i]);
            return;
        }
    }
    store_above(fusion, base, node);
}

static void place_operands(Fusion *fusion)
{
    for (NodeId id = 0; id < fusion->graph->n_nodes; id++) {
        const Node *node = fusion_node(fusion, id);
        if (fusion->values[id].role == ROLE_DEAD || !node_is_library(fusion, id)) {
            continue;
        }
        int n_operands = node->op == OP_MATMUL ? 2 : node->n_inputs;
        for (int i = 0; i < n_operands; i++) {
            make_readable(fusion, node->inputs[i], operand_need(node, i));
        }
        if (fusion->bias[id] != NO_NODE) {
            make_readable(fusion, fusion->bias[id], NEED_DENSE);
        }
    }
}

// Whether another output already counts on this storage.
static bool is_claimed(const Fusion *fusion, NodeId storage)
{
    for (int i = 0; i < fusion->graph->n_outputs; i++) {
        NodeId id = fusion->graph->outputs[i].node;
        if (id == storage || fusion->alias[id] == storage) {
            return true;
        }
    }
    return false;
}

// An output that is, byte for byte, a stored value.
static bool find_alias(Fusion *fusion, NodeId id)
{
    NodeId base = chain_base(fusion, id);
    for (const Place *place = fusion->values[base].places; place; place = place->next) {
        View view;
        const Shape *shape = &fusion_node(fusion, place->storage)->shape;
        bool is_whole = shape_count(shape) == shape_count(&fusion_node(fusion, id)->shape);
        bool is_source = fusion->values[place->storage].role == ROLE_SOURCE;
        if (is_whole && !is_source && !is_claimed(fusion, place->storage) &&
            view_through_place(fusion, id, base, place, &view) && view_fits(&view, NEED_DENSE) &&
            view.offset == 0) {
            fusion->alias[id] = place->storage;
            return true;
        }
    }
    return false;
}

static void place_outputs(Fusion *fusion)
{
    for (int i = 0; i < fusion->graph->n_outputs; i++) {
        NodeId id = fusion->graph->outputs[i].node;
        NodeId base = chain_base(fusion, id);
        if (fusion->values[id].role == ROLE_SOURCE || has_place_at(fusion, base, id) ||
            find_alias(fusion, id)) {
            continue;
        }
        if (fusion->values[id].role == ROLE_GENERATOR) {
            role_make_copy(fusion, id);
        }
        store_above(fusion, chain_base(fusion, id), id);
    }
}

void fuse_places(Fusion *fusion)
{
    for (NodeId id = 0; id < fusion->graph->n_nodes; id++) {
        Role role = fusion->values[id].role;
        fusion->alias[id] = NO_NODE;
        if (role == ROLE_SOURCE || (role == ROLE_COMPUTE && !fusion->is_fused)) {
            place_itself(fusion, id);
        }
    }
    if (fusion->is_fused) {
        find_assemblies(fusion);
    }
    place_results(fusion);
    place_operands(fusion);
    place_outputs(fusion);
}
