// Memory, streams and counts of the stand-in for NVIDIA's driver; see engine.h.
#include "tests/driver/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

Driver driver;

// Planted errors and the report -----------------------------------------------------------------------------------

int standin_planted(const char *name)
{
    static long calls;  // of the planted name; only that is counted
    const char *plan = getenv("STANDIN_FAIL");
    size_t length = strlen(name);
    int status = 0;
    long which = 0;
    bool is_meant = plan && strncmp(plan, name, length) == 0 && plan[length] == ':' &&
                    sscanf(plan + length, ":%d:%ld", &status, &which) == 2;
    return is_meant && ++calls == which ? status : 0;
}

__attribute__((destructor)) static void report(void)
{
    const char *setting = getenv("STANDIN_REPORT");
    char path[4096] = "";
    if (setting && *setting) {
        snprintf(path, sizeof path, driver.device ? "%s.%d" : "%s", setting, driver.device);
    }
    FILE *file = *path ? fopen(path, "w") : NULL;
    if (file) {
        const Counts *c = &driver.counts;
        fprintf(
            file,
            "launches %ld\ngraph_launches %ld\ngraph_kernels %ld\nwaits %ld\ndrains %ld\nallocations %ld\n"
            "sends %ld\nfetches %ld\ncopies %ld\nsent_bytes %ld\nfetched_bytes %ld\n",
            c->launches, c->graph_launches, c->graph_kernels, c->waits, c->drains, c->allocations, c->sends,
            c->fetches, c->copies, c->sent_bytes, c->fetched_bytes);
        fclose(file);
    }
}

// Memory ----------------------------------------------------------------------------------------------------------

Memory *standin_memory_of(const void *at, size_t bytes)
{
    const char *from = at;
    for (Memory *memory = driver.memories; memory; memory = memory->next) {
        if (from >= memory->at && from + bytes <= memory->at + memory->bytes) {
            return memory;
        }
    }
    return NULL;
}

bool standin_is_device(const void *at, size_t bytes)
{
    const Memory *memory = standin_memory_of(at, bytes);
    return memory && !memory->is_pinned;
}

static void protect(int protection)
{
    for (Memory *memory = driver.memories; memory; memory = memory->next) {
        if (!memory->is_pinned) {
            mprotect(memory->at, memory->mapped, protection);
        }
    }
}

int standin_allocate(void **at, size_t bytes, bool is_pinned)
{
    const char *limit = getenv("STANDIN_MEMORY");
    size_t mapped = (bytes + PAGE - 1) / PAGE * PAGE;
    if (bytes == 0 || (limit && !is_pinned && driver.used + bytes > strtoull(limit, NULL, 10))) {
        return bytes ? OUT_OF_MEMORY : INVALID_VALUE;
    }
    Memory *memory = calloc(1, sizeof *memory);
    void *place = mmap(NULL, mapped, is_pinned ? PROT_READ | PROT_WRITE : PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!memory || place == MAP_FAILED) {
        free(memory);
        return OUT_OF_MEMORY;
    }
    *memory = (Memory){place, bytes, mapped, is_pinned, false, driver.memories};
    driver.memories = memory;
    driver.used += is_pinned ? 0 : bytes;
    driver.counts.allocations++;
    *at = place;
    return 0;
}

int standin_release(const void *at, bool is_pinned)
{
    for (Memory **link = &driver.memories; *link; link = &(*link)->next) {
        Memory *memory = *link;
        if (memory->at == at && memory->is_pinned == is_pinned && !memory->is_registered) {
            *link = memory->next;
            driver.used -= is_pinned ? 0 : memory->bytes;
            munmap(memory->at, memory->mapped);
            free(memory);
            return 0;
        }
    }
    return INVALID_VALUE;
}

int standin_register(void *at, size_t bytes)
{
    Memory *memory = calloc(1, sizeof *memory);
    if (!memory || standin_memory_of(at, 1)) {
        free(memory);
        return INVALID_VALUE;
    }
    *memory = (Memory){at, bytes, bytes, true, true, driver.memories};
    driver.memories = memory;
    return 0;
}

int standin_unregister(const void *at)
{
    for (Memory **link = &driver.memories; *link; link = &(*link)->next) {
        Memory *memory = *link;
        if (memory->at == at && memory->is_registered) {
            *link = memory->next;
            free(memory);
            return 0;
        }
    }
    return INVALID_VALUE;
}

// Running ---------------------------------------------------------------------------------------------------------

static void run_kernel(const Work *work)
{
    XvSimtLaunch launch = {.name = work->kernel->name,
                           .kernel = work->kernel->run,
                           .current = driver.current,
                           .threads = work->threads,
                           .arguments = work->arguments};
    memcpy(launch.grid, work->grid, sizeof launch.grid);
    char message[1024];
    if (!xv_simt_launch(driver.machine, &launch, message, sizeof message)) {
        fprintf(stderr, "stand-in driver: %s\n", message);
        driver.failed = LAUNCH_FAILED;
    }
}

static void run_copy(const Work *work)
{
    size_t rows = work->rows ? work->rows : 1;
    for (size_t row = 0; row < rows; row++) {
        memcpy((char *)work->to + row * work->to_pitch, (const char *)work->from + row * work->from_pitch,
               work->bytes);
    }
}

static void run_work(const Work *work);

// The lane up to so many of its nodes.
static void run_lane(Graph *graph, int index, int until)
{
    Lane *lane = &graph->lanes[index];
    while (lane->next && lane->n_done < until && !driver.failed) {
        const Work *node = lane->next;
        lane->next = node->next;
        lane->n_done++;
        if (node->kind == WORK_WAIT) {
            run_lane(graph, node->lane, node->position);
        } else if (node->kind != WORK_RECORD) {
            run_work(node);
        }
    }
}

// Lanes run one after the other, each as far as its waits allow, so that a wait that is missing shows. STANDIN_ORDER
// is "late" (the stream of the capture first) or "early".
static void run_graph(Graph *graph)
{
    const char *order = getenv("STANDIN_ORDER");
    bool is_early = order && strcmp(order, "early") == 0;
    for (int i = 0; i < graph->n_lanes; i++) {
        graph->lanes[i].next = graph->lanes[i].first;
        graph->lanes[i].n_done = 0;
    }
    for (int i = 0; i < graph->n_lanes; i++) {
        int lane = is_early ? graph->n_lanes - 1 - i : i;
        run_lane(graph, lane, graph->lanes[lane].n_nodes);
    }
}

static void run_work(const Work *work)
{
    switch (work->kind) {
    case WORK_LAUNCH: run_kernel(work); break;
    case WORK_COPY: run_copy(work); break;
    case WORK_CLEAR: memset(work->to, work->value, work->bytes); break;
    case WORK_CALL: work->call(work->data); break;
    case WORK_RECORD: work->event->completed = work->recording; break;
    case WORK_WAIT:
        if (work->event->completed < work->recording) {
            standin_run_stream(work->event->stream, work->event, work->recording);
        }
        break;
    case WORK_GRAPH: run_graph(work->graph); break;
    }
}

void standin_free_work(Work *work)
{
    for (size_t i = 0; work->arguments && i < work->kernel->n_arguments; i++) {
        free(work->arguments[i]);
    }
    free(work->arguments);
    free(work->data);
    free(work);
}

void standin_free_nodes(Graph *graph)
{
    for (int i = 0; i < graph->n_lanes; i++) {
        for (Work *work = graph->lanes[i].first, *next; work; work = next) {
            next = work->next;
            standin_free_work(work);
        }
    }
}

void standin_run_stream(Stream *stream, const Event *until, uint64_t recording)
{
    while (stream->first && !driver.failed && !(until && until->completed >= recording)) {
        Work *work = stream->first;
        stream->first = work->next;
        stream->last = stream->first ? stream->last : NULL;
        run_work(work);
        standin_free_work(work);
    }
}

static bool is_idle(void)
{
    for (const Stream *stream = driver.streams; stream; stream = stream->next) {
        if (stream->first) {
            return false;
        }
    }
    return true;
}

int standin_wait_for(Stream *stream, const Event *event, uint64_t recording)
{
    if (standin_is_capturing()) {
        return CAPTURE_UNSUPPORTED;
    }
    if (stream && stream->first) {
        driver.counts.waits++;
        protect(PROT_READ | PROT_WRITE);
        standin_run_stream(stream, event, recording);
        protect(PROT_NONE);
        driver.counts.drains += is_idle();
    }
    return driver.failed;
}

void standin_keep_up(Stream *stream, const Event *event, uint64_t recording)
{
    protect(PROT_READ | PROT_WRITE);
    standin_run_stream(stream, event, recording);
    protect(PROT_NONE);
}

int standin_enqueue(Stream *stream, const Work *work)
{
    if (!stream) {
        return INVALID_HANDLE;  // the default stream would wait for all others
    }
    Work *copy = malloc(sizeof *copy);
    if (!copy) {
        return OUT_OF_MEMORY;
    }
    *copy = *work;
    copy->next = NULL;
    Graph *graph = stream->capture;
    Lane *lane = graph ? &graph->lanes[stream->lane] : NULL;
    Work **first = lane ? &lane->first : &stream->first, **last = lane ? &lane->last : &stream->last;
    if (*last) {
        (*last)->next = copy;
    } else {
        *first = copy;
    }
    *last = copy;
    if (graph) {
        graph->n_nodes++;
        lane->n_nodes++;
        graph->n_kernels += work->kind == WORK_LAUNCH || work->kind == WORK_CALL;
    } else if (work->kind == WORK_LAUNCH || work->kind == WORK_CALL) {
        driver.counts.launches++;
    }
    return 0;
}

int standin_device(void)
{
    return driver.device;
}

int standin_is_capturing(void)
{
    for (const Stream *stream = driver.streams; stream; stream = stream->next) {
        if (stream->capture) {
            return 1;
        }
    }
    return 0;
}

int standin_call(void *stream, void (*work)(const void *data), const void *data, size_t bytes)
{
    void *copy = malloc(bytes);
    if (!copy) {
        return OUT_OF_MEMORY;
    }
    memcpy(copy, data, bytes);
    return standin_enqueue(stream, &(Work){.kind = WORK_CALL, .call = work, .data = copy});
}
