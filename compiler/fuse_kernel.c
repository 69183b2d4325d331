// The domain of a kernel and its assembly; see fuse_internal.h. A group's dimensions are merged where that makes no
// address harder to compute: contiguous data becomes rows of one long dimension, whatever shape the graph gives it.
#include "compiler/fuse_stages.h"

enum { MOST_LANES = 4096, ROWS_PER_CHUNK = 8, MOST_CHUNKS = 32 };

// Consecutive dimensions start[i]..start[i + 1] - 1 of the group are one of the kernel.
typedef struct Runs {
    int n_runs;
    int start[MAX_RANK + 1];
} Runs;

static int64_t extent_of(const Domain *domain, const Runs *runs, int run)
{
    int64_t extent = 1;
    for (int i = runs->start[run]; i < runs->start[run + 1]; i++) {
        extent *= domain->row[i];
    }
    return extent;
}

// The group's row variables in terms of one variable per run; the last run is `last` if that is given.
static IndexMap map_of_runs(Fusion *fusion, const Domain *domain, const Runs *runs, const IndexExpr *last)
{
    IndexPool *pool = fusion->pool;
    IndexMap map = {.lane = index_variable(pool, INDEX_LANE, 0, domain->lanes)};
    for (int i = 0; i < domain->n_reduce; i++) {
        map.reduce[i] = index_variable(pool, INDEX_REDUCE, i, domain->reduce[i]);
    }
    for (int run = 0; run < runs->n_runs; run++) {
        bool is_given = last && run == runs->n_runs - 1;
        const IndexExpr *whole =
            is_given ? last : index_variable(pool, INDEX_ROW, run, extent_of(domain, runs, run));
        int64_t stride = 1;
        for (int i = runs->start[run + 1] - 1; i >= runs->start[run]; i--) {
            map.row[i] = index_mod(pool, index_div(pool, whole, stride), domain->row[i]);
            stride *= domain->row[i];
        }
    }
    if (last) {
        map.lane = index_const(pool, 0);
    }
    return map;
}

// Divisions in all addresses of the kernel.
static int divisions(Fusion *fusion, const Items *items, const IndexMap *map)
{
    int total = 0;
    for (int i = 0; i < items->n_items; i++) {
        const Item *item = &items->items[i];
        if (item->index && item->kind != SCALAR_INDEX) {
            total += 4 * index_divisions(index_substitute(fusion->pool, item->index, map));
        } else if (item->index) {
            total += index_divisions(index_substitute(fusion->pool, item->index, map));
        }
        for (const Guard *guard = item->guard; guard; guard = guard->next) {
            total += index_divisions(index_substitute(fusion->pool, guard->index, map));
        }
    }
    return total;
}

typedef struct Addresses {
    const IndexExpr **items;
    int n_items;
} Addresses;

static int store_divisions(Fusion *fusion, const Addresses *stores, const IndexMap *map)
{
    int total = 0;
    for (int i = 0; i < stores->n_items; i++) {
        total += 4 * index_divisions(index_substitute(fusion->pool, stores->items[i], map));
    }
    return total;
}

static Runs single_runs(const Domain *domain)
{
    Runs runs = {.n_runs = domain->n_rows};
    for (int i = 0; i <= domain->n_rows; i++) {
        runs.start[i] = i;
    }
    return runs;
}

// Merges neighbours from the innermost outwards while no address gets harder.
static Runs merged_runs(Fusion *fusion, const Domain *domain, const Items *items, const Addresses *stores)
{
    Runs runs = single_runs(domain);
    if (runs.n_runs < 2) {
        return runs;
    }
    IndexMap map = map_of_runs(fusion, domain, &runs, NULL);
    int best = divisions(fusion, items, &map) + store_divisions(fusion, stores, &map);
    for (int run = runs.n_runs - 2; run >= 0; run--) {
        Runs candidate = {.n_runs = runs.n_runs - 1};
        for (int i = 0; i <= candidate.n_runs; i++) {
            candidate.start[i] = runs.start[i <= run ? i : i + 1];
        }
        map = map_of_runs(fusion, domain, &candidate, NULL);
        int cost = divisions(fusion, items, &map) + store_divisions(fusion, stores, &map);
        if (cost <= best) {
            runs = candidate;
            best = cost;
        }
    }
    return runs;
}

// How many elements of the last run become lanes: the largest product of its inner dimensions that is not too large,
// or a divisor if there is none.
static int64_t lanes_of_run(const Domain *domain, const Runs *runs)
{
    int last = runs->n_runs - 1;
    int64_t extent = extent_of(domain, runs, last);
    int64_t lanes = 1;
    for (int i = runs->start[last + 1] - 1; i >= runs->start[last] && lanes * domain->row[i] <= MOST_LANES;
         i--) {
        lanes *= domain->row[i];
    }
    for (int64_t divisor = MOST_LANES; divisor > 256 && lanes < 256; divisor--) {
        lanes = extent % divisor == 0 ? divisor : lanes;
    }
    bool is_small = lanes < 32 && extent <= 4 * MOST_LANES;
    return is_small ? extent : lanes;
}

static Addresses store_addresses(Items *items)
{
    Fusion *fusion = items->fusion;
    const Group *group = &fusion->groups[items->group];
    int capacity = 0;
    for (int i = 0; i < group->n_members; i++) {
        for (const Place *place = fusion->values[group->members[i].node].places; place; place = place->next) {
            capacity++;
        }
    }
    Addresses stores = {arena_alloc(fusion->arena, ((size_t)capacity + 1) * sizeof *stores.items), 0};
    for (int i = 0; i < group->n_members; i++) {
        for (const Place *place = fusion->values[group->members[i].node].places; place; place = place->next) {
            stores.items[stores.n_items++] = items_address(items, &group->members[i], place);
            if (group->members[i].at.level == LEVEL_COLUMN) {
                items_sum(items, &group->members[i]);
            } else {
                items_member(items, &group->members[i]);
            }
        }
    }
    return stores;
}

// The kernel's loops, and the group's variables in terms of them.
static IndexMap choose_domain(Fusion *fusion, int group, Kernel *kernel)
{
    const Domain *domain = &fusion->groups[group].domain;
    Runs runs = single_runs(domain);
    IndexMap same = map_of_runs(fusion, domain, &runs, NULL);
    Items *items = items_new(fusion, group, &same);
    Addresses stores = store_addresses(items);
    runs = merged_runs(fusion, domain, items, &stores);
    kernel->lanes = domain->lanes;
    kernel->n_reduce_dims = domain->n_reduce;
    for (int i = 0; i < domain->n_reduce; i++) {
        kernel->reduce_dims[i] = domain->reduce[i];
    }
    kernel->n_row_dims = runs.n_runs;
    for (int i = 0; i < runs.n_runs; i++) {
        kernel->row_dims[i] = extent_of(domain, &runs, i);
    }
    if (domain->is_fixed || runs.n_runs == 0) {
        return map_of_runs(fusion, domain, &runs, NULL);
    }
    int last = runs.n_runs - 1;
    kernel->lanes = lanes_of_run(domain, &runs);
    kernel->row_dims[last] /= kernel->lanes;
    kernel->n_row_dims -= kernel->row_dims[last] == 1;
    const IndexExpr *row = index_variable(fusion->pool, INDEX_ROW, last, kernel->row_dims[last]);
    const IndexExpr *lane = index_variable(fusion->pool, INDEX_LANE, 0, kernel->lanes);
    const IndexExpr *whole = index_add(fusion->pool, index_mul(fusion->pool, row, kernel->lanes), lane);
    return map_of_runs(fusion, domain, &runs, whole);
}

static int chunks_of(const Kernel *kernel)
{
    int64_t rows = 1;
    for (int i = 0; i < kernel->n_row_dims; i++) {
        rows *= kernel->row_dims[i];
    }
    int64_t chunks = (rows + ROWS_PER_CHUNK - 1) / ROWS_PER_CHUNK;
    return (int)(chunks < MOST_CHUNKS ? chunks : MOST_CHUNKS);
}

const Kernel *fuse_kernel(Fusion *fusion, int group)
{
    Kernel *kernel = arena_alloc(fusion->arena, sizeof *kernel);
    IndexMap map = choose_domain(fusion, group, kernel);
    fuse_stages(items_new(fusion, group, &map), kernel);
    const Group *g = &fusion->groups[group];
    for (int i = 0; i < g->n_members; i++) {
        bool is_stored = fusion->values[g->members[i].node].places != NULL;
        if (is_stored && g->members[i].at.level == LEVEL_COLUMN) {
            kernel->row_chunks = chunks_of(kernel);
        }
    }
    return kernel;
}
