// When gradients are averaged over ranks: every gradient once, none before it is final, none later than needed.
#include "codegen/buckets.h"
#include "codegen/cuda_shape.h"
#include "codegen/names.h"
#include "compiler/elaborate.h"
#include "compiler/pipeline.h"
#include "tests/unit/dsl_session.h"

#include <string.h>

typedef struct Plan {
    const Task *task;
    const Program *program;
    const ColumnPlan *columns;  // NULL: sums are complete with their step
    BucketPlan buckets;
} Plan;

static const Task *compiled(Session *session, const char *file, const char *name)
{
    ElaborateOptions options = {.model = "model", .task = name, .batch = 2, .ranks = 2};
    const AstFile *files = load_files(&session->context, file);
    assert_non_null(files);
    Task *task = elaborate(session->arena, session->context.names, &session->diag, files, &options);
    diag_finish(&session->diag);
    assert_string_equal(session_messages(session), "");
    pipeline_run(session->arena, session->context.names, task, &(PipelineOptions){.is_fused = true});
    return task;
}

// Whether a value lies in one of the ranges.
static bool is_in(const Plan *plan, NodeId node, const Bucket *bucket)
{
    const Storage *storage = &plan->program->storage[storage_root(plan->program, node)];
    if (storage->region != REGION_GRADIENT) {
        return false;
    }
    int64_t first = plan->task->offsets[storage->parameter];
    int64_t end = first + shape_count(&plan->task->parameters[storage->parameter].shape);
    for (int i = 0; i < bucket->n_ranges; i++) {
        const GradientRange *range = &bucket->ranges[i];
        if (first < range->first + range->count && range->first < end) {
            return true;
        }
    }
    return false;
}

static bool touches(const Plan *plan, int index, const Bucket *bucket)
{
    const Step *step = &plan->program->steps[index];
    bool is_touched = false;
    for (int i = 0; step->kernel && i < step->kernel->n_buffers; i++) {
        is_touched = is_touched || is_in(plan, step->kernel->buffers[i].node, bucket);
    }
    for (int i = 0; i < step->n_reads; i++) {
        is_touched = is_touched || is_in(plan, step->reads[i].node, bucket);
    }
    for (int i = 0; i < step->n_writes; i++) {
        is_touched = is_touched || is_in(plan, step->writes[i].node, bucket);
    }
    return is_touched;
}

// Whether sums number `first` to `end` add to the bucket.
static bool sums_touch(const Plan *plan, int first, int end, const Bucket *bucket)
{
    for (int i = first; i < end; i++) {
        if (is_in(plan, plan->columns->sums[i].node, bucket)) {
            return true;
        }
    }
    return false;
}

static void check_bucket(const Plan *plan, const Bucket *bucket)
{
    assert_true(bucket->before > 0 && bucket->before <= plan->program->n_steps);
    for (int i = bucket->before; i < plan->program->n_steps; i++) {
        assert_false(touches(plan, i, bucket));
    }
    bool is_needed = touches(plan, bucket->before - 1, bucket);
    if (plan->columns) {
        const int *n_before = plan->columns->n_before;
        assert_false(sums_touch(plan, n_before[bucket->before], plan->columns->n_sums, bucket));
        is_needed =
            is_needed || sums_touch(plan, n_before[bucket->before - 1], n_before[bucket->before], bucket);
    }
    assert_true(is_needed);
}

// Every gradient lies in one range; nothing else does but padding.
static void check_cover(const Plan *plan, const Entry *entry, Arena *arena)
{
    uint8_t *covered = arena_alloc(arena, (size_t)plan->task->parameter_count);
    for (int i = 0; i < plan->buckets.n_buckets; i++) {
        const Bucket *bucket = &plan->buckets.buckets[i];
        for (int j = 0; j < bucket->n_ranges; j++) {
            for (int64_t k = 0; k < bucket->ranges[j].count; k++) {
                covered[bucket->ranges[j].first + k]++;
            }
        }
    }
    for (int i = 0; i < plan->task->n_parameters; i++) {
        int64_t first = plan->task->offsets[i];
        for (int64_t k = 0; k < shape_count(&plan->task->parameters[i].shape); k++) {
            assert_int_equal(covered[first + k], entry->has_gradient[i]);
        }
    }
}

static void check_entry(Session *session, const Task *task, const Entry *entry, bool has_columns)
{
    ColumnPlan columns = plan_columns(session->arena, entry->train);
    Plan plan = {task, entry->train, has_columns ? &columns : NULL, {0}};
    plan.buckets = plan_buckets(session->arena, task, entry->train, plan.columns);
    check_cover(&plan, entry, session->arena);
    assert_in_range(plan.buckets.n_buckets, 4, 16);
    for (int i = 0; i < plan.buckets.n_buckets; i++) {
        check_bucket(&plan, &plan.buckets.buckets[i]);
        assert_true(i == 0 || plan.buckets.buckets[i].before >= plan.buckets.buckets[i - 1].before);
    }
    assert_true(plan.buckets.buckets[0].before <
                entry->train->n_steps * 4 / 5);  // early enough to be worth it
}

static void test_tiny_model(void **state)
{
    const Task *task = compiled(*state, "models/xvlm_tiny.dsl", "pretrain");
    int n_checked = 0;
    for (int e = 0; e < task->n_entries; e++) {
        if (task->entries[e].train) {
            check_entry(*state, task, &task->entries[e], false);
            check_entry(*state, task, &task->entries[e], true);
            n_checked++;
        }
    }
    assert_int_equal(n_checked, 2);
}

// At the official size a bucket is 16 MiB, but for what one parameter or one moment makes larger.
static void test_base_model(void **state)
{
    Session *session = *state;
    const Task *task = compiled(session, "models/xvlm_base.dsl", "pretrain");
    const Entry *entry = &task->entries[task->n_entries - 1];
    ColumnPlan columns = plan_columns(session->arena, entry->train);
    BucketPlan plan = plan_buckets(session->arena, task, entry->train, &columns);
    assert_in_range(plan.n_buckets, 30, 60);
    for (int i = 0; i < plan.n_buckets; i++) {
        int64_t elements = 0;
        for (int j = 0; j < plan.buckets[i].n_ranges; j++) {
            elements += plan.buckets[i].ranges[j].count;
        }
        assert_true(elements >= 4 << 20 || i + 1 == plan.n_buckets);
        assert_true(elements < 30 << 20);
    }
}

// What has no gradients has no buckets.
static void test_observing(void **state)
{
    Session *session = *state;
    const Task *task = compiled(session, "models/xvlm_tiny.dsl", "pretrain");
    for (int e = 0; e < task->n_entries; e++) {
        assert_int_equal(plan_buckets(session->arena, task, task->entries[e].observe, NULL).n_buckets, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SESSION_TEST(test_tiny_model),
        SESSION_TEST(test_base_model),
        SESSION_TEST(test_observing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
