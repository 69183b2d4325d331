// Simplifying constructors of index expressions; see index_expr.h.
#include "compiler/index_expr.h"

enum { MAX_TERMS = 32 };

typedef struct Term {
    const IndexExpr *atom;
    int64_t factor;
} Term;

typedef struct Sum {
    Term terms[MAX_TERMS];
    int n_terms;
    int64_t constant;
} Sum;

static IndexExpr *new_index(Arena *arena, IndexKind kind)
{
    IndexExpr *index = arena_alloc(arena, sizeof *index);
    index->kind = kind;
    return index;
}

const IndexExpr *index_const(Arena *arena, int64_t value)
{
    IndexExpr *index = new_index(arena, INDEX_CONST);
    index->value = index->low = index->high = value;
    return index;
}

const IndexExpr *index_variable(Arena *arena, IndexKind kind, int variable, int64_t extent)
{
    if (extent == 1) {
        return index_const(arena, 0);
    }
    IndexExpr *index = new_index(arena, kind);
    index->variable = variable;
    index->high = extent - 1;
    return index;
}

const IndexExpr *index_value(Arena *arena, const ScalarExpr *scalar, int64_t extent)
{
    IndexExpr *index = new_index(arena, INDEX_VALUE);
    index->scalar = scalar;
    index->high = extent - 1;
    return index;
}

bool index_equal(const IndexExpr *a, const IndexExpr *b)
{
    if (a == b) {
        return true;
    }
    if (!a || !b || a->kind != b->kind || a->value != b->value || a->variable != b->variable || a->scalar != b->scalar) {
        return false;
    }
    return (a->a == b->a || (a->a && b->a && index_equal(a->a, b->a)))
        && (a->b == b->b || (a->b && b->b && index_equal(a->b, b->b)));
}

bool scalar_uses(const ScalarExpr *scalar, IndexKind kind)
{
    if (scalar->index && index_uses(scalar->index, kind)) {
        return true;
    }
    for (int i = 0; i < scalar->n_args; i++) {
        if (scalar_uses(scalar->args[i], kind)) {
            return true;
        }
    }
    return false;
}

bool index_uses(const IndexExpr *index, IndexKind kind)
{
    if (!index) {
        return false;
    }
    if (index->kind == kind || (index->scalar && scalar_uses(index->scalar, kind))) {
        return true;
    }
    return index_uses(index->a, kind) || index_uses(index->b, kind);
}

// Sums ----------------------------------------------------------------------------------------------------------

static void add_term(Sum *sum, const IndexExpr *atom, int64_t factor)
{
    if (factor == 0) {
        return;
    }
    for (int i = 0; i < sum->n_terms; i++) {
        if (index_equal(sum->terms[i].atom, atom)) {
            sum->terms[i].factor += factor;
            if (sum->terms[i].factor == 0) {
                sum->terms[i] = sum->terms[--sum->n_terms];
            }
            return;
        }
    }
    XV_ASSERT(sum->n_terms < MAX_TERMS);
    sum->terms[sum->n_terms++] = (Term){atom, factor};
}

static void collect(Sum *sum, const IndexExpr *index, int64_t factor)
{
    switch (index->kind) {
    case INDEX_CONST:
        sum->constant += factor * index->value;
        break;
    case INDEX_ADD:
        collect(sum, index->a, factor);
        collect(sum, index->b, factor);
        break;
    case INDEX_MUL:
        collect(sum, index->a, factor * index->value);
        break;
    default:
        add_term(sum, index, factor);
    }
}

// x / n * n + x mod n = x, with any common factor.
static bool rejoin(Sum *sum)
{
    for (int i = 0; i < sum->n_terms; i++) {
        const IndexExpr *mod = sum->terms[i].atom;
        if (mod->kind != INDEX_MOD) {
            continue;
        }
        for (int j = 0; j < sum->n_terms; j++) {
            const IndexExpr *div = sum->terms[j].atom;
            if (div->kind == INDEX_DIV && div->value == mod->value
                && sum->terms[j].factor == sum->terms[i].factor * mod->value && index_equal(div->a, mod->a)) {
                int64_t factor = sum->terms[i].factor;
                int first = i < j ? i : j;
                int second = i < j ? j : i;
                sum->terms[second] = sum->terms[--sum->n_terms];
                sum->terms[first] = sum->terms[--sum->n_terms];
                collect(sum, mod->a, factor);
                return true;
            }
        }
    }
    return false;
}

// Larger factors first; rows before reduce loops before lanes, so that equal sums have one form.
static int term_rank(const Term *term)
{
    static const int ranks[] = {[INDEX_ROW] = 0, [INDEX_VALUE] = 1, [INDEX_DIV] = 2, [INDEX_MOD] = 3, [INDEX_REDUCE] = 4, [INDEX_LANE] = 5};
    return ranks[term->atom->kind] * 16 + (term->atom->variable & 15);
}

static bool comes_before(const Term *a, const Term *b)
{
    return a->factor != b->factor ? a->factor > b->factor : term_rank(a) < term_rank(b);
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

static void range_of(const Term *terms, int n_terms, int64_t *low, int64_t *high)
{
    *low = *high = 0;
    for (int i = 0; i < n_terms; i++) {
        int64_t factor = terms[i].factor;
        const IndexExpr *atom = terms[i].atom;
        *low += factor * (factor > 0 ? atom->low : atom->high);
        *high += factor * (factor > 0 ? atom->high : atom->low);
    }
}

static const IndexExpr *scaled_atom(Arena *arena, const Term *term)
{
    if (term->factor == 1) {
        return term->atom;
    }
    IndexExpr *index = new_index(arena, INDEX_MUL);
    index->a = term->atom;
    index->value = term->factor;
    range_of(term, 1, &index->low, &index->high);
    return index;
}

static const IndexExpr *joined(Arena *arena, const IndexExpr *a, const IndexExpr *b)
{
    if (!a) {
        return b;
    }
    IndexExpr *index = new_index(arena, INDEX_ADD);
    index->a = a;
    index->b = b;
    index->low = a->low + b->low;
    index->high = a->high + b->high;
    return index;
}

static const IndexExpr *rebuilt(Arena *arena, Sum *sum)
{
    while (rejoin(sum)) {
    }
    sort_terms(sum);
    const IndexExpr *index = NULL;
    for (int i = 0; i < sum->n_terms; i++) {
        index = joined(arena, index, scaled_atom(arena, &sum->terms[i]));
    }
    if (sum->constant != 0 || !index) {
        index = joined(arena, index, index_const(arena, sum->constant));
    }
    return index;
}

const IndexExpr *index_add(Arena *arena, const IndexExpr *a, const IndexExpr *b)
{
    Sum sum = {.n_terms = 0};
    collect(&sum, a, 1);
    collect(&sum, b, 1);
    return rebuilt(arena, &sum);
}

const IndexExpr *index_mul(Arena *arena, const IndexExpr *a, int64_t factor)
{
    Sum sum = {.n_terms = 0};
    collect(&sum, a, factor);
    return rebuilt(arena, &sum);
}

// Division ------------------------------------------------------------------------------------------------------

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

// Takes out of `sum` what the divisor divides and returns it, divided. What stays may need a real division.
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
    int64_t whole = sum->constant >= 0 ? sum->constant / divisor : 0;
    quotient.constant = whole;
    sum->constant -= whole * divisor;
    return quotient;
}

// Splits sorted terms into large ones with a common factor g of the divisor and small ones that together stay in
// 0..g-1; then (g A + S) / n = A / (n / g) and (g A + S) mod n = g (A mod (n / g)) + S.
static int64_t common_factor(Sum *sum, int64_t divisor, int *n_large)
{
    sort_terms(sum);
    for (int split = sum->n_terms; split >= 1; split--) {
        int64_t g = divisor;
        for (int i = 0; i < split; i++) {
            g = gcd(g, sum->terms[i].factor);
        }
        int64_t low;
        int64_t high;
        range_of(sum->terms + split, sum->n_terms - split, &low, &high);
        int64_t constant_rest = sum->constant % g;
        if (g > 1 && low >= 0 && sum->constant >= 0 && high + constant_rest < g) {
            *n_large = split;
            return g;
        }
    }
    return 1;
}

static const IndexExpr *plain_division(Arena *arena, IndexKind kind, const IndexExpr *a, int64_t divisor)
{
    if (a->kind == kind && kind == INDEX_DIV) {
        return index_div(arena, a->a, a->value * divisor);
    }
    if (a->kind == kind && kind == INDEX_MOD && a->value % divisor == 0) {
        return index_mod(arena, a->a, divisor);
    }
    IndexExpr *index = new_index(arena, kind);
    index->a = a;
    index->value = divisor;
    index->low = kind == INDEX_DIV ? a->low / divisor : 0;
    index->high = kind == INDEX_DIV ? a->high / divisor : divisor - 1;
    if (kind == INDEX_MOD && a->high < index->high) {
        index->high = a->high;
    }
    return index;
}

// The rest of a division whose multiples are taken out: within 0..divisor-1 already, or to be divided.
static const IndexExpr *divided(Arena *arena, IndexKind kind, Sum *sum, int64_t divisor)
{
    int n_large = 0;
    int64_t g = common_factor(sum, divisor, &n_large);
    if (g == 1) {
        return plain_division(arena, kind, rebuilt(arena, sum), divisor);
    }
    Sum large = {.n_terms = 0};
    Sum small = {.n_terms = 0};
    for (int i = 0; i < sum->n_terms; i++) {
        if (i < n_large) {
            add_term(&large, sum->terms[i].atom, sum->terms[i].factor / g);
        } else {
            add_term(&small, sum->terms[i].atom, sum->terms[i].factor);
        }
    }
    large.constant = sum->constant / g;
    small.constant = sum->constant % g;
    const IndexExpr *quotient = kind == INDEX_DIV ? index_div(arena, rebuilt(arena, &large), divisor / g)
                                                  : index_mod(arena, rebuilt(arena, &large), divisor / g);
    if (kind == INDEX_DIV) {
        return quotient;
    }
    return index_add(arena, index_mul(arena, quotient, g), rebuilt(arena, &small));
}

static bool fits(const Sum *sum, int64_t divisor)
{
    int64_t low;
    int64_t high;
    range_of(sum->terms, sum->n_terms, &low, &high);
    return low + sum->constant >= 0 && high + sum->constant < divisor;
}

const IndexExpr *index_div(Arena *arena, const IndexExpr *a, int64_t divisor)
{
    if (divisor == 1) {
        return a;
    }
    Sum sum = {.n_terms = 0};
    collect(&sum, a, 1);
    Sum quotient = take_multiples(&sum, divisor);
    const IndexExpr *whole = rebuilt(arena, &quotient);
    if (fits(&sum, divisor)) {
        return whole;
    }
    int64_t low;
    int64_t high;
    range_of(sum.terms, sum.n_terms, &low, &high);
    if (low + sum.constant < 0) {   // the parts cannot be divided apart: keep the whole
        return plain_division(arena, INDEX_DIV, a, divisor);
    }
    return index_add(arena, whole, divided(arena, INDEX_DIV, &sum, divisor));
}

const IndexExpr *index_mod(Arena *arena, const IndexExpr *a, int64_t divisor)
{
    if (divisor == 1) {
        return index_const(arena, 0);
    }
    Sum sum = {.n_terms = 0};
    collect(&sum, a, 1);
    take_multiples(&sum, divisor);
    if (fits(&sum, divisor)) {
        return rebuilt(arena, &sum);
    }
    int64_t low;
    int64_t high;
    range_of(sum.terms, sum.n_terms, &low, &high);
    if (low + sum.constant < 0) {
        return plain_division(arena, INDEX_MOD, a, divisor);
    }
    return divided(arena, INDEX_MOD, &sum, divisor);
}
