// Exercises runtime/comm as one of several ranks; tests/groups/ranks.sh starts it under the launchers that are there.
//
//   ranks RANKS [fail|agree|large]
//
// Without a second word it checks every collective and prints, on rank 0, `ranks: N passed, 0 failed`. `fail` makes
// rank 1 fail while the others wait in a collective; `agree` lets all ranks know of it; `large` moves more than
// one piece.
#include "runtime/comm/comm.h"
#include "tests/tools/check.h"

static void check_gather(Check *check, XvComm *comm)
{
    int world = xv_comm_world(comm), rank = xv_comm_rank(comm);
    int32_t own[3] = {100 * rank, 100 * rank + 1, -rank};
    int32_t *all = check_memory((size_t)world * sizeof own);
    xv_comm_all_gather(comm, own, all, 3);
    for (int r = 0; r < world; r++) {
        check_that(check, all[3 * r] == 100 * r && all[3 * r + 1] == 100 * r + 1 && all[3 * r + 2] == -r,
                   "rank %d sent %d %d %d", r, (int)all[3 * r], (int)all[3 * r + 1], (int)all[3 * r + 2]);
    }
    free(all);
}

// Values whose sum depends on the order: every rank must still hold the same bits, twice over.
static void check_sum(Check *check, XvComm *comm)
{
    enum { COUNT = 100003 };
    int world = xv_comm_world(comm), rank = xv_comm_rank(comm);
    float *first = check_memory(COUNT * sizeof *first), *second = check_memory(COUNT * sizeof *second);
    float *all = check_memory((size_t)world * COUNT * sizeof *all);
    double worst = 0;
    for (int i = 0; i < COUNT; i++) {
        first[i] = second[i] = sinf((float)(i + 1)) * powf(10.0f, (float)(rank % 3));
    }
    xv_comm_sum(comm, first, COUNT);
    xv_comm_sum(comm, second, COUNT);
    for (int i = 0; i < COUNT; i++) {
        double sum = 0;
        for (int r = 0; r < world; r++) {
            sum += (double)(sinf((float)(i + 1)) * powf(10.0f, (float)(r % 3)));
        }
        worst = fmax(worst, fabs((double)first[i] - sum));
    }
    check_that(check, worst < 1e-4, "a sum is %g off", worst);
    check_that(check, memcmp(first, second, COUNT * sizeof *first) == 0, "a sum does not repeat");
    xv_comm_all_gather(comm, first, all, COUNT);
    for (int r = 0; r < world; r++) {
        check_that(check, memcmp(first, all + (size_t)r * COUNT, COUNT * sizeof *first) == 0,
                   "rank %d has other sums", r);
    }
    double numbers[2] = {rank + 0.5, 1e-9};
    xv_comm_sum_f64(comm, numbers, 2);
    check_that(check,
               fabs(numbers[0] - 0.5 * world * world) < 1e-12 && fabs(numbers[1] / world - 1e-9) < 1e-20,
               "sums of doubles: %g, %g", numbers[0], numbers[1]);
    free(first);
    free(second);
    free(all);
}

// More words than one call moves, and not a multiple of it.
static void check_large(Check *check, XvComm *comm)
{
    int world = xv_comm_world(comm), rank = xv_comm_rank(comm);
    int64_t words = ((int64_t)1 << 24) + 12345;
    float *own = check_memory((size_t)words * sizeof *own);
    float *all = check_memory((size_t)(words * world) * sizeof *all);
    for (int64_t i = 0; i < words; i++) {
        own[i] = (float)(i % 1000) + 1000.0f * (float)rank;
    }
    xv_comm_all_gather(comm, own, all, words);
    int64_t wrong = 0;
    for (int64_t i = 0; i < words * world; i++) {
        wrong += fabsf(all[i] - ((float)(i % words % 1000) + 1000.0f * (float)(i / words))) > 0;
    }
    check_that(check, wrong == 0, "%lld gathered words are wrong", (long long)wrong);
    xv_comm_sum(comm, own, words);
    for (int64_t i = 0; i < words; i++) {
        float sum = (float)world * (float)(i % 1000) + 1000.0f * (float)(world * (world - 1) / 2);
        wrong += fabsf(own[i] - sum) > 0;
    }
    check_that(check, wrong == 0, "%lld sums are wrong", (long long)wrong);
    free(own);
    free(all);
}

static int fail_on_one(XvComm *comm, bool is_agreed)
{
    XvError error = {0};
    bool is_well = xv_comm_rank(comm) != 1;
    if (!is_well) {
        xv_fail(&error, "this rank is unwell");
    }
    if (is_agreed) {
        is_well = xv_comm_agree(comm, true, &error) && xv_comm_agree(comm, is_well, &error);
    } else if (is_well) {
        float value = 0;
        xv_comm_sum(comm, &value, 1);  // waits for the rank that will not come
    }
    if (error.text[0]) {
        fprintf(stderr, "rank %d: %s\n", xv_comm_rank(comm), error.text);
    }
    if (is_well) {
        return 0;
    }
    xv_comm_fail(comm, 3);
    xv_comm_close(comm);
    return 3;
}

int main(int argc, char **argv)
{
    XvComm *comm = NULL;
    XvError error = {0};
    Check check = {0};
    const char *what = argc > 2 ? argv[2] : "";
    if (argc < 2 || !xv_comm_open(&comm, false, &error)) {
        check_stop("%s", argc < 2 ? "the number of ranks is missing" : error.text);
    }
    if (strcmp(what, "fail") == 0 || strcmp(what, "agree") == 0) {
        return fail_on_one(comm, what[0] == 'a');
    }
    check_that(&check, xv_comm_world(comm) == atoi(argv[1]), "%d ranks", xv_comm_world(comm));
    check_gather(&check, comm);
    check_sum(&check, comm);
    if (strcmp(what, "large") == 0) {
        check_large(&check, comm);
    }
    double failed = check.failed;
    xv_comm_sum_f64(comm, &failed, 1);
    int status = xv_comm_rank(comm) == 0 ? check_finish(&check, "ranks") : check.failed > 0;
    xv_comm_close(comm);
    return status || failed > 0;
}
