// libcurl behind a small interface; see http.h.
#include "runtime/storage/http.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

struct XvHttp {
    CURL *handle;
    char error[CURL_ERROR_SIZE];
};

// The first call initialises libcurl; it comes from the listing of files, before any thread is started.
XvHttp *xv_http_open(XvError *error)
{
    XvHttp *http = calloc(1, sizeof *http);
    if (http) {
        http->handle = curl_easy_init();
    }
    if (!http || !http->handle) {
        free(http);
        xv_fail(error, "no memory for an HTTP connection");
        return NULL;
    }
    return http;
}

void xv_http_close(XvHttp *http)
{
    if (http) {
        curl_easy_cleanup(http->handle);
        free(http);
    }
}

void xv_http_reply_free(XvHttpReply *reply)
{
    free(reply->body);
    *reply = (XvHttpReply){0};
}

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
    XvHttpReply *reply = context;
    size_t added = size * count;
    if (reply->bytes + added > reply->limit) {
        return 0;
    }
    if (reply->bytes + added + 1 > reply->room) {
        size_t room = 2 * reply->room + added + 4096;
        char *body = realloc(reply->body, room);
        if (!body) {
            return 0;
        }
        reply->body = body;
        reply->room = room;
    }
    memcpy(reply->body + reply->bytes, bytes, added);
    reply->bytes += added;
    reply->body[reply->bytes] = 0;
    return added;
}

static size_t take_header(char *bytes, size_t size, size_t count, void *context)
{
    XvHttpReply *reply = context;
    size_t length = size * count;
    const char name[] = "location:";
    if (length > sizeof name && strncasecmp(bytes, name, sizeof name - 1) == 0) {
        size_t first = sizeof name - 1;
        while (first < length && bytes[first] == ' ') {
            first++;
        }
        while (length > first && (bytes[length - 1] == '\r' || bytes[length - 1] == '\n')) {
            length--;
        }
        snprintf(reply->location, sizeof reply->location, "%.*s", (int)(length - first), bytes + first);
    }
    return size * count;
}

static size_t give_body(char *buffer, size_t size, size_t count, void *context)
{
    const XvHttpRequest *request = context;
    return fread(buffer, 1, size * count, request->body);
}

static void set_method(CURL *handle, const XvHttpRequest *request)
{
    bool is_head = strcmp(request->method, "HEAD") == 0;
    bool is_put = strcmp(request->method, "PUT") == 0;
    curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, is_head ? NULL : request->method);
    curl_easy_setopt(handle, CURLOPT_NOBODY, is_head ? 1L : 0L);
    if (is_put) {
        curl_easy_setopt(handle, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(handle, CURLOPT_INFILESIZE_LARGE,
                         (curl_off_t)(request->body ? request->body_bytes : 0));
        curl_easy_setopt(handle, CURLOPT_READFUNCTION, give_body);
        curl_easy_setopt(handle, CURLOPT_READDATA, request);
    }
}

static void set_options(XvHttp *http, const XvHttpRequest *request, XvHttpReply *reply)
{
    CURL *handle = http->handle;
    curl_easy_reset(handle);
    curl_easy_setopt(handle, CURLOPT_URL, request->url);
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(handle, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(handle, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    curl_easy_setopt(handle, CURLOPT_REDIR_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, http->error);
    curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, 10L);
    curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT,
                     1L);  // a transfer that stands still for a minute has failed
    curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, 60L);
    curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, request->stays ? 0L : 1L);
    curl_easy_setopt(handle, CURLOPT_MAXREDIRS, 5L);
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, reply);
    curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(handle, CURLOPT_HEADERDATA, reply);
    curl_easy_setopt(handle, CURLOPT_RANGE, request->range);
    set_method(handle, request);
}

bool xv_http_perform(XvHttp *http, const XvHttpRequest *request, XvHttpReply *reply)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");  // no waiting for 100 before a body
    reply->bytes = 0;
    reply->status = 0;
    reply->length = -1;
    reply->location[0] = reply->reason[0] = http->error[0] = '\0';
    set_options(http, request, reply);
    curl_easy_setopt(http->handle, CURLOPT_HTTPHEADER, headers);
    CURLcode code = curl_easy_perform(http->handle);
    curl_off_t length = -1;
    curl_easy_getinfo(http->handle, CURLINFO_RESPONSE_CODE, &reply->status);
    curl_easy_getinfo(http->handle, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    reply->length = length;
    curl_slist_free_all(headers);
    if (code != CURLE_OK) {
        snprintf(reply->reason, sizeof reply->reason, "%s",
                 http->error[0] ? http->error : curl_easy_strerror(code));
    }
    return code == CURLE_OK;
}

bool xv_http_is_passing(const XvHttpReply *reply)
{
    bool is_busy = reply->status == 408 || reply->status == 429 || reply->status >= 500;
    return reply->reason[0] || reply->status == 0 || is_busy;
}

void xv_http_pause(int attempt)
{
    long milliseconds = 100L << (attempt - 1);
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&time, NULL);
}
