// Files of machine code: magic, key, size, checksum, image; see cubin_cache.h.
#include "runtime/cuda/cubin_cache.h"

#include "runtime/base/output.h"

#include "runtime/base/random.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct Header {
    char magic[8];
    XvCubinKey key;
    uint64_t bytes;     // of the image, which follows
    uint64_t checksum;  // of the image
} Header;

static const char MAGIC[8] = "XVCUBIN1";

// FNV-1a over 64 bits, mixed at the end.
static uint64_t hash_of(uint64_t start, const void *data, size_t bytes)
{
    const unsigned char *at = data;
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ start;
    for (size_t i = 0; i < bytes; i++) {
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    }
    return xv_key(hash, bytes);
}

XvCubinKey xv_cubin_key(const char *source, const char *architecture, const char *compiler)
{
    XvCubinKey key;
    for (uint64_t i = 0; i < 2; i++) {
        uint64_t hash = hash_of(xv_key(i, 1), source, strlen(source));
        hash = hash_of(hash, architecture, strlen(architecture));
        key.word[i] = hash_of(hash, compiler, strlen(compiler));
    }
    return key;
}

// Paths -----------------------------------------------------------------------------------------------------------

static bool folder_path(char path[PATH_MAX])
{
    const char *own = getenv("XV_CUBIN_CACHE"), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int length = 0;
    if (own && *own) {
        length = snprintf(path, PATH_MAX, "%s", own);
    } else if (cache && *cache) {
        length = snprintf(path, PATH_MAX, "%s/xvlmc", cache);
    } else if (home && *home) {
        length = snprintf(path, PATH_MAX, "%s/.cache/xvlmc", home);
    }
    return length > 0 && length < PATH_MAX - 64;
}

static void file_path(char path[PATH_MAX], const char *folder, const XvCubinKey *key)
{
    snprintf(path, PATH_MAX, "%.*s/%016llx%016llx.cubin", PATH_MAX - 64, folder,
             (unsigned long long)key->word[0], (unsigned long long)key->word[1]);
}

// Makes a folder and those above it.
static bool create_folder(const char *folder)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", folder);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(path, 0777);
        *slash = '/';
    }
    return mkdir(path, 0777) == 0 || errno == EEXIST;
}

// Reading ---------------------------------------------------------------------------------------------------------

static bool read_image(FILE *file, const XvCubinKey *key, XvCubin *cubin)
{
    Header header;
    struct stat status;
    bool is_ours = fread(&header, sizeof header, 1, file) == 1 && fstat(fileno(file), &status) == 0 &&
                   memcmp(header.magic, MAGIC, sizeof MAGIC) == 0 &&
                   memcmp(&header.key, key, sizeof *key) == 0 && header.bytes > 0 &&
                   header.bytes == (uint64_t)status.st_size - sizeof header;
    char *image = is_ours ? malloc(header.bytes) : NULL;
    bool is_whole = image && fread(image, 1, header.bytes, file) == header.bytes &&
                    hash_of(0, image, header.bytes) == header.checksum;
    if (!is_whole) {
        free(image);
        return false;
    }
    *cubin = (XvCubin){.image = image, .bytes = header.bytes};
    return true;
}

bool xv_cubin_cache_read(const XvCubinKey *key, XvCubin *cubin)
{
    char folder[PATH_MAX], path[PATH_MAX];
    *cubin = (XvCubin){0};
    if (!folder_path(folder)) {
        return false;
    }
    file_path(path, folder, key);
    FILE *file = fopen(path, "rb");
    if (!file) {
        return false;
    }
    bool is_read = read_image(file, key, cubin);
    if (is_read) {
        futimens(fileno(file), NULL);  // its age counts from now
    }
    fclose(file);
    return is_read;
}

// Writing ---------------------------------------------------------------------------------------------------------

typedef struct Oldest {
    char path[PATH_MAX];
    struct timespec time;
    int64_t total;  // bytes of all files
} Oldest;

static bool is_before(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

static void find_oldest(const char *folder, Oldest *oldest)
{
    DIR *directory = opendir(folder);
    *oldest = (Oldest){.path = ""};
    for (struct dirent *entry = directory ? readdir(directory) : NULL; entry; entry = readdir(directory)) {
        char path[PATH_MAX];
        struct stat status;
        int length = snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        bool is_file = length > 0 && length < PATH_MAX && strstr(entry->d_name, ".cubin") &&
                       stat(path, &status) == 0 && S_ISREG(status.st_mode);
        if (!is_file) {
            continue;
        }
        oldest->total += status.st_size;
        if (!oldest->path[0] || is_before(&status.st_mtim, &oldest->time)) {
            memcpy(oldest->path, path, sizeof path);
            oldest->time = status.st_mtim;
        }
    }
    if (directory) {
        closedir(directory);
    }
}

static int64_t limit_bytes(void)
{
    const char *text = getenv("XV_CUBIN_CACHE_LIMIT");
    char *end = NULL;
    long long limit = text && *text ? strtoll(text, &end, 10) : -1;
    return limit >= 0 && end && *end == 0 ? limit : XV_CUBIN_CACHE_BYTES;
}

static void make_room(const char *folder, int64_t bytes)
{
    Oldest oldest;
    find_oldest(folder, &oldest);
    while (oldest.path[0] && oldest.total + bytes > limit_bytes()) {
        if (unlink(oldest.path) != 0 && errno != ENOENT) {
            return;
        }
        find_oldest(folder, &oldest);
    }
}

bool xv_cubin_cache_write(const XvCubinKey *key, const XvCubin *cubin, XvError *error)
{
    char folder[PATH_MAX], path[PATH_MAX], partial[PATH_MAX];
    if (!folder_path(folder)) {
        return xv_fail(error, "no folder for compiled kernels: set XV_CUBIN_CACHE or HOME");
    }
    if (!create_folder(folder)) {
        return xv_fail(error, "cannot make the folder '%s': %s", folder, strerror(errno));
    }
    make_room(folder, (int64_t)(sizeof(Header) + cubin->bytes));
    file_path(path, folder, key);
    snprintf(partial, sizeof partial, "%.*s/XXXXXX", PATH_MAX - 64, folder);
    Header header = {.key = *key, .bytes = cubin->bytes, .checksum = hash_of(0, cubin->image, cubin->bytes)};
    memcpy(header.magic, MAGIC, sizeof MAGIC);
    int file = mkstemp(partial);
    bool is_written = file >= 0 && xv_write_all(file, &header, sizeof header) &&
                      xv_write_all(file, cubin->image, cubin->bytes) && fsync(file) == 0;
    is_written = (file < 0 || close(file) == 0) && is_written;
    if (!is_written || rename(partial, path) != 0) {
        xv_fail(error, "cannot write '%s': %s", path, strerror(errno));
        unlink(partial);
        return false;
    }
    return true;
}
