// http:// and https:// as a storage that can only be read; a folder cannot be listed. See storage.h.
#include "runtime/storage/chunks.h"
#include "runtime/storage/storage_kinds.h"

#include <stdlib.h>
#include <string.h>

typedef struct HttpFile {
    XvHttp *http;
    char *url;
    XvChunks chunks;
} HttpFile;

static bool request_piece(void *context, int64_t offset, size_t count, XvHttpReply *reply)
{
    const HttpFile *file = context;
    char range[64];
    snprintf(range, sizeof range, "%lld-%lld", (long long)offset, (long long)offset + (long long)count - 1);
    XvHttpRequest request = {.method = "GET", .url = file->url, .range = range};
    bool ok = xv_http_perform(file->http, &request, reply);
    if (reply->status == 200 && offset > 0) {  // the whole file again
        reply->bytes = 0;
        reply->status = 416;
        if (reply->body) {
            snprintf(reply->body, reply->room, "the server does not send parts of files");
        }
        reply->reason[0] = '\0';
        return true;
    }
    return ok;
}

// Asks for the size.
static bool ask(XvHttp *http, const char *url, int64_t *bytes, XvError *error)
{
    XvHttpReply reply = {.limit = 1 << 16};
    XvHttpRequest request = {.method = "HEAD", .url = url};
    bool ok = false;
    for (int attempt = 0; attempt < XV_HTTP_ATTEMPTS && !ok; attempt++) {
        if (attempt > 0) {
            xv_http_pause(attempt);
        }
        ok = xv_http_perform(http, &request, &reply) && reply.status == 200;
        if (!ok && !xv_http_is_passing(&reply)) {
            break;
        }
    }
    *bytes = reply.length;
    if (!ok) {
        reply.status ? xv_fail(error, "cannot open %s: status %ld", url, reply.status)
                     : xv_fail(error, "cannot open %s: %s", url, reply.reason);
    } else if (reply.length < 0) {
        ok = xv_fail(error, "cannot open %s: the server does not say how long it is", url);
    }
    xv_http_reply_free(&reply);
    return ok;
}

static void close_file(void *state)
{
    HttpFile *file = state;
    xv_http_reply_free(&file->chunks.reply);
    xv_http_close(file->http);
    free(file->url);
    free(file);
}

static void *open_file(const char *path, int64_t offset, XvError *error)
{
    HttpFile *file = calloc(1, sizeof *file);
    if (!file || !(file->url = strdup(path))) {
        free(file);
        xv_fail(error, "%s: no memory", path);
        return NULL;
    }
    file->chunks = (XvChunks){.request = request_piece, .context = file, .path = file->url, .next = offset};
    file->http = xv_http_open(error);
    if (!file->http || !ask(file->http, path, &file->chunks.size, error)) {
        close_file(file);
        return NULL;
    }
    return file;
}

static int64_t read_file(void *state, void *buffer, size_t room, XvError *error)
{
    return xv_chunks_read(&((HttpFile *)state)->chunks, buffer, room, error);
}

static bool list_path(const char *path, XvFileList *list, XvError *error)
{
    int64_t bytes;
    XvHttp *http = xv_http_open(error);
    bool ok = http && ask(http, path, &bytes, error) && xv_file_list_add(list, path, bytes, error);
    xv_http_close(http);
    return ok;
}

const XvStorageKind XV_STORAGE_HTTP = {
    .has_ranges = true,
    .list = list_path,
    .open = open_file,
    .read = read_file,
    .close = close_file,
};
