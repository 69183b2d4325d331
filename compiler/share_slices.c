// Gathers of all parts of a tensor become one gather of the tensor: TAKE(SLICE(x), i) = SLICE(TAKE(x, i)) and the same
// for CONCAT, where SLICE cuts the last dimension and every part is gathered as often as the others. Equal gathers are
// then merged by simplify. Keys and values of several layers, made as one pack, are brought into place together.
#include "compiler/share.h"

#include "compiler/build.h"
#include "compiler/rewrite.h"

// A node as columns of a wider one.
typedef struct Part {
    NodeId wide;  // new graph; NO_NODE: nothing
    int64_t start;
} Part;

typedef struct Slicer {
    const Graph *from;
    NodeId *map;
    Part *parts;        // per old node
    bool *is_gathered;  // per old node: a SLICE of which only gathers are made
    int *n_gathers;     // per old node: of a SLICE
    Build build;
} Slicer;

static const Node *node_at(const Slicer *s, NodeId id)
{
    return &s->from->nodes[id];
}

static int64_t last_of(const Node *node)
{
    return node->shape.rank > 0 ? node->shape.dim[node->shape.rank - 1] : 1;
}

// A range of the last dimension and all of the others.
static bool cuts_columns(const Slicer *s, NodeId id)
{
    const Node *node = node_at(s, id);
    if (node->op != OP_SLICE || node->shape.rank < 2) {
        return false;
    }
    const Shape *whole = &node_at(s, node->inputs[0])->shape;
    int last = node->shape.rank - 1;
    bool is_cut = node->attr.step[last] == 1;
    for (int i = 0; i < last; i++) {
        is_cut = is_cut && node->shape.dim[i] == whole->dim[i] && node->attr.step[i] == 1;
    }
    return is_cut;
}

static bool gathers_rows(const Node *node, int input)
{
    int last = node->shape.rank - 1;
    return (node->op == OP_TAKE && input == 0 && last > 0) ||
           (node->op == OP_CONCAT && node->attr.axis < last);
}

// Counts the gathers of slices, and marks slices that have no other use.
static void find_slices(Slicer *s)
{
    for (NodeId id = 0; id < s->from->n_nodes; id++) {
        s->is_gathered[id] = cuts_columns(s, id);
    }
    for (NodeId id = 0; id < s->from->n_nodes; id++) {
        const Node *node = node_at(s, id);
        for (int i = 0; i < node->n_inputs; i++) {
            bool is_gather = gathers_rows(node, i);
            s->n_gathers[node->inputs[i]] += is_gather;
            s->is_gathered[node->inputs[i]] = s->is_gathered[node->inputs[i]] && is_gather;
        }
    }
    for (int i = 0; i < s->from->n_outputs; i++) {
        s->is_gathered[s->from->outputs[i].node] = false;
    }
}

// What the slices of a tensor have in common.
typedef struct Whole {
    int64_t columns;  // of all slices together
    int n_slices, n_gathers;
    bool is_good;
} Whole;

static void add_slice(const Slicer *s, Whole *whole, NodeId slice)
{
    whole->is_good = whole->n_slices == 0 || whole->n_gathers == s->n_gathers[slice];
    whole->n_gathers = s->n_gathers[slice];
    whole->columns += last_of(node_at(s, slice));
    whole->n_slices++;
}

// Slices that are all of their tensor, each gathered as often as the others, are lifted.
static void choose_slices(Slicer *s)
{
    Whole *wholes = arena_alloc(s->build.graph->arena, ((size_t)s->from->n_nodes + 1) * sizeof *wholes);
    bool *has_other = arena_alloc(s->build.graph->arena, (size_t)s->from->n_nodes + 1);
    for (NodeId id = 0; id < s->from->n_nodes; id++) {
        const Node *node = node_at(s, id);
        for (int i = 0; i < node->n_inputs; i++) {
            has_other[node->inputs[i]] = has_other[node->inputs[i]] || !s->is_gathered[id];
        }
        if (s->is_gathered[id]) {
            bool was_good = wholes[node->inputs[0]].n_slices == 0 || wholes[node->inputs[0]].is_good;
            add_slice(s, &wholes[node->inputs[0]], id);
            wholes[node->inputs[0]].is_good = wholes[node->inputs[0]].is_good && was_good;
        }
    }
    for (NodeId id = 0; id < s->from->n_nodes; id++) {
        NodeId x = s->is_gathered[id] ? node_at(s, id)->inputs[0] : NO_NODE;
        s->is_gathered[id] = x != NO_NODE && wholes[x].is_good && wholes[x].n_slices > 1 && !has_other[x] &&
                             wholes[x].columns == last_of(node_at(s, x));
    }
}

// Building ----------------------------------------------------------------------------------------------------------

static NodeId cut(Slicer *s, const Part *part, const Shape *shape)
{
    int64_t start[MAX_RANK] = {0}, step[MAX_RANK];
    for (int i = 0; i < MAX_RANK; i++) {
        step[i] = 1;
    }
    start[shape->rank - 1] = part->start;
    return graph_slice(s->build.graph, part->wide, start, step, shape, &s->build.origin);
}

// Whether all parts of a CONCAT are the same columns of tensors of one width.
static bool are_alike(const Slicer *s, const Node *concat)
{
    const Part *first = &s->parts[concat->inputs[0]];
    for (int i = 0; i < concat->n_inputs; i++) {
        const Part *part = &s->parts[concat->inputs[i]];
        if (part->wide == NO_NODE || part->start != first->start ||
            build_last(&s->build, part->wide) != build_last(&s->build, first->wide)) {
            return false;
        }
    }
    return true;
}

static NodeId joined(Slicer *s, const Node *concat)
{
    NodeId *wides = arena_alloc(s->build.graph->arena, (size_t)concat->n_inputs * sizeof *wides);
    for (int i = 0; i < concat->n_inputs; i++) {
        wides[i] = s->parts[concat->inputs[i]].wide;
    }
    return graph_concat(s->build.graph, wides, concat->n_inputs, concat->attr.axis, &s->build.origin);
}

static NodeId visit(Slicer *s, NodeId id)
{
    const Node *node = node_at(s, id);
    Part *part = &s->parts[id];
    s->build.origin = node_origin(s->from, id);
    if (s->is_gathered[id]) {
        *part = (Part){s->map[node->inputs[0]], node->attr.start[node->shape.rank - 1]};
    } else if (node->op == OP_TAKE && gathers_rows(node, 0) && s->parts[node->inputs[0]].wide != NO_NODE) {
        const Part *of = &s->parts[node->inputs[0]];
        NodeId wide = graph_take(s->build.graph, of->wide, s->map[node->inputs[1]], &s->build.origin);
        *part = (Part){wide, of->start};
    } else if (node->op == OP_CONCAT && gathers_rows(node, 0) && are_alike(s, node)) {
        *part = (Part){joined(s, node), s->parts[node->inputs[0]].start};
    }
    return part->wide != NO_NODE ? cut(s, part, &node->shape)
                                 : graph_copy_node(s->build.graph, s->from, id, s->map);
}

Graph *share_slices(Arena *arena, const Graph *graph)
{
    size_t n = (size_t)graph->n_nodes + 1;
    Slicer s = {.from = graph, .map = graph_new_map(arena, graph)};
    s.build.graph = graph_new_rewrite(arena, graph);
    s.parts = arena_alloc(arena, n * sizeof *s.parts);
    s.is_gathered = arena_alloc(arena, n);
    s.n_gathers = arena_alloc(arena, n * sizeof *s.n_gathers);
    find_slices(&s);
    choose_slices(&s);
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        s.parts[id].wide = NO_NODE;
        s.map[id] = visit(&s, id);
    }
    graph_copy_outputs(s.build.graph, graph, s.map);
    return graph_prune(arena, s.build.graph);
}
