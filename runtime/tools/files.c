// `xvlm files`: lists and copies files wherever they are, with the settings that training uses (storage.h). What to try
// first when data on HDFS cannot be read.
#include "runtime/storage/storage.h"
#include "runtime/tools/tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool list(char **paths, XvError *error)
{
    XvFileList files = {0};
    bool ok = xv_storage_list(paths[0], &files, error);
    for (int i = 0; i < files.count && ok; i++) {
        printf("%12" PRId64 "  %s\n", files.items[i].bytes, files.items[i].path);
    }
    xv_file_list_free(&files);
    return ok;
}

static bool show(char **paths, XvError *error)
{
    enum { ROOM = 1 << 16 };
    char *buffer = malloc(ROOM);
    XvReader *reader = buffer ? xv_reader_open(paths[0], 0, error) : NULL;
    int64_t got = reader ? 1 : -1;
    while (got > 0) {
        got = xv_reader_read(reader, buffer, ROOM, error);
        if (got > 0 && fwrite(buffer, 1, (size_t)got, stdout) < (size_t)got) {
            xv_fail(error, "cannot write to standard output");
            got = -1;
        }
    }
    xv_reader_close(reader);
    free(buffer);
    return got == 0;
}

static bool get(char **paths, XvError *error)
{
    return xv_storage_fetch(paths[0], paths[1], error);
}

static bool put(char **paths, XvError *error)
{
    return xv_storage_store(paths[0], paths[1], error);
}

static bool make(char **paths, XvError *error)
{
    return xv_storage_make_folder(paths[0], error);
}

typedef struct Action {
    const char *name;
    int n_paths;
    bool (*run)(char **paths, XvError *error);
} Action;

static const Action ACTIONS[] = {
    {"list", 1, list}, {"cat", 1, show}, {"get", 2, get}, {"put", 2, put}, {"mkdir", 1, make},
};

static int print_help(FILE *file)
{
    fputs(
        "usage: xvlm files list PATH | cat PATH | get PATH LOCAL | put LOCAL PATH | mkdir PATH\n\n"
        "Lists and copies files. A PATH is local, hdfs://..., http://... or https://...; what is copied appears under\n"
        "its name only when it is complete. hdfs:// is read over WebHDFS when XV_WEBHDFS names its servers\n"
        "(http://nn1:9870,http://nn2:9870), else by the command in XV_HDFS_COMMAND (\"hdfs dfs\").\n",
        file);
    return file == stdout ? XV_EXIT_OK : XV_EXIT_USAGE;
}

int xv_tool_files(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        return print_help(stdout);
    }
    XvError error = {0};
    for (size_t i = 0; argc > 1 && i < sizeof ACTIONS / sizeof ACTIONS[0]; i++) {
        if (strcmp(argv[1], ACTIONS[i].name) == 0 && argc == 2 + ACTIONS[i].n_paths) {
            bool ok = ACTIONS[i].run(argv + 2, &error);
            if (!ok) {
                fprintf(stderr, "xvlm files: %s\n", error.text);
            }
            return ok ? XV_EXIT_OK : XV_EXIT_FAILED;
        }
    }
    return print_help(stderr);
}
