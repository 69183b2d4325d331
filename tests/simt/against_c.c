// Every kernel of the programs of some tasks, as the target cuda writes it, on the emulator against the same kernel as
// the target c writes it:
//
//   against_c FOLDER MODEL.dsl BATCH PRECISION TASK...
//
// Both texts are rendered from one kernel of the compiler, written to FOLDER, compiled (CC, CXX) and run on the same
// random numbers. A task at the published sizes and a small batch shows every kernel that it has at any batch, since
// the batch is nothing but a constant in their texts. A kernel of several tasks runs once.
//
// Kernels with more elements than a budget run some of their blocks; what these wrote is compared. Sums over all rows
// (column accumulators) are compared where all blocks ran.
#include "codegen/cuda_shape.h"
#include "codegen/dialect.h"
#include "compiler/elaborate.h"
#include "compiler/pipeline.h"
#include "dsl/parse.h"
#include "runtime/base/half.h"
#include "runtime/base/random.h"
#include "runtime/device/kernels.h"
#include "runtime/simt/simt.h"
#include "tests/tools/check.h"

#include <dlfcn.h>

enum {
    N_WORDS = (1 << 20) - 3,
    SHIFT = 7920,
    BUDGET = 30000,
    COLUMN_BUDGET = 150000,
    STRIP = 1024,
    MAX_BUFFERS = 128,
    SIDES = 2
};

typedef enum Side { SIDE_C, SIDE_CUDA } Side;

// A kernel of the programs; those of equal CUDA text are one.
typedef struct Case {
    const char *task;
    const Graph *graph;
    const Kernel *kernel;
    const char *text;
    char name[16];
} Case;

// Memory that is kept from one kernel to the next.
typedef struct Memory {
    char *at;
    size_t bytes;
} Memory;

typedef struct Comparison {
    Arena *arena;
    const char *task;  // whose kernels are added
    Case *cases;
    int n_cases, capacity;
    void *modules[SIDES];
    XvSimtMachine *machine;
    Check check;
    double unit;                  // of the program's two-byte type; 0 without one
    int n_whole;                  // kernels of which all blocks ran
    Memory numbers[DTYPE_COUNT];  // drawn; buffers start at different places
    Memory written[SIDES][MAX_BUFFERS], scratch[SIDES], got, want;
} Comparison;

// At least so many bytes of a memory, with what it held before.
static void *reserve(Memory *memory, size_t bytes)
{
    if (bytes > memory->bytes) {
        memory->at = realloc(memory->at, bytes);
        memory->bytes = bytes;
        if (!memory->at) {
            check_stop("out of memory");
        }
    }
    return memory->at;
}

// Programs --------------------------------------------------------------------------------------------------------

static void add_case(Comparison *comparison, const Graph *graph, const Kernel *kernel)
{
    Out *out = out_new(comparison->arena);
    render_kernel(out, &dialect_cuda, graph, kernel, "@");
    const char *text = out_text(out);
    for (int i = 0; i < comparison->n_cases; i++) {
        if (strcmp(comparison->cases[i].text, text) == 0) {
            return;
        }
    }
    if (comparison->n_cases == comparison->capacity) {
        comparison->capacity = comparison->capacity ? 2 * comparison->capacity : 256;
        comparison->cases =
            realloc(comparison->cases, (size_t)comparison->capacity * sizeof *comparison->cases);
        if (!comparison->cases) {
            check_stop("out of memory");
        }
    }
    Case *added = &comparison->cases[comparison->n_cases];
    *added = (Case){.task = comparison->task, .graph = graph, .kernel = kernel, .text = text};
    snprintf(added->name, sizeof added->name, "k%d", comparison->n_cases++);
}

static Task *compiled(const Comparison *comparison, char **argv, double *unit)
{
    Arena *arena = comparison->arena;
    Interner *names = interner_new(arena);
    Diag diag = {.stream = stderr};
    ParseContext context = {arena, names, &diag};
    const AstFile *files = load_files(&context, argv[2]);
    ElaborateOptions options = {
        .model = "model", .task = intern(names, comparison->task), .batch = atoi(argv[3])};
    Task *task = files ? elaborate(arena, names, &diag, files, &options) : NULL;
    if (!task) {
        check_stop("%s: the task %s does not compile", argv[2], comparison->task);
    }
    PipelineOptions pipeline = {.is_fused = true, .stream = stdout};
    if (!precision_find(argv[4], &pipeline.precision)) {
        check_stop("there is no precision '%s'", argv[4]);
    }
    *unit = pipeline.precision == PRECISION_BF16   ? 0x1p-8
            : pipeline.precision == PRECISION_FP16 ? 0x1p-11
                                                   : 0;
    pipeline_run(arena, names, task, &pipeline);
    return task;
}

static void add_cases(Comparison *comparison, const Program *program)
{
    for (int i = 0; i < program->n_steps; i++) {
        if (program->steps[i].kernel) {
            add_case(comparison, program->graph, program->steps[i].kernel);
        }
    }
}

static void add_task(Comparison *comparison, const Task *task)
{
    for (int i = 0; i < task->n_entries; i++) {
        if (task->entries[i].train) {
            add_cases(comparison, task->entries[i].train);
        }
        add_cases(comparison, task->entries[i].observe);
    }
}

// Texts and modules -----------------------------------------------------------------------------------------------

static int count_arguments(const Kernel *kernel)
{
    int draws[MAX_KERNEL_DRAWS];
    return kernel->n_buffers + render_draws(kernel, draws, MAX_KERNEL_DRAWS) + (kernel_columns(kernel) > 0);
}

// What makes functions of one type of all kernels: the arguments as an array.
static void write_entry(Comparison *comparison, Out *out, const Case *item, Side side)
{
    if (side == SIDE_CUDA) {
        out_line(out, "XV_ENTRY(%s)", item->name);
        return;
    }
    const char *arguments = "";
    for (int i = 0; i < count_arguments(item->kernel); i++) {
        arguments = arena_format(comparison->arena, "%s%sarguments[%d]", arguments, i ? ", " : "", i);
    }
    out_line(out, "void simt_%s(void **arguments)", item->name);
    out_open(out, "");
    out_line(out, "%s(%s);", item->name, arguments);
    out_close(out, "");
}

static void *loaded(Comparison *comparison, const char *folder, Side side)
{
    static const char *const names[] = {"against.c", "against.cu"};
    static const char *const commands[] = {
        "${CC:-gcc} -std=c11 -D_GNU_SOURCE -O2 -fopenmp -fno-math-errno -fno-trapping-math -I. -fPIC -shared "
        "-w %s/against.c -o %s/against_c.so",
        "tests/simt/compile.sh %s/against.cu %s/against_cu.so"};
    static const char *const modules[] = {"against_c.so", "against_cu.so"};
    Out *out = out_new(comparison->arena);
    if (side == SIDE_C) {
        out_line(out, "#include \"runtime/device/kernels.h\"");
    }
    for (int i = 0; i < comparison->n_cases; i++) {
        const Case *item = &comparison->cases[i];
        render_kernel(out, side == SIDE_C ? &dialect_c : &dialect_cuda, item->graph, item->kernel,
                      item->name);
        write_entry(comparison, out, item, side);
    }
    if (!out_save(out, check_path(folder, names[side])) ||
        system(arena_format(comparison->arena, commands[side], folder, folder)) != 0) {
        check_stop("%s does not compile", names[side]);
    }
    void *module = dlopen(check_path(folder, modules[side]), RTLD_NOW | RTLD_LOCAL);
    if (!module) {
        check_stop("%s", dlerror());
    }
    return module;
}

// Runs ------------------------------------------------------------------------------------------------------------

// One run. What is only read is shared; what is written each side has a copy of.
typedef struct Run {
    const Kernel *kernel;
    const char *before[MAX_BUFFERS];
    char *memory[SIDES][MAX_BUFFERS];
    float *scratch[SIDES];
    XvDraw draws[MAX_KERNEL_DRAWS];
    int n_draws;
    CudaShape shape;
    uint32_t every;
} Run;

static size_t size_of(Dtype dtype)
{
    return dtype == DTYPE_BOOL ? 1 : dtype_is_low(dtype) ? 2 : 4;
}

static void draw_number(char *memory, Dtype dtype, int64_t i, uint32_t word)
{
    float number = (float)((double)word * 0x1p-31 - 1);
    if (dtype == DTYPE_F32) {
        ((float *)(void *)memory)[i] = number;
    } else if (dtype_is_low(dtype)) {
        ((uint16_t *)(void *)memory)[i] =
            dtype == DTYPE_BF16 ? xv_bf16_from_float(number) : xv_f16_from_float(number);
    } else if (dtype == DTYPE_I32) {
        ((int32_t *)(void *)memory)[i] = (int32_t)(word & 1);
    } else {
        memory[i] = (char)(word & 1);
    }
}

// Numbers around 1; indices, labels and truth values are 0 or 1, which every table has. They repeat after N_WORDS.
static void draw_numbers(Memory *memory, Dtype dtype, int64_t count)
{
    size_t size = size_of(dtype), period = N_WORDS * size, bytes = (size_t)count * size;
    char *at = reserve(memory, bytes < period ? period : bytes);
    XvStream stream = xv_stream(20);
    for (int64_t i = 0; i < N_WORDS; i++) {
        draw_number(at, dtype, i, xv_stream_u32(&stream));
    }
    for (size_t place = period; place < memory->bytes; place += period) {
        memcpy(at + place, at, memory->bytes - place < period ? memory->bytes - place : period);
    }
}

static int64_t buffer_end(const Kernel *kernel, int i)
{
    return shape_count(&kernel->buffers[i].shape) + SHIFT * i;
}

// Enough numbers for every buffer of every kernel.
static void draw_all(Comparison *comparison)
{
    int64_t most[DTYPE_COUNT] = {0};
    for (int c = 0; c < comparison->n_cases; c++) {
        const Kernel *kernel = comparison->cases[c].kernel;
        if (kernel->n_buffers > MAX_BUFFERS) {
            check_stop("%s has %d buffers", comparison->cases[c].name, kernel->n_buffers);
        }
        for (int i = 0; i < kernel->n_buffers; i++) {
            int64_t *largest = &most[kernel->buffers[i].dtype];
            *largest = buffer_end(kernel, i) > *largest ? buffer_end(kernel, i) : *largest;
        }
    }
    for (int dtype = 0; dtype < DTYPE_COUNT; dtype++) {
        if (most[dtype] > 0) {
            draw_numbers(&comparison->numbers[dtype], (Dtype)dtype, most[dtype]);
        }
    }
}

static void prepare_buffer(Comparison *comparison, Run *run, int i)
{
    const KernelBuffer *buffer = &run->kernel->buffers[i];
    size_t size = size_of(buffer->dtype), bytes = (size_t)shape_count(&buffer->shape) * size;
    char *numbers = comparison->numbers[buffer->dtype].at + (size_t)(SHIFT * i) * size;
    run->before[i] = numbers;
    for (int side = 0; side < SIDES; side++) {
        run->memory[side][i] = numbers;
        if (buffer->kind != BUFFER_READ) {
            run->memory[side][i] = reserve(&comparison->written[side][i], bytes);
            memcpy(run->memory[side][i], numbers, bytes);
        }
    }
}

static void prepare(Comparison *comparison, Run *run, const Case *item)
{
    const Kernel *kernel = item->kernel;
    *run = (Run){.kernel = kernel, .shape = cuda_shape(kernel)};
    for (int i = 0; i < kernel->n_buffers; i++) {
        prepare_buffer(comparison, run, i);
    }
    int draws[MAX_KERNEL_DRAWS];
    run->n_draws = render_draws(kernel, draws, MAX_KERNEL_DRAWS);
    for (int i = 0; i < run->n_draws; i++) {
        run->draws[i] = (XvDraw){.key = (uint64_t)i + 7, .threshold = 1u << 30, .scale = 4.0f / 3};
    }
    size_t floats[SIDES] = {(size_t)render_scratch_floats(kernel), (size_t)cuda_scratch_floats(kernel)};
    for (int side = 0; side < SIDES; side++) {
        run->scratch[side] = reserve(&comparison->scratch[side], floats[side] * sizeof(float));
    }
    int64_t elements = kernel_rows(kernel) * kernel->lanes;
    for (int i = 0; i < kernel->n_reduce_dims; i++) {
        elements *= kernel->reduce_dims[i];
    }
    int budget = kernel_columns(kernel) > 0 ? COLUMN_BUDGET : BUDGET;
    run->every = (uint32_t)(elements / budget + 1);
}

// The arguments: of C all buffers by address, of CUDA the address of each argument, without sums over all rows.
static void set_arguments(Run *run, Side side, void **pointers, void **arguments)
{
    int count = 0;
    for (int i = 0; i < run->kernel->n_buffers; i++) {
        if (side == SIDE_C || !cuda_is_column(run->kernel, i)) {
            pointers[count++] = run->memory[side][i];
        }
    }
    for (int i = 0; i < run->n_draws; i++) {
        pointers[count++] = &run->draws[i];
    }
    pointers[count++] = run->scratch[side];
    for (int i = 0; i < count; i++) {
        arguments[i] = side == SIDE_C ? pointers[i] : (void *)&pointers[i];
    }
}

static XvSimtKernel kernel_of(const Comparison *comparison, const Case *item, Side side)
{
    char symbol[32];
    snprintf(symbol, sizeof symbol, "simt_%s", item->name);
    void *address = dlsym(comparison->modules[side], symbol);
    if (!address) {
        check_stop("%s", dlerror());
    }
    XvSimtKernel kernel;
    memcpy(&kernel, &address, sizeof kernel);
    return kernel;
}

static bool launch(Comparison *comparison, Run *run, const Case *item)
{
    void *pointers[MAX_BUFFERS + MAX_KERNEL_DRAWS + 1], *arguments[MAX_BUFFERS + MAX_KERNEL_DRAWS + 1];
    set_arguments(run, SIDE_C, pointers, arguments);
    kernel_of(comparison, item, SIDE_C)(arguments);
    set_arguments(run, SIDE_CUDA, pointers, arguments);
    void *address = dlsym(comparison->modules[SIDE_CUDA], "xv_simt_current");
    XvSimt **(*current)(void);
    memcpy(&current, &address, sizeof current);
    XvSimtLaunch launched = {.name = item->kernel->name,
                             .kernel = kernel_of(comparison, item, SIDE_CUDA),
                             .current = current(),
                             .grid = {(uint32_t)run->shape.blocks, 1, 1},
                             .threads = (uint32_t)run->shape.threads,
                             .arguments = arguments,
                             .every = run->every};
    char message[1024];
    bool is_good = xv_simt_launch(comparison->machine, &launched, message, sizeof message);
    check_that(&comparison->check, is_good, "%s", message);
    return is_good;
}

// Comparisons -----------------------------------------------------------------------------------------------------

static double value_of(const char *memory, Dtype dtype, int64_t i)
{
    const float *numbers = (const float *)(const void *)memory;
    const uint16_t *halves = (const uint16_t *)(const void *)memory;
    const int32_t *integers = (const int32_t *)(const void *)memory;
    switch (dtype) {
    case DTYPE_F32: return (double)numbers[i];
    case DTYPE_BF16: return (double)xv_bf16_to_float(halves[i]);
    case DTYPE_F16: return (double)xv_f16_to_float(halves[i]);
    case DTYPE_I32: return integers[i];
    default: return memory[i];
    }
}

// Numbers that are the same up to the order of sums and the rounding of elementary functions. What is stored in two
// bytes may fall to either side of a rounding: one unit in the last place.
static bool is_close(double got, double want, double largest, Dtype dtype)
{
    double unit = dtype == DTYPE_BF16 ? 0x1p-7 : dtype == DTYPE_F16 ? 0x1p-10 : 0;
    if (!isfinite(got) || !isfinite(want)) {
        return (isnan(got) && isnan(want)) || got == want;
    }
    return fabs(got - want) <= 2e-5 * largest + (1e-4 + unit) * fabs(want);
}

// Where a kernel rounds in the middle, a value that falls to the other side there moves a few single results by up to
// a unit of the type, in the scale of the buffer.
static bool is_flip(const Comparison *comparison, double got, double want, double largest)
{
    return isfinite(got) && fabs(got - want) <= 2 * comparison->unit * largest;
}

static void compare_values(Comparison *comparison, const Case *item, Dtype dtype, const double *got,
                           const double *want, int64_t count)
{
    double largest = 0;
    int64_t wrong = 0, flips = 0, at = 0;
    for (int64_t i = 0; i < count; i++) {
        largest = isfinite(want[i]) && fabs(want[i]) > largest ? fabs(want[i]) : largest;
    }
    for (int64_t i = 0; i < count; i++) {
        if (is_close(got[i], want[i], largest, dtype)) {
            continue;
        }
        bool is_allowed = is_flip(comparison, got[i], want[i], largest) && flips <= count / 10000;
        flips += is_allowed;
        wrong += !is_allowed;
        at = wrong == 1 && !is_allowed ? i : at;
    }
    check_that(&comparison->check, wrong == 0, "%s of %s: %lld of %lld differ, [%lld] is %.9g, C has %.9g",
               item->kernel->name, item->task, (long long)wrong, (long long)count, (long long)at,
               count > 0 ? got[at] : 0, count > 0 ? want[at] : 0);
}

// What the blocks wrote: all of a buffer, or where it is no longer what it was. How many elements that is.
static int64_t compare_buffer(Comparison *comparison, const Case *item, const Run *run, int i)
{
    const KernelBuffer *buffer = &run->kernel->buffers[i];
    int64_t count = shape_count(&buffer->shape), written = 0;
    size_t size = size_of(buffer->dtype);
    double *got = reserve(&comparison->got, (size_t)count * sizeof *got),
           *want = reserve(&comparison->want, (size_t)count * sizeof *want);
    const char *cuda = run->memory[SIDE_CUDA][i];
    for (int64_t j = 0; j < count; j++) {
        size_t place = (size_t)j * size;
        bool is_start = j % STRIP == 0 && j + STRIP <= count && run->every > 1;
        if (is_start && memcmp(cuda + place, run->before[i] + place, STRIP * size) == 0) {
            j += STRIP - 1;  // most of the buffer
        } else if (run->every == 1 || memcmp(cuda + place, run->before[i] + place, size) != 0) {
            got[written] = value_of(cuda, buffer->dtype, j);
            want[written++] = value_of(run->memory[SIDE_C][i], buffer->dtype, j);
        }
    }
    compare_values(comparison, item, buffer->dtype, got, want, written);
    return written;
}

static void compare_column(Comparison *comparison, const Case *item, const Run *run, int column)
{
    int64_t lanes = run->kernel->lanes;
    double *got = reserve(&comparison->got, (size_t)lanes * sizeof *got),
           *want = reserve(&comparison->want, (size_t)lanes * sizeof *want);
    const char *sums = run->memory[SIDE_C][cuda_column(run->kernel, column)->buffer];
    for (int64_t c = 0; c < lanes; c++) {
        got[c] = 0;
        want[c] = value_of(sums, DTYPE_F32, c);
        for (int64_t chunk = 0; chunk < run->shape.chunks; chunk++) {
            got[c] += (double)run->scratch[SIDE_CUDA][(column * run->shape.chunks + chunk) * lanes + c];
        }
    }
    compare_values(comparison, item, DTYPE_F32, got, want, lanes);
}

static void compare(Comparison *comparison, const Case *item, const Run *run)
{
    int64_t written = kernel_columns(run->kernel);
    for (int i = 0; i < run->kernel->n_buffers; i++) {
        if (run->kernel->buffers[i].kind != BUFFER_READ && !cuda_is_column(run->kernel, i)) {
            written += compare_buffer(comparison, item, run, i);
        }
    }
    check_that(&comparison->check, written > 0, "%s of %s writes nothing", item->kernel->name, item->task);
    for (int i = 0; run->every == 1 && i < kernel_columns(run->kernel); i++) {
        compare_column(comparison, item, run, i);
    }
    comparison->n_whole += run->every == 1;
}

static void release(Comparison *comparison)
{
    for (int dtype = 0; dtype < DTYPE_COUNT; dtype++) {
        free(comparison->numbers[dtype].at);
    }
    for (int side = 0; side < SIDES; side++) {
        free(comparison->scratch[side].at);
        for (int i = 0; i < MAX_BUFFERS; i++) {
            free(comparison->written[side][i].at);
        }
    }
    free(comparison->got.at);
    free(comparison->want.at);
    free(comparison->cases);
    xv_simt_close(comparison->machine);
    arena_free(comparison->arena);
}

int main(int argc, char **argv)
{
    if (argc < 6) {
        check_stop("usage: against_c FOLDER MODEL.dsl BATCH PRECISION TASK...");
    }
    Comparison comparison = {.arena = arena_new(), .machine = xv_simt_open()};
    if (!comparison.machine) {
        check_stop("out of memory");
    }
    for (int i = 5; i < argc; i++) {
        comparison.task = argv[i];
        int before = comparison.n_cases;
        add_task(&comparison, compiled(&comparison, argv, &comparison.unit));
        printf("%s: %d kernels of its own\n", argv[i], comparison.n_cases - before);
    }
    for (int side = 0; side < SIDES; side++) {
        comparison.modules[side] = loaded(&comparison, argv[1], (Side)side);
    }
    draw_all(&comparison);
    for (int i = 0; i < comparison.n_cases; i++) {
        Run run;
        prepare(&comparison, &run, &comparison.cases[i]);
        if (launch(&comparison, &run, &comparison.cases[i])) {
            compare(&comparison, &comparison.cases[i], &run);
        }
    }
    printf("%d kernels ran, %d with all their blocks\n", comparison.n_cases, comparison.n_whole);
    int status = check_finish(&comparison.check, argv[4]);
    release(&comparison);
    return status;
}
