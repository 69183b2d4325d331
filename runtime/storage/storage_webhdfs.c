// hdfs:// over WebHDFS, the REST interface of Hadoop's name nodes: see storage.h for its settings.
//
// OPEN is asked for in ranges. CREATE has two steps: the name node answers with the place of a data node, which takes
// the bytes. A file is written beside its name, its length is checked, and then it is renamed.
#include "runtime/storage/chunks.h"
#include "runtime/storage/storage_kinds.h"

#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_SERVERS = 8, URL_ROOM = 8192 };

typedef struct Cluster {
    XvHttp *http;
    char *servers;  // the setting, cut at its commas
    const char *bases[MAX_SERVERS];
    int n_bases, current;  // the name node that answered last is asked first
    char *user;            // "&user.name=..." or ""
} Cluster;

static void close_cluster(Cluster *cluster)
{
    xv_http_close(cluster->http);
    free(cluster->servers);
    free(cluster->user);
    *cluster = (Cluster){0};
}

static char *user_setting(void)
{
    const char *name = getenv("HADOOP_USER_NAME");
    name = name && *name ? name : getenv("USER");
    char *escaped = name && *name ? curl_easy_escape(NULL, name, 0) : NULL;
    char *setting = malloc((escaped ? strlen(escaped) : 0) + 16);
    if (setting) {
        sprintf(setting, "%s%s", escaped ? "&user.name=" : "", escaped ? escaped : "");
    }
    curl_free(escaped);
    return setting;
}

static bool open_cluster(Cluster *cluster, XvError *error)
{
    const char *setting = getenv("XV_WEBHDFS");
    *cluster = (Cluster){.servers = strdup(setting ? setting : ""), .user = user_setting()};
    cluster->http = xv_http_open(error);
    if (!cluster->http || !cluster->servers || !cluster->user) {
        close_cluster(cluster);
        return cluster->http ? xv_fail(error, "no memory for WebHDFS") : false;
    }
    char *rest = NULL;
    for (char *base = strtok_r(cluster->servers, ", ", &rest); base && cluster->n_bases < MAX_SERVERS;
         base = strtok_r(NULL, ", ", &rest)) {
        cluster->bases[cluster->n_bases++] = base;
    }
    return cluster->n_bases > 0 || xv_fail(error, "XV_WEBHDFS names no server");
}

// "hdfs://name/a/b" and "hdfs:/a/b" are the file /a/b.
static const char *path_in(const char *uri)
{
    const char *rest = uri + strlen("hdfs:");
    if (strncmp(rest, "//", 2) == 0) {
        rest = strchr(rest + 2, '/');
    }
    return rest ? rest : "/";
}

// Appends the path with everything escaped but its slashes.
static bool append_path(char *url, const char *path)
{
    size_t used = strlen(url);
    for (; *path; path++) {
        char piece[4] = {*path, 0, 0, 0};
        bool is_plain = (*path >= 'a' && *path <= 'z') || (*path >= 'A' && *path <= 'Z') ||
                        (*path >= '0' && *path <= '9') || strchr("/-_.~", *path);
        if (!is_plain) {
            snprintf(piece, sizeof piece, "%%%02X", (unsigned char)*path);
        }
        size_t length = strlen(piece);
        if (used + length + 1 > URL_ROOM) {
            return false;
        }
        memcpy(url + used, piece, length + 1);
        used += length;
    }
    return true;
}

typedef struct Operation {
    const char *method;
    const char *path;   // in the file system
    const char *query;  // "op=OPEN&offset=0"
    bool stays;
} Operation;

static bool is_standby(const XvHttpReply *reply)
{
    return reply->status == 403 && reply->body && strstr(reply->body, "StandbyException");
}

// Asks each name node once, the last good one first. False when none gave an answer that counts.
static bool ask_servers(Cluster *cluster, const Operation *operation, XvHttpReply *reply)
{
    size_t limit = reply->limit;
    for (int i = 0; i < cluster->n_bases; i++) {
        int at = (cluster->current + i) % cluster->n_bases;
        char url[URL_ROOM];
        int length = snprintf(url, sizeof url, "%s/webhdfs/v1", cluster->bases[at]);
        if (length >= URL_ROOM || !append_path(url, operation->path)) {
            snprintf(reply->reason, sizeof reply->reason, "the path is too long");
            return false;
        }
        size_t used = strlen(url);
        snprintf(url + used, sizeof url - used, "?%s%s", operation->query, cluster->user);
        XvHttpRequest request = {.method = operation->method, .url = url, .stays = operation->stays};
        reply->limit = limit;
        bool is_whole = xv_http_perform(cluster->http, &request, reply);
        if ((is_whole || reply->bytes > 0) && !is_standby(reply) &&
            !(is_whole && xv_http_is_passing(reply))) {
            cluster->current = at;
            return is_whole;
        }
    }
    return false;
}

// The same, several times with pauses.
static bool ask(Cluster *cluster, const Operation *operation, XvHttpReply *reply)
{
    for (int attempt = 0; attempt < XV_HTTP_ATTEMPTS; attempt++) {
        if (attempt > 0) {
            xv_http_pause(attempt);
        }
        if (ask_servers(cluster, operation, reply)) {
            return true;
        }
    }
    return false;
}

// The message of a RemoteException, or what else is known.
static bool fail_reply(XvError *error, const char *what, const char *path, const XvHttpReply *reply)
{
    cJSON *tree = reply->body && reply->bytes > 0 ? cJSON_ParseWithLength(reply->body, reply->bytes) : NULL;
    const cJSON *exception = cJSON_GetObjectItemCaseSensitive(tree, "RemoteException");
    const cJSON *message = cJSON_GetObjectItemCaseSensitive(exception, "message");
    if (cJSON_IsString(message)) {
        xv_fail(error, "cannot %s %s: %.300s", what, path, message->valuestring);
    } else if (reply->reason[0]) {
        xv_fail(error, "cannot %s %s: %s", what, path, reply->reason);
    } else {
        xv_fail(error, "cannot %s %s: status %ld", what, path, reply->status);
    }
    cJSON_Delete(tree);
    return false;
}

// A reply of status 200 as JSON; NULL with a message.
static cJSON *ask_json(Cluster *cluster, const char *uri, const Operation *operation, XvError *error)
{
    XvHttpReply reply = {.limit = (size_t)1 << 30};
    cJSON *tree = NULL;
    if (ask(cluster, operation, &reply) && reply.status == 200) {
        tree = cJSON_ParseWithLength(reply.body ? reply.body : "", reply.bytes);
        if (!tree) {
            xv_fail(error, "cannot open %s: the name node's answer is not JSON", uri);
        }
    } else {
        fail_reply(error, "open", uri, &reply);
    }
    xv_http_reply_free(&reply);
    return tree;
}

// ---- listing

static int64_t length_of(const cJSON *status)
{
    const cJSON *length = cJSON_GetObjectItemCaseSensitive(status, "length");
    bool is_known = cJSON_IsNumber(length) && length->valuedouble >= 0 && length->valuedouble < 0x1p53;
    return is_known ? (int64_t)length->valuedouble : -1;
}

static bool is_type(const cJSON *status, const char *type)
{
    const cJSON *found = cJSON_GetObjectItemCaseSensitive(status, "type");
    return cJSON_IsString(found) && strcmp(found->valuestring, type) == 0;
}

static bool list_folder(Cluster *cluster, const char *uri, XvFileList *list, XvError *error)
{
    Operation operation = {.method = "GET", .path = path_in(uri), .query = "op=LISTSTATUS"};
    cJSON *tree = ask_json(cluster, uri, &operation, error);
    const cJSON *statuses = cJSON_GetObjectItemCaseSensitive(tree, "FileStatuses");
    const cJSON *all = cJSON_GetObjectItemCaseSensitive(statuses, "FileStatus");
    int first = list->count;
    bool ok = tree != NULL;
    for (const cJSON *status = all ? all->child : NULL; status && ok; status = status->next) {
        const cJSON *name = cJSON_GetObjectItemCaseSensitive(status, "pathSuffix");
        char path[PATH_MAX];
        if (cJSON_IsString(name) && is_type(status, "FILE") && !xv_is_marker(name->valuestring)) {
            size_t length = strlen(uri);
            const char *separator = length > 0 && uri[length - 1] == '/' ? "" : "/";
            snprintf(path, sizeof path, "%s%s%s", uri, separator, name->valuestring);
            ok = xv_file_list_add(list, path, length_of(status), error);
        }
    }
    cJSON_Delete(tree);
    xv_file_list_sort(list, first);
    return ok;
}

static bool list_path(const char *uri, XvFileList *list, XvError *error)
{
    Cluster cluster;
    if (!open_cluster(&cluster, error)) {
        return false;
    }
    Operation operation = {.method = "GET", .path = path_in(uri), .query = "op=GETFILESTATUS"};
    cJSON *tree = ask_json(&cluster, uri, &operation, error);
    const cJSON *status = cJSON_GetObjectItemCaseSensitive(tree, "FileStatus");
    bool ok = tree != NULL;
    if (ok) {
        ok = is_type(status, "DIRECTORY") ? list_folder(&cluster, uri, list, error)
                                          : xv_file_list_add(list, uri, length_of(status), error);
    }
    cJSON_Delete(tree);
    close_cluster(&cluster);
    return ok;
}

// ---- reading

typedef struct HdfsFile {
    Cluster cluster;
    char *uri;
    XvChunks chunks;
} HdfsFile;

static bool request_piece(void *context, int64_t offset, size_t count, XvHttpReply *reply)
{
    HdfsFile *file = context;
    char query[128];
    snprintf(query, sizeof query, "op=OPEN&offset=%lld&length=%zu", (long long)offset, count);
    Operation operation = {.method = "GET", .path = path_in(file->uri), .query = query};
    return ask_servers(&file->cluster, &operation, reply);
}

static void close_file(void *state)
{
    HdfsFile *file = state;
    xv_http_reply_free(&file->chunks.reply);
    close_cluster(&file->cluster);
    free(file->uri);
    free(file);
}

static void *open_file(const char *uri, int64_t offset, XvError *error)
{
    HdfsFile *file = calloc(1, sizeof *file);
    if (!file || !(file->uri = strdup(uri))) {
        free(file);
        xv_fail(error, "%s: no memory", uri);
        return NULL;
    }
    file->chunks = (XvChunks){.request = request_piece, .context = file, .path = file->uri, .next = offset};
    Operation operation = {.method = "GET", .path = path_in(file->uri), .query = "op=GETFILESTATUS"};
    cJSON *tree =
        open_cluster(&file->cluster, error) ? ask_json(&file->cluster, uri, &operation, error) : NULL;
    const cJSON *status = cJSON_GetObjectItemCaseSensitive(tree, "FileStatus");
    file->chunks.size = length_of(status);
    bool ok = tree && ((is_type(status, "FILE") && file->chunks.size >= 0) ||
                       xv_fail(error, "%s is not a file", uri));
    cJSON_Delete(tree);
    if (!ok) {
        close_file(file);
        return NULL;
    }
    return file;
}

static int64_t read_file(void *state, void *buffer, size_t room, XvError *error)
{
    return xv_chunks_read(&((HdfsFile *)state)->chunks, buffer, room, error);
}

// ---- writing

// An operation that answers {"boolean": true}.
static bool ask_truth(Cluster *cluster, const Operation *operation)
{
    XvHttpReply reply = {.limit = 1 << 16};
    bool ok =
        ask(cluster, operation, &reply) && reply.status == 200 && reply.body && strstr(reply.body, "true");
    xv_http_reply_free(&reply);
    return ok;
}

static bool has_length(Cluster *cluster, const char *uri, int64_t bytes)
{
    XvError ignored;
    Operation operation = {.method = "GET", .path = path_in(uri), .query = "op=GETFILESTATUS"};
    cJSON *tree = ask_json(cluster, uri, &operation, &ignored);
    bool ok = tree && length_of(cJSON_GetObjectItemCaseSensitive(tree, "FileStatus")) == bytes;
    cJSON_Delete(tree);
    return ok;
}

// Both steps of CREATE, once.
static bool create(Cluster *cluster, FILE *file, int64_t bytes, const char *path, XvHttpReply *reply)
{
    Operation operation = {.method = "PUT", .path = path, .query = "op=CREATE&overwrite=true", .stays = true};
    if (!ask_servers(cluster, &operation, reply)) {
        return false;
    }
    if (reply->status != 307 || !reply->location[0]) {
        return false;
    }
    char place[sizeof reply->location];
    memcpy(place, reply->location, sizeof place);
    rewind(file);
    XvHttpRequest request = {.method = "PUT", .url = place, .body = file, .body_bytes = bytes, .stays = true};
    return xv_http_perform(cluster->http, &request, reply) && (reply->status == 201 || reply->status == 200);
}

static bool put_file(Cluster *cluster, FILE *file, int64_t bytes, const char *uri, XvError *error)
{
    XvHttpReply reply = {.limit = 1 << 20};
    bool ok = false;
    for (int attempt = 0; attempt < XV_HTTP_ATTEMPTS && !ok; attempt++) {
        if (attempt > 0) {
            xv_http_pause(attempt);
        }
        ok = create(cluster, file, bytes, path_in(uri), &reply) && has_length(cluster, uri, bytes);
        if (!ok && !xv_http_is_passing(&reply) && !is_standby(&reply) && reply.status >= 400) {
            break;
        }
    }
    if (!ok) {
        fail_reply(error, "write", uri, &reply);
    }
    xv_http_reply_free(&reply);
    return ok;
}

// Renames to a name that is free; or replaces the file of that name in one step, which name nodes can and HttpFS
// cannot: it takes no notice of the option and says false.
static bool ask_rename(Cluster *cluster, const char *from, const char *to, const char *options)
{
    char query[URL_ROOM] = "op=RENAME&destination=";
    XvHttpReply reply = {.limit = 1 << 16};
    bool ok = append_path(query, path_in(to)) && strlen(query) + strlen(options) < sizeof query;
    if (ok) {
        strcat(query, options);
        Operation rename = {.method = "PUT", .path = path_in(from), .query = query};
        ok = ask(cluster, &rename, &reply) && reply.status == 200;
    }
    bool says_false = reply.body && strstr(reply.body, "false");
    xv_http_reply_free(&reply);
    return ok && !says_false;
}

// Puts a whole file in the place of another. At every moment the old one or the new one is there under its name, or the
// old one under the name OLD.
static bool move(Cluster *cluster, const char *from, const char *to, XvError *error)
{
    char old[PATH_MAX];
    if (snprintf(old, sizeof old, "%s._OLD_", to) >= (int)sizeof old) {
        return xv_fail(error, "%.200s...: the path is too long", to);
    }
    Operation delete = {.method = "DELETE", .path = path_in(old), .query = "op=DELETE"};
    if (ask_rename(cluster, from, to, "&renameoptions=OVERWRITE") || ask_rename(cluster, from, to, "")) {
        return true;
    }
    ask_truth(cluster, &delete);
    if (!ask_rename(cluster, to, old, "") || !ask_rename(cluster, from, to, "")) {
        return xv_fail(error, "cannot rename %s to %s", from, to);
    }
    ask_truth(cluster, &delete);
    return true;
}

static bool store_file(const char *local, const char *uri, XvError *error)
{
    Cluster cluster;
    struct stat info;
    char partial[PATH_MAX];
    if (snprintf(partial, sizeof partial, "%s._COPYING_", uri) >= (int)sizeof partial) {
        return xv_fail(error, "%.200s...: the path is too long", uri);
    }
    FILE *file = fopen(local, "rb");
    if (!file || fstat(fileno(file), &info) != 0) {
        if (file) {
            fclose(file);
        }
        return xv_fail(error, "cannot read %s: %s", local, strerror(errno));
    }
    bool ok = open_cluster(&cluster, error);
    if (ok) {
        ok = put_file(&cluster, file, info.st_size, partial, error) && move(&cluster, partial, uri, error);
        close_cluster(&cluster);
    }
    fclose(file);
    return ok;
}

static bool make_folder(const char *uri, XvError *error)
{
    Cluster cluster;
    Operation operation = {.method = "PUT", .path = path_in(uri), .query = "op=MKDIRS"};
    if (!open_cluster(&cluster, error)) {
        return false;
    }
    bool ok = ask_truth(&cluster, &operation) || xv_fail(error, "cannot create %s", uri);
    close_cluster(&cluster);
    return ok;
}

const XvStorageKind XV_STORAGE_WEBHDFS = {
    .has_ranges = true,
    .list = list_path,
    .open = open_file,
    .read = read_file,
    .close = close_file,
    .store = store_file,
    .make_folder = make_folder,
};
