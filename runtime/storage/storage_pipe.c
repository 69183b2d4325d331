// hdfs:// through the hdfs command, as the official code does it: see storage.h for its setting.
//
// The command is started without a shell, so that no path can be read as a command.
#include "runtime/storage/storage_kinds.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_WORDS = 32 };

typedef struct Pipe {
    pid_t child;  // 0 once it was waited for
    int descriptor;
    char *path;
} Pipe;

// The words of the configured command and of what it is to do, ending with NULL; `memory` is to be freed.
typedef struct Words {
    char *items[MAX_WORDS];
    char *memory;
} Words;

static bool set_words(Words *words, const char *const *arguments, XvError *error)
{
    const char *command = getenv("XV_HDFS_COMMAND");
    *words = (Words){.memory = strdup(command && *command ? command : "hdfs dfs")};
    if (!words->memory) {
        return xv_fail(error, "no memory for the hdfs command");
    }
    int count = 0;
    char *rest = NULL;
    char *word = strtok_r(words->memory, " ", &rest);
    for (; word && count < MAX_WORDS / 2; word = strtok_r(NULL, " ", &rest)) {
        words->items[count++] = word;
    }
    for (int i = 0; arguments[i] && count < MAX_WORDS - 1; i++) {
        words->items[count++] = (char *)(uintptr_t)arguments[i];  // exec does not change them
    }
    return true;
}

// Starts the command; its standard output can be read from the descriptor.
static bool start(const char *const *arguments, Pipe *out, XvError *error)
{
    int ends[2];
    Words words;
    if (!set_words(&words, arguments, error)) {
        return false;
    }
    if (pipe(ends) != 0) {
        free(words.memory);
        return xv_fail(error, "cannot start %s: %s", words.items[0], strerror(errno));
    }
    out->child = fork();
    if (out->child == 0) {
        signal(SIGPIPE, SIG_DFL);
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execvp(words.items[0], words.items);
        fprintf(stderr, "cannot start %s: %s\n", words.items[0], strerror(errno));
        _exit(127);
    }
    close(ends[1]);
    free(words.memory);
    if (out->child < 0) {
        close(ends[0]);
        return xv_fail(error, "cannot start the hdfs command: %s", strerror(errno));
    }
    out->descriptor = ends[0];
    return true;
}

// Waits for the command; false with a message unless it ended well.
static bool finish(Pipe *pipe, const char *what, const char *path, XvError *error)
{
    int status = 0;
    close(pipe->descriptor);
    pipe->descriptor = -1;
    while (waitpid(pipe->child, &status, 0) < 0 && errno == EINTR) {
    }
    pipe->child = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return true;
    }
    if (WIFEXITED(status)) {
        return xv_fail(error, "cannot %s %s: the hdfs command ended with status %d%s", what, path,
                       WEXITSTATUS(status),
                       WEXITSTATUS(status) == 127 ? " (is it installed? XV_HDFS_COMMAND, XV_WEBHDFS)" : "");
    }
    return xv_fail(error, "cannot %s %s: the hdfs command was ended by signal %d", what, path,
                   WTERMSIG(status));
}

static int64_t read_some(int descriptor, void *buffer, size_t room)
{
    ssize_t got;
    do {
        got = read(descriptor, buffer, room);
    } while (got < 0 && errno == EINTR);
    return got;
}

// ---- reading

static void close_pipe(void *state)
{
    Pipe *pipe = state;
    if (pipe->descriptor >= 0) {
        close(pipe->descriptor);
    }
    if (pipe->child > 0) {
        kill(pipe->child, SIGTERM);
        waitpid(pipe->child, NULL, 0);
    }
    free(pipe->path);
    free(pipe);
}

static int64_t read_pipe(void *state, void *buffer, size_t room, XvError *error)
{
    Pipe *pipe = state;
    if (pipe->child == 0) {
        return 0;
    }
    int64_t got = read_some(pipe->descriptor, buffer, room);
    if (got == 0) {
        return finish(pipe, "read", pipe->path, error) ? 0 : -1;
    }
    if (got < 0) {
        xv_fail(error, "cannot read %s: %s", pipe->path, strerror(errno));
    }
    return got;
}

static bool skip(Pipe *pipe, int64_t count, XvError *error)
{
    char buffer[1 << 16];
    while (count > 0) {
        int64_t got =
            read_pipe(pipe, buffer, count < (int64_t)sizeof buffer ? (size_t)count : sizeof buffer, error);
        if (got <= 0) {
            return got == 0 ? xv_fail(error, "%s has become shorter", pipe->path) : false;
        }
        count -= got;
    }
    return true;
}

static void *open_pipe(const char *path, int64_t offset, XvError *error)
{
    const char *const arguments[] = {"-text", path, NULL};
    Pipe *pipe = calloc(1, sizeof *pipe);
    if (!pipe || !(pipe->path = strdup(path))) {
        free(pipe);
        xv_fail(error, "%s: no memory", path);
        return NULL;
    }
    pipe->descriptor = -1;
    if (!start(arguments, pipe, error) || !skip(pipe, offset, error)) {
        close_pipe(pipe);
        return NULL;
    }
    return pipe;
}

// ---- commands

// Runs a command to its end and keeps what it prints, which the caller frees; NULL with a message.
static char *run(const char *const *arguments, const char *what, const char *path, XvError *error)
{
    Pipe pipe = {.descriptor = -1};
    size_t used = 0, room = 1 << 16;
    char *text = malloc(room + 1);
    if (!text || !start(arguments, &pipe, error)) {
        free(text);
        return NULL;
    }
    for (int64_t got = 1; got > 0;) {
        if (used == room) {
            char *larger = realloc(text, 2 * room + 1);
            if (!larger) {
                break;
            }
            text = larger;
            room *= 2;
        }
        got = read_some(pipe.descriptor, text + used, room - used);
        used += got > 0 ? (size_t)got : 0;
    }
    text[used] = 0;
    if (!finish(&pipe, what, path, error)) {
        free(text);
        return NULL;
    }
    return text;
}

// A line of -ls: permissions, replicas, owner, group, size, date, time, path.
static bool add_line(char *line, XvFileList *list, XvError *error)
{
    char *fields[7], *rest = NULL;
    int count = 0;
    while (count < 7 && (fields[count] = strtok_r(count ? NULL : line, " ", &rest))) {
        count++;
    }
    if (count < 7 || fields[0][0] == 'd' || !rest) {
        return true;
    }
    const char *path = rest + strspn(rest, " ");
    const char *slash = strrchr(path, '/');
    return xv_is_marker(slash ? slash + 1 : path) ||
           xv_file_list_add(list, path, strtoll(fields[4], NULL, 10), error);
}

static bool list_path(const char *path, XvFileList *list, XvError *error)
{
    const char *const arguments[] = {"-ls", path, NULL};
    char *text = run(arguments, "list", path, error);
    int first = list->count;
    bool ok = text != NULL;
    char *rest = NULL;
    for (char *line = ok ? strtok_r(text, "\n", &rest) : NULL; line && ok;
         line = strtok_r(NULL, "\n", &rest)) {
        ok = add_line(line, list, error);
    }
    free(text);
    xv_file_list_sort(list, first);
    return ok;
}

static bool run_quietly(const char *const *arguments, const char *what, const char *path, XvError *error)
{
    char *text = run(arguments, what, path, error);
    free(text);
    return text != NULL;
}

// -put writes under another name first and renames (the command's own behaviour), but it deletes a file that it
// replaces before: that one is put aside until the new one has its name.
static bool store_file(const char *local, const char *path, XvError *error)
{
    XvError ignored = {0};
    char next[PATH_MAX], old[PATH_MAX];
    const char *const find[] = {"-test", "-e", path, NULL};
    const char *const put[] = {"-put", "-f", local, path, NULL};
    if (!run_quietly(find, "find", path, &ignored)) {
        return run_quietly(put, "write", path, error);
    }
    if (snprintf(next, sizeof next, "%s._NEW_._COPYING_", path) >= PATH_MAX) {
        return xv_fail(error, "%.200s...: the path is too long", path);
    }
    snprintf(old, sizeof old, "%s._OLD_", path);
    const char *const put_next[] = {"-put", "-f", local, next, NULL};
    const char *const clear[] = {"-rm", "-f", old, NULL};
    const char *const set_aside[] = {"-mv", path, old, NULL};
    const char *const rename[] = {"-mv", next, path, NULL};
    bool ok = run_quietly(put_next, "write", next, error) && run_quietly(clear, "delete", old, error) &&
              run_quietly(set_aside, "rename", path, error) && run_quietly(rename, "rename", next, error);
    if (ok) {
        run_quietly(clear, "delete", old, &ignored);
    }
    return ok;
}

static bool make_folder(const char *path, XvError *error)
{
    const char *const arguments[] = {"-mkdir", "-p", path, NULL};
    return run_quietly(arguments, "create", path, error);
}

const XvStorageKind XV_STORAGE_PIPE = {
    .list = list_path,
    .open = open_pipe,
    .read = read_pipe,
    .close = close_pipe,
    .store = store_file,
    .make_folder = make_folder,
};
