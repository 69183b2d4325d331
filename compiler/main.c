// The driver: options, files, exit codes. 0 done, 1 errors were reported, 2 wrong usage.
#include "codegen/emit.h"
#include "compiler/config.h"
#include "compiler/elaborate.h"
#include "compiler/inspect.h"
#include "compiler/pipeline.h"
#include "compiler/shapes.h"
#include "dsl/parse.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char USAGE[] =
    "usage: xvlmc MODEL.dsl [options]       compile the model's tasks to programs\n"
    "       xvlmc check FILE.dsl            report errors, write nothing\n"
    "       xvlmc fmt [--check] FILE.dsl... format in place, or say which files would change\n"
    "       xvlmc inspect DIR               kernels, memory plan and parameters of a compiled task;\n"
    "                                       --arch sm_90a: what its CUDA kernels need there; --sass KERNEL\n"
    "\n"
    "  --task NAME          one task instead of all\n"
    "  --target NAME        c (the default), or cuda for NVIDIA GPUs\n"
    "  --precision NAME     fp32 (the default of c), tf32, bf16 (that of cuda) or fp16: what products read and give\n"
    "  --config FILE        configuration, YAML or JSON, with the official names\n"
    "  --set KEY=VALUE      override one constant; may be repeated\n"
    "  --shapes FILE        bind symbolic dimensions from the tensors in a safetensors file\n"
    "  --batch N            bind dimension B of every entry point\n"
    "  --ranks N            processes that will run together: `world` (1, or those named by --shapes)\n"
    "  --output DIR         where sources and program go (generated/<model>/<task>); several tasks: DIR/<task>\n"
    "  --no-build           write sources only\n"
    "  --no-fuse            one step per operation, for comparison\n"
    "  --emit STAGE         print ast, graph, backward, fused or plan instead of writing sources\n"
    "  --verify             check the graph after every pass\n";

typedef struct Options {
    const char *model;
    const char *task;
    const char *output;
    const char *target;
    const char *shapes;
    const char *configs[16];
    int n_configs;
    const char *sets[256];
    int n_sets;
    int64_t batch, ranks;
    bool is_built, is_fused, is_verified;
    bool is_alone;        // one task is compiled
    Precision precision;  // COUNT: not given
    EmitStage emit;
} Options;

typedef struct Session {
    Arena *arena;
    Interner *names;
    Diag diag;
    ParseContext context;
} Session;

static Session *session_new(void)
{
    Arena *arena = arena_new();
    Session *session = arena_alloc(arena, sizeof *session);
    session->arena = arena;
    session->names = interner_new(arena);
    session->diag.stream = stderr;
    session->context = (ParseContext){arena, session->names, &session->diag};
    return session;
}

static int session_end(Session *session, bool is_good)
{
    diag_finish(&session->diag);
    bool is_clean = is_good && session->diag.n_errors == 0;
    arena_free(session->arena);
    return is_clean ? 0 : 1;
}

static int wrong_usage(const char *format, const char *what)
{
    fprintf(stderr, "xvlmc: ");
    fprintf(stderr, format, what);
    fprintf(stderr, "\n\n%s", USAGE);
    return 2;
}

// Options ---------------------------------------------------------------------------------------------------------

static bool emit_stage(const char *name, EmitStage *stage)
{
    static const char *const names[] = {"", "ast", "graph", "backward", "fused", "plan", "c"};
    for (int i = 1; i < (int)(sizeof names / sizeof *names); i++) {
        if (strcmp(names[i], name) == 0) {
            *stage = (EmitStage)i;
            return true;
        }
    }
    return false;
}

static bool positive(const char *text, int64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoll(text, &end, 10);
    return errno == 0 && *end == 0 && end != text && *value > 0 && *value < 1 << 24;
}

// One option with its value; 0 when understood, else the exit status.
static int take_option(Options *options, const char *name, const char *value)
{
    if (strcmp(name, "--task") == 0) {
        options->task = value;
    } else if (strcmp(name, "--output") == 0) {
        options->output = value;
    } else if (strcmp(name, "--shapes") == 0) {
        options->shapes = value;
    } else if (strcmp(name, "--config") == 0 && options->n_configs < 16) {
        options->configs[options->n_configs++] = value;
    } else if (strcmp(name, "--set") == 0 && options->n_sets < 256) {
        options->sets[options->n_sets++] = value;
    } else if (strcmp(name, "--batch") == 0) {
        return positive(value, &options->batch)
                   ? 0
                   : wrong_usage("--batch takes a number of at least 1, not '%s'", value);
    } else if (strcmp(name, "--ranks") == 0) {
        return positive(value, &options->ranks)
                   ? 0
                   : wrong_usage("--ranks takes a number of at least 1, not '%s'", value);
    } else if (strcmp(name, "--emit") == 0) {
        return emit_stage(value, &options->emit)
                   ? 0
                   : wrong_usage("--emit knows ast, graph, backward, fused and plan, not '%s'", value);
    } else if (strcmp(name, "--precision") == 0) {
        return precision_find(value, &options->precision)
                   ? 0
                   : wrong_usage("--precision takes fp32, tf32, bf16 or fp16, not '%s'", value);
    } else if (strcmp(name, "--target") == 0) {
        options->target = value;
        bool is_known = strcmp(value, "c") == 0 || strcmp(value, "cuda") == 0;
        return is_known ? 0 : wrong_usage("there is no target '%s'; there are c and cuda", value);
    } else {
        return wrong_usage("unknown option '%s'", name);
    }
    return 0;
}

static int read_options(int argc, char **argv, Options *options)
{
    *options = (Options){.target = "c", .is_built = true, .is_fused = true, .precision = PRECISION_COUNT};
    for (int i = 1; i < argc; i++) {
        char *argument = argv[i];
        if (strcmp(argument, "--no-build") == 0) {
            options->is_built = false;
        } else if (strcmp(argument, "--no-fuse") == 0) {
            options->is_fused = false;
        } else if (strcmp(argument, "--verify") == 0) {
            options->is_verified = true;
        } else if (strncmp(argument, "--", 2) == 0) {
            char *equals = strchr(argument, '=');
            const char *value = equals ? equals + 1 : i + 1 < argc ? argv[++i] : NULL;
            if (equals) {
                *equals = 0;
            }
            if (!value) {
                return wrong_usage("%s needs a value", argument);
            }
            int status = take_option(options, argument, value);
            if (status != 0) {
                return status;
            }
        } else if (options->model) {
            return wrong_usage("one model at a time: what is '%s'?", argument);
        } else {
            options->model = argument;
        }
    }
    if (options->precision == PRECISION_COUNT) {
        options->precision = strcmp(options->target, "c") == 0 ? PRECISION_FP32 : PRECISION_BF16;
    }
    return options->model ? 0 : wrong_usage("%s", "no model given");
}

// Configuration ---------------------------------------------------------------------------------------------------

static Value value_of_config(Arena *arena, const ConfigValue *from)
{
    Span none = {0};
    switch (from->kind) {
    case CONFIG_INT: return value_int(from->integer, none);
    case CONFIG_FLOAT: return value_float(from->number, none);
    case CONFIG_BOOL: return value_bool(from->truth, none);
    case CONFIG_STRING: return value_string(from->text, none);
    case CONFIG_LIST: {
        Value list = value_list(arena, none);
        for (int i = 0; i < from->n_items; i++) {
            value_append(arena, &list, value_of_config(arena, &from->items[i]));
        }
        return list;
    }
    default: return value_none(none);
    }
}

static void append_overrides(Arena *arena, const Config *config, bool is_strict,
                             ElaborateOptions *elaborate_options)
{
    int n_more = config->entries->n_entries;
    Override *all = arena_alloc(arena, ((size_t)(elaborate_options->n_overrides + n_more) + 1) * sizeof *all);
    if (elaborate_options->n_overrides > 0) {
        memcpy(all, elaborate_options->overrides, (size_t)elaborate_options->n_overrides * sizeof *all);
    }
    for (int i = 0; i < n_more; i++) {
        const ConfigEntry *entry = config->entries->entries[i].value;
        all[elaborate_options->n_overrides++] = (Override){.path = entry->path,
                                                           .value = value_of_config(arena, &entry->value),
                                                           .origin = entry->origin,
                                                           .is_strict = is_strict,
                                                           .is_optional = entry->is_optional};
    }
    elaborate_options->overrides = all;
}

static bool read_configuration(Session *session, const Options *options, ElaborateOptions *elaborate_options)
{
    Config *from_files = config_new(&session->context);
    Config *from_sets = config_new(&session->context);
    bool is_good = true;
    for (int i = 0; i < options->n_configs; i++) {
        is_good = config_read(from_files, options->configs[i]) && is_good;
    }
    for (int i = 0; i < options->n_sets; i++) {
        is_good = config_set(from_sets, options->sets[i]) && is_good;
    }
    append_overrides(session->arena, from_files, false, elaborate_options);
    append_overrides(session->arena, from_sets, true, elaborate_options);
    return is_good;
}

// Building --------------------------------------------------------------------------------------------------------

static bool make_folders(const char *path)
{
    char partial[PATH_MAX];
    size_t length = strlen(path);
    if (length >= sizeof partial) {
        errno = ENAMETOOLONG;
        return false;
    }
    for (size_t i = 1; i <= length; i++) {
        if (path[i] == '/' || path[i] == 0) {
            memcpy(partial, path, i);
            partial[i] = 0;
            if (mkdir(partial, 0777) != 0 && errno != EEXIST) {
                return false;
            }
        }
    }
    return true;
}

// The folder with runtime/: beside the build folder in a checkout, below lib/ when installed; and the library, which is
// beside this program in a checkout, whatever the build folder is called.
static bool find_runtime(char root[PATH_MAX], char library[PATH_MAX])
{
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length <= 0) {
        return false;
    }
    self[length] = 0;
    static const char *const places[][2] = {{"..", "libxv.a"}, {"../lib/xvlmc", "../lib/xvlmc/libxv.a"}};
    const char *folder = dirname(self);
    for (int i = 0; i < 2; i++) {
        char header[3 * PATH_MAX];
        char candidate[2 * PATH_MAX], archive[2 * PATH_MAX];
        snprintf(candidate, sizeof candidate, "%s/%s", folder, places[i][0]);
        snprintf(header, sizeof header, "%s/runtime/program.h", candidate);
        snprintf(archive, sizeof archive, "%s/%s", folder, places[i][1]);
        if (access(header, R_OK) == 0 && realpath(candidate, root) && realpath(archive, library)) {
            return true;
        }
    }
    return false;
}

static bool build(const char *directory)
{
    char root[PATH_MAX], library[PATH_MAX];
    if (!find_runtime(root, library)) {
        fprintf(stderr,
                "xvlmc: the runtime's headers and library are not beside this program; use --no-build\n");
        return false;
    }
    char root_setting[2 * PATH_MAX];
    char library_setting[2 * PATH_MAX];
    snprintf(root_setting, sizeof root_setting, "XVLMC=%s", root);
    snprintf(library_setting, sizeof library_setting, "LIBRARY=%s", library);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        unsetenv("MAKEFLAGS");
        unsetenv("MFLAGS");
        execlp("make", "make", "-s", "-j2", "-C", directory, root_setting, library_setting, (char *)NULL);
        fprintf(stderr, "xvlmc: make cannot be run: %s\n", strerror(errno));
        _exit(1);
    }
    int status = 1;
    if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0) {
        fprintf(stderr, "xvlmc: building the program in %s failed\n", directory);
        return false;
    }
    return true;
}

static const char *model_name(Arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *start = slash ? slash + 1 : path;
    const char *dot = strrchr(start, '.');
    return arena_copy(arena, start, dot ? (size_t)(dot - start) : strlen(start));
}

// --output is the folder of a task that is compiled alone; several get folders of their own in it.
static const char *folder_of(Arena *arena, const Options *options, const Task *task)
{
    if (!options->output) {
        return arena_format(arena, "generated/%s/%s", task->model, task->name);
    }
    return options->is_alone ? options->output : arena_format(arena, "%s/%s", options->output, task->name);
}

static bool compile_task(Session *session, const Options *options, const AstFile *files,
                         ElaborateOptions *elaborate_options)
{
    Task *task = elaborate(session->arena, session->names, &session->diag, files, elaborate_options);
    if (!task) {
        return false;
    }
    PipelineOptions pipeline = {options->is_fused, options->is_verified, options->emit, stdout,
                                options->precision};
    pipeline_run(session->arena, session->names, task, &pipeline);
    if (options->emit != EMIT_NOTHING && options->emit != EMIT_C) {
        return true;
    }
    const char *directory = folder_of(session->arena, options, task);
    if (!make_folders(directory)) {
        fprintf(stderr, "xvlmc: cannot make the folder %s: %s\n", directory, strerror(errno));
        return false;
    }
    return emit_program(session->arena, task, options->target, directory) &&
           (!options->is_built || build(directory));
}

// With several tasks, --set may name what only some of them know; what none knows is an error all the same.
static bool check_sets(Session *session, const AstFile *files, ElaborateOptions *options, const Sym *names,
                       int n_names)
{
    for (int i = 0; n_names > 1 && i < options->n_overrides; i++) {
        Override *override = &options->overrides[i];
        bool is_known = !override->is_strict;
        for (int j = 0; j < n_names && !is_known; j++) {
            is_known = elaborate_knows(session->arena, session->names, files, names[j], override->path);
        }
        if (!is_known) {
            diag_error(&session->diag, (Span){0}, "%s: no task has a configuration '%s'", override->origin,
                       override->path);
            return false;
        }
        override->is_optional = override->is_optional || override->is_strict;
        override->is_strict = false;
    }
    return true;
}

static bool read_shapes(Session *session, const Options *options, ElaborateOptions *elaborate_options)
{
    int *n_shapes = &elaborate_options->n_shapes;
    GivenShape *shapes = shapes_read(session->arena, &session->diag, options->shapes, n_shapes);
    int ranks =
        shapes ? shapes_of_ranks(session->arena, &session->diag, options->shapes, shapes, n_shapes) : 0;
    if (ranks > 1 && options->ranks > 0 && options->ranks != ranks) {
        diag_error(&session->diag, (Span){0},
                   "'%s' holds tensors of %d ranks, which --ranks %lld contradicts", options->shapes, ranks,
                   (long long)options->ranks);
        return false;
    }
    elaborate_options->shapes = shapes;
    elaborate_options->ranks = options->ranks > 0 ? options->ranks : ranks;
    return ranks > 0;
}

static bool compile_tasks(Session *session, Options *options, const AstFile *files)
{
    ElaborateOptions elaborate_options = {.model = model_name(session->arena, options->model),
                                          .batch = options->batch,
                                          .ranks = options->ranks};
    if (!read_configuration(session, options, &elaborate_options)) {
        return false;
    }
    if (options->shapes && !read_shapes(session, options, &elaborate_options)) {
        return false;
    }
    Sym names[64];
    int n_names = elaborate_task_names(files, names, 64);
    if (options->task) {
        names[0] = options->task;
        n_names = 1;
    }
    if (n_names == 0) {
        diag_error(&session->diag, (Span){0}, "%s declares and imports no task", options->model);
    }
    options->is_alone = n_names == 1;
    bool is_good = n_names > 0 && check_sets(session, files, &elaborate_options, names, n_names);
    for (int i = 0; i < n_names && is_good; i++) {
        elaborate_options.task = names[i];
        is_good = compile_task(session, options, files, &elaborate_options);
    }
    return is_good;
}

static int command_compile(int argc, char **argv)
{
    Options options;
    int status = read_options(argc, argv, &options);
    if (status != 0) {
        return status;
    }
    Session *session = session_new();
    const AstFile *files = load_files(&session->context, options.model);
    if (files && options.emit == EMIT_AST) {
        const AstFile *last = files;
        while (last->next) {
            last = last->next;
        }
        Out *out = out_new(session->arena);
        bool is_good = format_source(&session->context, last->source, out);
        fputs(out_text(out), stdout);
        return session_end(session, is_good);
    }
    return session_end(session, files && compile_tasks(session, &options, files));
}

// Other commands --------------------------------------------------------------------------------------------------

// Every task of the file is elaborated, nothing is written.
static int command_check(int argc, char **argv)
{
    if (argc != 3) {
        return wrong_usage("%s takes one file", "check");
    }
    Session *session = session_new();
    const AstFile *files = load_files(&session->context, argv[2]);
    bool is_good = files != NULL;
    Sym names[64];
    int n_names = files ? elaborate_task_names(files, names, 64) : 0;
    ElaborateOptions options = {.model = "model"};
    for (int i = 0; files && i < (n_names ? n_names : 1) && session->diag.n_errors == 0; i++) {
        options.task = n_names ? names[i] : NULL;
        elaborate(session->arena, session->names, &session->diag, files, &options);
    }
    return session_end(session, is_good);
}

static bool format_file(Session *session, const char *path, bool is_check)
{
    const Source *source = source_read(session->arena, path);
    if (!source) {
        fprintf(stderr, "xvlmc: cannot read '%s': %s\n", path, strerror(errno));
        return false;
    }
    Out *out = out_new(session->arena);
    if (!format_source(&session->context, source, out)) {
        return false;
    }
    bool is_same =
        strlen(out_text(out)) == source->length && memcmp(out_text(out), source->text, source->length) == 0;
    if (is_check && !is_same) {
        fprintf(stderr, "%s: not formatted; run xvlmc fmt %s\n", path, path);
    }
    return is_check ? is_same : out_save(out, path);
}

static int command_format(int argc, char **argv)
{
    bool is_check = argc > 2 && strcmp(argv[2], "--check") == 0;
    int first = is_check ? 3 : 2;
    if (first >= argc) {
        return wrong_usage("%s takes files", "fmt");
    }
    Session *session = session_new();
    bool is_good = true;
    for (int i = first; i < argc; i++) {
        is_good = format_file(session, argv[i], is_check) && is_good;
    }
    return session_end(session, is_good);
}

static int command_inspect(int argc, char **argv)
{
    return inspect_command(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } commands[] = {{"check", command_check}, {"fmt", command_format}, {"inspect", command_inspect}};
    if (argc < 2) {
        fputs(USAGE, stderr);
        return 2;
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0) {
        fputs(USAGE, stdout);
        return 0;
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            return commands[i].run(argc, argv);
        }
    }
    return command_compile(argc, argv);
}
