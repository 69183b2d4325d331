// A stand-in for NCCL, for tests: collectives of processes of one machine through shared memory, queued on the stand-in
// driver's streams. Every rank must make the same calls: what differs ends the process with a message, and so does a
// rank that the others wait for in vain.
#include "tests/driver/standin.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
    INVALID_ARGUMENT = 4,
    INVALID_USAGE = 5,
    WORD = 3,
    FLOAT_32 = 7,
    FLOAT_64 = 8,
    SUM = 0,
    MEAN = 4,
    PIECE = 1 << 16,  // words that a rank shows at once
    MOST_RANKS = 8,
    MOST_CALLS = 4096,  // of a group
    PATIENCE = 120,     // seconds
};

typedef struct Id {
    char name[128];
} Id;

// What ranks share. Each shows its part; the others read it between two meetings.
typedef struct Shared {
    atomic_int n_arrived, round;
    int device[MOST_RANKS];
    long call[MOST_RANKS][3];  // kind, count, number of the call
    uint32_t words[MOST_RANKS][PIECE];
} Shared;

typedef struct World {
    Shared *shared;
    int rank, size;
    long n_calls;
    char name[128];
} World;

typedef enum Kind { GATHER, MEANS, SUMS, SUMS_64 } Kind;

typedef struct Call {
    Kind kind;
    World *world;
    const uint32_t *from;
    uint32_t *to;
    long count;
    void *stream;
} Call;

static struct {
    int depth, n_calls;
    Call calls[MOST_CALLS];
    char last_error[256];
} state;

static void end(const World *world, const char *message)
{
    fprintf(stderr, "stand-in NCCL: rank %d: %s\n", world->rank, message);
    _exit(1);
}

static void meet(const World *world)
{
    Shared *shared = world->shared;
    int round = atomic_load(&shared->round);
    if (atomic_fetch_add(&shared->n_arrived, 1) + 1 == world->size) {
        atomic_store(&shared->n_arrived, 0);
        atomic_store(&shared->round, round + 1);
        return;
    }
    struct timespec pause = {0, 20000};
    for (long waited = 0; atomic_load(&shared->round) == round; waited++) {
        if (waited > PATIENCE * 50000L) {
            end(world, "another rank does not come");
        }
        nanosleep(&pause, NULL);
    }
}

int ncclGetVersion(int *version)
{
    const char *setting = getenv("STANDIN_NCCL");
    *version = setting ? atoi(setting) : 23007;
    return 0;
}

const char *ncclGetErrorString(int status)
{
    return status == INVALID_USAGE ? "invalid usage" : "an error of the stand-in for NCCL";
}

const char *ncclGetLastError(const void *world)
{
    (void)world;
    return state.last_error;
}

int ncclGetUniqueId(Id *id)
{
    memset(id, 0, sizeof *id);
    snprintf(id->name, sizeof id->name, "/xv-standin-nccl-%d", (int)getpid());
    return standin_planted("ncclGetUniqueId");
}

static int check_devices(const World *world)
{
    for (int i = 0; i < world->size; i++) {
        for (int j = 0; j < i; j++) {
            if (world->shared->device[i] == world->shared->device[j]) {
                snprintf(state.last_error, sizeof state.last_error,
                         "Duplicate GPU detected : rank %d and rank %d both on CUDA device %d", j, i,
                         world->shared->device[i]);
                return INVALID_USAGE;
            }
        }
    }
    return 0;
}

int ncclCommInitRank(void **joined, int size, Id id, int rank)
{
    int planted = standin_planted("ncclCommInitRank");
    int file = shm_open(id.name, O_RDWR | O_CREAT, 0600);
    if (planted || size > MOST_RANKS || file < 0 || ftruncate(file, sizeof(Shared)) != 0) {
        return planted ? planted : INVALID_ARGUMENT;
    }
    World *world = calloc(1, sizeof *world);
    *world = (World){.rank = rank, .size = size};
    world->shared = mmap(NULL, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    memcpy(world->name, id.name, sizeof world->name);
    close(file);
    world->shared->device[rank] = standin_device();
    meet(world);
    shm_unlink(id.name);
    *joined = world;
    return check_devices(world);
}

int ncclCommDestroy(void *world)
{
    munmap(((World *)world)->shared, sizeof(Shared));
    free(world);
    return 0;
}

int ncclCommAbort(void *world)
{
    return ncclCommDestroy(world);
}

// Running ---------------------------------------------------------------------------------------------------------

static void check_call(const Call *call)
{
    const World *world = call->world;
    long own[3] = {call->kind, call->count, world->n_calls};
    memcpy(world->shared->call[world->rank], own, sizeof own);
    meet(world);
    for (int i = 0; i < world->size; i++) {
        if (memcmp(world->shared->call[i], own, sizeof own) != 0) {
            end(world, "the ranks make different calls");
        }
    }
}

// In the order of the ranks: the same bits everywhere.
static void add_f32(const World *world, uint32_t *to, long i, float share)
{
    float sum = 0;
    for (int rank = 0; rank < world->size; rank++) {
        float value;
        memcpy(&value, &world->shared->words[rank][i], sizeof value);
        sum += value;
    }
    sum *= share;
    memcpy(to + i, &sum, sizeof sum);
}

static void add_f64(const World *world, uint32_t *to, long i)
{
    double sum = 0;
    for (int rank = 0; rank < world->size; rank++) {
        double value;
        memcpy(&value, &world->shared->words[rank][i], sizeof value);
        sum += value;
    }
    memcpy(to + i, &sum, sizeof sum);
}

static void take_piece(const Call *call, long at, long count)
{
    const World *world = call->world;
    float share = call->kind == MEANS ? 1.0f / (float)world->size : 1;
    for (int rank = 0; rank < world->size && call->kind == GATHER; rank++) {
        memcpy(call->to + rank * call->count + at, world->shared->words[rank], (size_t)count * 4);
    }
    for (long i = 0; i < count && call->kind == SUMS_64; i += 2) {
        add_f64(world, call->to + at, i);
    }
    for (long i = 0; i < count && (call->kind == SUMS || call->kind == MEANS); i++) {
        add_f32(world, call->to + at, i, share);
    }
}

static void run(const void *data)
{
    const Call *call = data;
    World *world = call->world;
    world->n_calls++;
    check_call(call);
    for (long at = 0; at < call->count; at += PIECE) {
        long count = call->count - at < PIECE ? call->count - at : PIECE;
        memcpy(world->shared->words[world->rank], call->from + at, (size_t)count * 4);
        meet(world);
        take_piece(call, at, count);
        meet(world);
    }
}

// Calls ----------------------------------------------------------------------------------------------------------

static int flush(void)
{
    int status = 0;
    for (int i = 0; i < state.n_calls && !status; i++) {
        status = standin_call(state.calls[i].stream, run, &state.calls[i], sizeof state.calls[i]);
    }
    state.n_calls = 0;
    return status;
}

int ncclGroupStart(void)
{
    state.depth++;
    return 0;
}

// Nothing of a group is queued before its end.
int ncclGroupEnd(void)
{
    if (state.depth < 1) {
        return INVALID_USAGE;
    }
    return --state.depth > 0 ? 0 : flush();
}

static int add(const Call *call)
{
    if (state.n_calls == MOST_CALLS || call->count < 0 || !call->stream) {
        return INVALID_ARGUMENT;
    }
    state.calls[state.n_calls++] = *call;
    return state.depth > 0 ? 0 : flush();
}

int ncclAllGather(const void *from, void *to, size_t count, int type, void *world, void *stream)
{
    int planted = standin_planted("ncclAllGather");
    return planted || type != WORD ? (planted ? planted : INVALID_ARGUMENT)
                                   : add(&(Call){GATHER, world, from, to, (long)count, stream});
}

int ncclAllReduce(const void *from, void *to, size_t count, int type, int operation, void *world,
                  void *stream)
{
    int planted = standin_planted("ncclAllReduce");
    bool is_known = (type == FLOAT_32 && (operation == MEAN || operation == SUM)) ||
                    (type == FLOAT_64 && operation == SUM);
    if (planted || !is_known) {
        return planted ? planted : INVALID_ARGUMENT;
    }
    Kind kind = type == FLOAT_64 ? SUMS_64 : operation == SUM ? SUMS : MEANS;
    return add(&(Call){kind, world, from, to, (long)count * (type == FLOAT_64 ? 2 : 1), stream});
}
