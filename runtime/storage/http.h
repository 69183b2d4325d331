// One HTTP request at a time over libcurl, with the retries that all users want.
#pragma once

#include "runtime/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct XvHttp XvHttp;  // a connection that is kept open between requests

typedef struct XvHttpRequest {
    const char *method;  // "GET", "PUT", "POST", "DELETE", "HEAD"
    const char *url;
    const char *range;  // "0-1023", or NULL
    FILE *body;         // sent from its current place, body_bytes long; NULL: none
    int64_t body_bytes;
    bool stays;  // do not follow redirections
} XvHttpRequest;

typedef struct XvHttpReply {
    long status;  // 0 when no reply came
    char *body;   // [bytes], and a zero byte; owned, grows from request to request
    size_t bytes, room;
    size_t limit;         // more than this breaks the transfer off
    char location[4096];  // of a redirection that was not followed
    int64_t length;       // Content-Length; -1 when it was not said
    char reason[512];     // why the transfer failed; empty when it did not
} XvHttpReply;

// NULL with a message.
XvHttp *xv_http_open(XvError *error);
void xv_http_close(XvHttp *http);

// Performs the request once. False when no reply came, or not all of it: `reason` says why, and what came is in the
// body. Any status counts as a reply.
bool xv_http_perform(XvHttp *http, const XvHttpRequest *request, XvHttpReply *reply);
void xv_http_reply_free(XvHttpReply *reply);

// Worth another attempt: no reply, 408, 429, 5xx.
bool xv_http_is_passing(const XvHttpReply *reply);

enum { XV_HTTP_ATTEMPTS = 6 };

// Sleeps before attempt number 1, 2, ...: 0.1 s, twice as long each time.
void xv_http_pause(int attempt);
