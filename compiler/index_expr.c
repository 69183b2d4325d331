// Simplifying constructors over a hash table of expressions; see index_expr.h. Everything arithmetic happens on Sum:
// an expression is taken apart into terms, the terms are worked on, and build() puts them together in a fixed order.
#include "compiler/index_expr.h"

#include "compiler/base/vec.h"

enum { MAX_TERMS = 96, FIRST_SLOTS = 1 << 10 };

typedef struct Entry {
    IndexExpr expr;   // first: an IndexExpr of a pool is its Entry
    uint32_t number;  // order of creation
    unsigned uses;    // bit per IndexKind
    int divisions;
} Entry;

struct IndexPool {
    Arena *arena;
    Entry **slots;
    int n_slots, n_entries;
};

typedef struct Term {
    const IndexExpr *atom;
    int64_t factor;
} Term;

typedef struct Sum {
    Term terms[MAX_TERMS];
    int n_terms;
    int64_t constant;
} Sum;

IndexPool *index_pool_new(Arena *arena)
{
    IndexPool *pool = arena_alloc(arena, sizeof *pool);
    pool->arena = arena;
    pool->n_slots = FIRST_SLOTS;
    pool->slots = arena_alloc(arena, FIRST_SLOTS * sizeof *pool->slots);
    return pool;
}

static const Entry *entry_of(const IndexExpr *index)
{
    return (const Entry *)(const void *)index;
}

static uint64_t mixed(uint64_t hash, uint64_t value)
{
    hash ^= value;
    hash *= 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

static uint64_t hash_of(const IndexExpr *index)
{
    uint64_t hash = mixed((uint64_t)index->kind + 1, (uint64_t)index->value);
    hash = mixed(hash, (uint64_t)index->variable);
    hash = mixed(hash, (uint64_t)index->high);
    hash = mixed(hash, index->a ? entry_of(index->a)->number + 1 : 0);
    hash = mixed(hash, index->b ? entry_of(index->b)->number + 1 : 0);
    return mixed(hash, (uint64_t)(uintptr_t)index->scalar);
}

static bool is_same(const IndexExpr *a, const IndexExpr *b)
{
    return a->kind == b->kind && a->value == b->value && a->variable == b->variable && a->a == b->a &&
           a->b == b->b && a->scalar == b->scalar && a->high == b->high;
}

static void grow(IndexPool *pool)
{
    int n_slots = 2 * pool->n_slots;
    Entry **slots = arena_alloc(pool->arena, (size_t)n_slots * sizeof *slots);
    for (int i = 0; i < pool->n_slots; i++) {
        Entry *entry = pool->slots[i];
        if (entry) {
            uint64_t at = hash_of(&entry->expr) % (uint64_t)n_slots;
            while (slots[at]) {
                at = (at + 1) % (uint64_t)n_slots;
            }
            slots[at] = entry;
        }
    }
    pool->slots = slots;
    pool->n_slots = n_slots;
}

static unsigned uses_of(const IndexExpr *index)
{
    unsigned uses = 1u << index->kind;
    uses |= index->a ? entry_of(index->a)->uses : 0;
    uses |= index->b ? entry_of(index->b)->uses : 0;
    if (index->scalar) {
        for (int kind = INDEX_ROW; kind <= INDEX_LANE; kind++) {
            uses |= scalar_uses(index->scalar, (IndexKind)kind) ? 1u << kind : 0;
        }
    }
    return uses;
}

// The pool's copy of an expression.
static const IndexExpr *pooled(IndexPool *pool, const IndexExpr *index)
{
    uint64_t at = hash_of(index) % (uint64_t)pool->n_slots;
    while (pool->slots[at]) {
        if (is_same(&pool->slots[at]->expr, index)) {
            return &pool->slots[at]->expr;
        }
        at = (at + 1) % (uint64_t)pool->n_slots;
    }
    Entry *entry = arena_alloc(pool->arena, sizeof *entry);
    entry->expr = *index;
    entry->number = (uint32_t)pool->n_entries++;
    entry->uses = uses_of(index);
    entry->divisions = (index->kind == INDEX_DIV || index->kind == INDEX_MOD) +
                       (index->a ? entry_of(index->a)->divisions : 0) +
                       (index->b ? entry_of(index->b)->divisions : 0);
    pool->slots[at] = entry;
    if (2 * pool->n_entries > pool->n_slots) {
        grow(pool);
    }
    return &entry->expr;
}

const IndexExpr *index_const(IndexPool *pool, int64_t value)
{
    return pooled(pool, &(IndexExpr){.kind = INDEX_CONST, .value = value, .low = value, .high = value});
}

const IndexExpr *index_variable(IndexPool *pool, IndexKind kind, int variable, int64_t extent)
{
    XV_ASSERT(extent >= 1);
    if (extent == 1) {
        return index_const(pool, 0);
    }
    return pooled(pool, &(IndexExpr){.kind = kind, .variable = variable, .high = extent - 1});
}

const IndexExpr *index_value(IndexPool *pool, const ScalarExpr *scalar, int64_t extent)
{
    if (extent == 1) {
        return index_const(pool, 0);
    }
    return pooled(pool, &(IndexExpr){.kind = INDEX_VALUE, .scalar = scalar, .high = extent - 1});
}

// Sums ----------------------------------------------------------------------------------------------------------

static void add_term(Sum *sum, const IndexExpr *atom, int64_t factor)
{
    for (int i = 0; i < sum->n_terms; i++) {
        if (sum->terms[i].atom == atom) {
            sum->terms[i].factor += factor;
            if (sum->terms[i].factor == 0) {
                sum->terms[i] = sum->terms[--sum->n_terms];
            }
            return;
        }
    }
    if (factor != 0) {
        XV_ASSERT(sum->n_terms < MAX_TERMS);
        sum->terms[sum->n_terms++] = (Term){atom, factor};
    }
}

static void collect(Sum *sum, const IndexExpr *index, int64_t factor)
{
    switch (index->kind) {
    case INDEX_CONST: sum->constant += factor * index->value; break;
    case INDEX_ADD:
        collect(sum, index->a, factor);
        collect(sum, index->b, factor);
        break;
    case INDEX_MUL: collect(sum, index->a, factor * index->value); break;
    default: add_term(sum, index, factor);
    }
}

typedef struct Range {
    int64_t low, high;
} Range;

static Range range_of(const Sum *sum)
{
    Range range = {sum->constant, sum->constant};
    for (int i = 0; i < sum->n_terms; i++) {
        int64_t factor = sum->terms[i].factor;
        const IndexExpr *atom = sum->terms[i].atom;
        range.low += factor * (factor > 0 ? atom->low : atom->high);
        range.high += factor * (factor > 0 ? atom->high : atom->low);
    }
    return range;
}

// Whether all terms of factor * y with a quotient or remainder are in the sum with exactly these factors.
static bool contains(const Sum *sum, const IndexExpr *y, int64_t factor)
{
    Sum wanted = {.n_terms = 0};
    collect(&wanted, y, factor);
    bool has_division = false;
    for (int i = 0; i < wanted.n_terms; i++) {
        IndexKind kind = wanted.terms[i].atom->kind;
        if (kind != INDEX_DIV && kind != INDEX_MOD) {
            continue;
        }
        has_division = true;
        bool is_found = false;
        for (int j = 0; j < sum->n_terms && !is_found; j++) {
            is_found =
                sum->terms[j].atom == wanted.terms[i].atom && sum->terms[j].factor == wanted.terms[i].factor;
        }
        if (!is_found) {
            return false;
        }
    }
    return has_division || wanted.n_terms == 1;
}

static bool is_term(const Sum *sum, const IndexExpr *atom, int64_t factor)
{
    for (int i = 0; i < sum->n_terms; i++) {
        if (sum->terms[i].atom == atom && sum->terms[i].factor == factor) {
            return true;
        }
    }
    return false;
}

// f (x mod n) + f n (x / n) = f x, and f (x mod n) + f n ((x / n + d) mod k) = f ((x + n d) mod n k).
static bool rejoin_one(IndexPool *pool, Sum *sum, Term mod)
{
    const IndexExpr *x = mod.atom->a;
    int64_t n = mod.atom->value;
    const IndexExpr *quotient = index_div(pool, x, n);
    if (contains(sum, quotient, mod.factor * n)) {
        collect(sum, mod.atom, -mod.factor);
        collect(sum, quotient, -mod.factor * n);
        collect(sum, x, mod.factor);
        return true;
    }
    for (int i = 0; i < sum->n_terms; i++) {
        Term outer = sum->terms[i];
        if (outer.atom->kind != INDEX_MOD || outer.factor != mod.factor * n) {
            continue;
        }
        const IndexExpr *offset = index_add(pool, outer.atom->a, index_mul(pool, quotient, -1));
        if (index_divisions(offset) == 0) {
            const IndexExpr *moved = index_add(pool, x, index_mul(pool, offset, n));
            const IndexExpr *both = index_mod(pool, moved, n * outer.atom->value);
            collect(sum, mod.atom, -mod.factor);
            collect(sum, outer.atom, -outer.factor);
            collect(sum, both, mod.factor);
            return true;
        }
    }
    return false;
}

static void rejoin(IndexPool *pool, Sum *sum)
{
    bool has_changed = true;
    for (int round = 0; has_changed && round < MAX_TERMS; round++) {
        has_changed = false;
        for (int i = 0; i < sum->n_terms && !has_changed; i++) {
            Term term = sum->terms[i];
            has_changed = term.atom->kind == INDEX_MOD && is_term(sum, term.atom, term.factor) &&
                          rejoin_one(pool, sum, term);
        }
    }
}

// Terms without the lane first, so that what is fixed in a row can be computed before the lane loop.
static int term_rank(const Term *term)
{
    static const int ranks[] = {[INDEX_ROW] = 0, [INDEX_REDUCE] = 1, [INDEX_DIV] = 2,
                                [INDEX_MOD] = 3, [INDEX_VALUE] = 4,  [INDEX_LANE] = 5};
    bool has_lane = (entry_of(term->atom)->uses >> INDEX_LANE & 1) != 0;
    return (has_lane ? 1000 : 0) + 100 * ranks[term->atom->kind] + term->atom->variable;
}

static bool comes_before(const Term *a, const Term *b)
{
    int rank_a = term_rank(a);
    int rank_b = term_rank(b);
    if (rank_a != rank_b) {
        return rank_a < rank_b;
    }
    return a->factor != b->factor ? a->factor > b->factor
                                  : entry_of(a->atom)->number < entry_of(b->atom)->number;
}

static void sort_terms(Sum *sum)
{
    for (int i = 1; i < sum->n_terms; i++) {
        Term term = sum->terms[i];
        int j = i;
        for (; j > 0 && comes_before(&term, &sum->terms[j - 1]); j--) {
            sum->terms[j] = sum->terms[j - 1];
        }
        sum->terms[j] = term;
    }
}

static const IndexExpr *joined(IndexPool *pool, const IndexExpr *a, const IndexExpr *b)
{
    if (!a) {
        return b;
    }
    return pooled(
        pool,
        &(IndexExpr){.kind = INDEX_ADD, .a = a, .b = b, .low = a->low + b->low, .high = a->high + b->high});
}

static const IndexExpr *scaled(IndexPool *pool, const Term *term)
{
    if (term->factor == 1) {
        return term->atom;
    }
    Sum one = {.terms = {*term}, .n_terms = 1};
    Range range = range_of(&one);
    return pooled(
        pool,
        &(IndexExpr){
            .kind = INDEX_MUL, .a = term->atom, .value = term->factor, .low = range.low, .high = range.high});
}

// The canonical expression of a sum; the constant stands before the terms with the lane.
static const IndexExpr *build(IndexPool *pool, Sum *sum)
{
    rejoin(pool, sum);
    sort_terms(sum);
    const IndexExpr *index = NULL;
    bool is_constant_in = sum->constant == 0;
    for (int i = 0; i < sum->n_terms; i++) {
        if (!is_constant_in && term_rank(&sum->terms[i]) >= 1000) {
            index = joined(pool, index, index_const(pool, sum->constant));
            is_constant_in = true;
        }
        index = joined(pool, index, scaled(pool, &sum->terms[i]));
    }
    if (!is_constant_in || !index) {
        index = joined(pool, index, index_const(pool, sum->constant));
    }
    return index;
}

const IndexExpr *index_add(IndexPool *pool, const IndexExpr *a, const IndexExpr *b)
{
    Sum sum = {.n_terms = 0};
    collect(&sum, a, 1);
    collect(&sum, b, 1);
    return build(pool, &sum);
}

const IndexExpr *index_mul(IndexPool *pool, const IndexExpr *a, int64_t factor)
{
    if (factor == 1) {
        return a;
    }
    Sum sum = {.n_terms = 0};
    collect(&sum, a, factor);
    return build(pool, &sum);
}

// Division ------------------------------------------------------------------------------------------------------

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t quotient = a / b;
    return quotient - (a % b != 0 && (a < 0) != (b < 0));
}

static int64_t gcd(int64_t a, int64_t b)
{
    a = a < 0 ? -a : a;
    while (b != 0) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

// Moves what the divisor divides out of `sum` and returns it, divided. The constant that stays is 0..divisor-1.
static Sum take_multiples(Sum *sum, int64_t divisor)
{
    Sum quotient = {.n_terms = 0};
    for (int i = 0; i < sum->n_terms;) {
        if (sum->terms[i].factor % divisor == 0) {
            add_term(&quotient, sum->terms[i].atom, sum->terms[i].factor / divisor);
            sum->terms[i] = sum->terms[--sum->n_terms];
        } else {
            i++;
        }
    }
    quotient.constant = floor_div(sum->constant, divisor);
    sum->constant -= quotient.constant * divisor;
    return quotient;
}

// Splits the sum into g * large + small with small in 0..g-1, for some g > 1 that divides the divisor. The largest
// such g is best: it leaves the smallest division.
static int64_t split_by_factor(const Sum *sum, int64_t divisor, Sum *large, Sum *small)
{
    int64_t best = 1;
    for (int i = 0; i < sum->n_terms; i++) {
        int64_t g = gcd(sum->terms[i].factor, divisor);
        if (g <= best) {
            continue;
        }
        Sum parts[2] = {{.n_terms = 0}, {.n_terms = 0}};
        for (int j = 0; j < sum->n_terms; j++) {
            Term term = sum->terms[j];
            bool is_multiple = term.factor % g == 0;
            add_term(&parts[is_multiple ? 0 : 1], term.atom, is_multiple ? term.factor / g : term.factor);
        }
        parts[0].constant = floor_div(sum->constant, g);
        parts[1].constant = sum->constant - parts[0].constant * g;
        Range range = range_of(&parts[1]);
        if (range.low >= 0 && range.high < g) {
            best = g;
            *large = parts[0];
            *small = parts[1];
        }
    }
    return best;
}

// A quotient or remainder that nothing simplifies. The operand is made non-negative first.
static const IndexExpr *plain_div(IndexPool *pool, Sum *rest, int64_t divisor)
{
    Range range = range_of(rest);
    int64_t shift = range.low < 0 ? -floor_div(range.low, divisor) : 0;
    rest->constant += shift * divisor;
    const IndexExpr *a = build(pool, rest);
    const IndexExpr *quotient;
    if (a->kind == INDEX_DIV) {
        quotient = index_div(pool, a->a, a->value * divisor);
    } else if (a->kind == INDEX_MOD && a->value % divisor == 0) {
        quotient = index_mod(pool, index_div(pool, a->a, divisor), a->value / divisor);
    } else {
        quotient = pooled(pool, &(IndexExpr){.kind = INDEX_DIV,
                                             .a = a,
                                             .value = divisor,
                                             .low = a->low / divisor,
                                             .high = a->high / divisor});
    }
    return shift ? index_add(pool, quotient, index_const(pool, -shift)) : quotient;
}

static const IndexExpr *plain_mod(IndexPool *pool, Sum *rest, int64_t divisor)
{
    Range range = range_of(rest);
    if (range.low < 0) {
        rest->constant -= floor_div(range.low, divisor) * divisor;
    }
    const IndexExpr *a = build(pool, rest);
    int64_t high = a->high < divisor - 1 ? a->high : divisor - 1;
    return pooled(pool, &(IndexExpr){.kind = INDEX_MOD, .a = a, .value = divisor, .high = high});
}

const IndexExpr *index_div(IndexPool *pool, const IndexExpr *a, int64_t divisor)
{
    XV_ASSERT(divisor >= 1);
    if (divisor == 1) {
        return a;
    }
    Sum rest = {.n_terms = 0};
    collect(&rest, a, 1);
    Sum whole = take_multiples(&rest, divisor);
    Range range = range_of(&rest);
    if (floor_div(range.low, divisor) == floor_div(range.high, divisor)) {
        whole.constant += floor_div(range.low, divisor);
        return build(pool, &whole);
    }
    Sum large = {.n_terms = 0};
    Sum small = {.n_terms = 0};
    int64_t g = split_by_factor(&rest, divisor, &large, &small);
    const IndexExpr *part =
        g > 1 ? index_div(pool, build(pool, &large), divisor / g) : plain_div(pool, &rest, divisor);
    collect(&whole, part, 1);
    return build(pool, &whole);
}

// f (x mod m) becomes f x where the divisor divides f m. Whether something changed.
static bool unwrap_remainders(Sum *sum, int64_t divisor)
{
    for (int i = 0; i < sum->n_terms; i++) {
        Term term = sum->terms[i];
        if (term.atom->kind == INDEX_MOD && term.factor * term.atom->value % divisor == 0) {
            add_term(sum, term.atom, -term.factor);
            collect(sum, term.atom->a, term.factor);
            return true;
        }
    }
    return false;
}

const IndexExpr *index_mod(IndexPool *pool, const IndexExpr *a, int64_t divisor)
{
    XV_ASSERT(divisor >= 1);
    Sum rest = {.n_terms = 0};
    collect(&rest, a, 1);
    do {
        take_multiples(&rest, divisor);
        Range range = range_of(&rest);
        int64_t block = floor_div(range.low, divisor);
        if (block == floor_div(range.high, divisor)) {
            rest.constant -= block * divisor;
            return build(pool, &rest);
        }
    } while (unwrap_remainders(&rest, divisor));
    Sum large = {.n_terms = 0};
    Sum small = {.n_terms = 0};
    int64_t g = split_by_factor(&rest, divisor, &large, &small);
    if (g == 1) {
        return plain_mod(pool, &rest, divisor);
    }
    collect(&small, index_mod(pool, build(pool, &large), divisor / g), g);
    return build(pool, &small);
}

// Substitution and questions ------------------------------------------------------------------------------------

const IndexExpr *index_substitute(IndexPool *pool, const IndexExpr *index, const IndexMap *map)
{
    const IndexExpr *result = NULL;
    switch (index->kind) {
    case INDEX_CONST: return index;
    case INDEX_ROW: result = map->row[index->variable]; break;
    case INDEX_REDUCE: result = map->reduce[index->variable]; break;
    case INDEX_LANE: result = map->lane; break;
    case INDEX_ADD:
        return index_add(pool, index_substitute(pool, index->a, map), index_substitute(pool, index->b, map));
    case INDEX_MUL: return index_mul(pool, index_substitute(pool, index->a, map), index->value);
    case INDEX_DIV: return index_div(pool, index_substitute(pool, index->a, map), index->value);
    case INDEX_MOD: return index_mod(pool, index_substitute(pool, index->a, map), index->value);
    case INDEX_VALUE: return index;
    }
    XV_ASSERT(result != NULL);
    return result;
}

bool index_uses(const IndexExpr *index, IndexKind kind)
{
    return (entry_of(index)->uses >> kind & 1) != 0;
}

bool scalar_uses(const ScalarExpr *scalar, IndexKind kind)
{
    if (scalar->index && index_uses(scalar->index, kind)) {
        return true;
    }
    for (const Guard *guard = scalar->guard; guard; guard = guard->next) {
        if (index_uses(guard->index, kind)) {
            return true;
        }
    }
    for (int i = 0; i < scalar->n_args; i++) {
        if (scalar_uses(scalar->args[i], kind)) {
            return true;
        }
    }
    return false;
}

int index_divisions(const IndexExpr *index)
{
    return entry_of(index)->divisions;
}
