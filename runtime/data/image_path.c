// Looking for pictures; see image_path.h.
#include "runtime/data/image_path.h"

#include "runtime/data/image_packed.h"
#include "runtime/storage/storage.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *xv_image_root(const XvImageRoots *roots, const cJSON *record)
{
    const cJSON *set = cJSON_GetObjectItemCaseSensitive(record, "dataset");
    const char *name = cJSON_IsString(set) ? set->valuestring : "vqa";
    if (roots->vqa_root && strcmp(name, "vqa") == 0) {
        return roots->vqa_root;
    }
    if (roots->vg_root && strcmp(name, "vg") == 0) {
        return roots->vg_root;
    }
    return roots->image_root;
}

// "root/path", or the path alone if it is absolute or there is no root; behind the folder of `beside`, if given.
static void join(char out[PATH_MAX], const char *beside, const char *root, const char *path)
{
    const char *slash = beside ? strrchr(beside, '/') : NULL;
    int folder = slash ? (int)(slash - beside) + 1 : 0;
    bool has_root = root && *root && path[0] != '/' && !xv_is_remote(path);
    const char *separator = has_root && root[strlen(root) - 1] != '/' ? "/" : "";
    snprintf(out, PATH_MAX, "%.*s%s%s%s", folder, beside ? beside : "", has_root ? root : "", separator,
             path);
}

bool xv_image_find(const char *root, const char *record_file, const char *path, char found[PATH_MAX])
{
    if (strlen(path) + (root ? strlen(root) : 0) + strlen(record_file) + 3 > PATH_MAX) {
        return false;
    }
    join(found, NULL, root, path);
    bool is_absolute = path[0] == '/' || (root && root[0] == '/') || xv_is_remote(found);
    if (is_absolute || access(found, R_OK) == 0) {
        return true;
    }
    join(found, record_file, root, path);
    if (xv_is_remote(found)) {
        return true;
    }
    if (access(found, R_OK) != 0) {
        join(found, record_file, NULL, path);
        if (access(found, R_OK) != 0) {
            join(found, NULL, root, path);  // for the message
        }
    }
    return true;
}

// `count` bytes from `offset` on, or all that follow if count is negative.
static bool read_remote(const char *path, int64_t offset, int64_t count, XvBytes *bytes, XvError *error)
{
    enum { PIECE = 1 << 18 };
    XvReader *reader = xv_reader_open(path, offset, error);
    bool ok = reader != NULL;
    int64_t got = 1;
    bytes->count = 0;
    while (ok && got > 0 && (count < 0 || (int64_t)bytes->count < count)) {
        int64_t left = count < 0 ? PIECE : count - (int64_t)bytes->count;
        size_t room = left < PIECE ? (size_t)left : PIECE;
        ok = xv_bytes_reserve(bytes, bytes->count + room) || xv_fail(error, "%s: no memory", path);
        got = ok ? xv_reader_read(reader, bytes->data + bytes->count, room, error) : 0;
        bytes->count += got > 0 ? (size_t)got : 0;
        ok = ok && got >= 0;
    }
    xv_reader_close(reader);
    if (ok && count >= 0 && (int64_t)bytes->count < count) {
        return xv_fail(error, "cannot read %s: it ends before byte %lld", path, (long long)(offset + count));
    }
    ok = ok && (xv_bytes_reserve(bytes, bytes->count) || xv_fail(error, "%s: no memory", path));
    if (ok) {
        bytes->data[bytes->count] = 0;
    }
    return ok;
}

bool xv_image_read(const char *root, const char *record_file, const char *path, char found[PATH_MAX],
                   XvBytes *bytes, XvError *error)
{
    char file[PATH_MAX];
    size_t length = strlen(path);
    int64_t offset = 0, count = 0;
    bool is_part = xv_packed_path(path, &length, &offset, &count);
    if (length >= sizeof file) {
        return xv_fail(error, "the image path has %zu characters", strlen(path));
    }
    memcpy(file, path, length);
    file[length] = 0;
    if (!xv_image_find(root, record_file, file, found)) {
        return xv_fail(error, "the image path has %zu characters", strlen(path));
    }
    if (xv_is_remote(found)) {
        return read_remote(found, offset, is_part ? count : -1, bytes, error);
    }
    return is_part ? xv_file_read_part(found, offset, count, bytes, error)
                   : xv_file_read(found, bytes, error);
}
