// Files to syntax trees, each once, imports first; see parse.h.
#include "dsl/parse.h"

#include "compiler/base/map.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { LARGEST_FILE = 1 << 26, DEEPEST_IMPORT = 64 };

// Reads all of an open file; NULL with errno set.
static const Source *read_open(Arena *arena, FILE *file, const char *path)
{
    size_t capacity = 1 << 14;
    size_t length = 0;
    char *text = arena_alloc(arena, capacity + 1);
    size_t got;
    while ((got = fread(text + length, 1, capacity - length, file)) > 0) {
        length += got;
        if (length < capacity) {
            continue;
        }
        if (capacity >= LARGEST_FILE) {
            errno = EFBIG;
            return NULL;
        }
        char *grown = arena_alloc(arena, 2 * capacity + 1);
        memcpy(grown, text, length);
        text = grown;
        capacity *= 2;
    }
    if (ferror(file)) {
        return NULL;
    }
    text[length] = 0;
    Source *source = arena_alloc(arena, sizeof *source);
    *source = (Source){arena_copy(arena, path, strlen(path)), text, length};
    return source;
}

const Source *source_read(Arena *arena, const char *path)
{
    struct stat info;
    FILE *file = fopen(path, "rb");
    if (!file) {
        return NULL;
    }
    const Source *source = NULL;
    if (fstat(fileno(file), &info) == 0 && S_ISDIR(info.st_mode)) {
        errno = EISDIR;
    } else {
        source = read_open(arena, file, path);
    }
    int failed = errno;
    fclose(file);
    errno = failed;
    return source;
}

typedef struct Loading {
    const ParseContext *context;
    Map *seen;              // path -> anything
    AstFile *first, *last;  // imported files first
    int depth;
} Loading;

// "models/../tasks/x.dsl" -> "tasks/x.dsl": names that mean the same file should read the same.
const char *path_normalised(Arena *arena, const char *path)
{
    char *plain = arena_alloc(arena, strlen(path) + 1);
    size_t used = 0;
    int n_removable = 0;  // components at the end of `plain` that a ".." takes back
    while (*path) {
        size_t length = strcspn(path, "/");
        size_t whole = length + (path[length] == '/');
        bool is_up = length == 2 && path[0] == '.' && path[1] == '.';
        bool is_here = whole == 2 && path[0] == '.' && path[1] == '/';
        if (is_up && n_removable > 0) {
            n_removable--;
            for (used--; used > 0 && plain[used - 1] != '/';) {
                used--;
            }
        } else if (!is_here) {
            memcpy(plain + used, path, whole);
            used += whole;
            n_removable = is_up || length == 0 ? 0 : n_removable + 1;
        }
        path += whole;
    }
    plain[used] = 0;
    return plain;
}

static const char *beside(Arena *arena, const char *file, const char *path)
{
    const char *slash = strrchr(file, '/');
    if (!slash || path[0] == '/') {
        return path_normalised(arena, path);
    }
    return path_normalised(arena, arena_format(arena, "%.*s/%s", (int)(slash - file), file, path));
}

static void load(Loading *loading, const char *path, Span from);

static void load_imports(Loading *loading, const AstFile *file)
{
    for (const AstItem *item = file->items.first; item; item = item->next) {
        bool is_reported = item->kind == AST_IMPORT && !*item->text && loading->context->diag->n_errors > 0;
        if (item->kind == AST_IMPORT && !is_reported) {
            load(loading, beside(loading->context->arena, file->source->name, item->text), item->text_span);
        }
    }
}

static void load(Loading *loading, const char *path, Span from)
{
    const ParseContext *context = loading->context;
    Sym name = intern(context->names, path);
    if (map_has(loading->seen, name)) {
        return;
    }
    map_set(loading->seen, name, loading);
    if (loading->depth > DEEPEST_IMPORT) {
        diag_error(context->diag, from, "imports are nested more than %d deep", (int)DEEPEST_IMPORT);
        return;
    }
    const Source *source = source_read(context->arena, path);
    if (!source) {
        diag_error(context->diag, from, "cannot read '%s': %s", path, strerror(errno));
        return;
    }
    AstFile *file = parse_source(context, source);
    loading->depth++;
    load_imports(loading, file);
    loading->depth--;
    if (loading->last) {
        loading->last->next = file;
    } else {
        loading->first = file;
    }
    loading->last = file;
}

AstFile *load_files(const ParseContext *context, const char *path)
{
    Loading loading = {.context = context, .seen = map_new(context->arena)};
    int n_errors = context->diag->n_errors;
    load(&loading, path_normalised(context->arena, path), (Span){0});
    return context->diag->n_errors > n_errors ? NULL : loading.first;
}
