// Pieces of remote files; see chunks.h.
#include "runtime/storage/chunks.h"

#include <string.h>

enum { PIECE_BYTES = 8 << 20 };

// Gets the next piece, or as much of it as comes: at least a byte.
static bool next_piece(XvChunks *chunks, XvError *error)
{
    int64_t left = chunks->size - chunks->next;
    size_t count = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
    XvHttpReply *reply = &chunks->reply;
    for (int attempt = 0; attempt < XV_HTTP_ATTEMPTS; attempt++) {
        if (attempt > 0) {
            xv_http_pause(attempt);
        }
        reply->limit = count;
        bool is_whole = chunks->request(chunks->context, chunks->next, count, reply);
        bool is_content = reply->status == 200 || reply->status == 206;
        if (is_content && reply->bytes > 0) {  // what came is good; the rest is asked for next
            chunks->next += (int64_t)reply->bytes;
            chunks->used = 0;
            return true;
        }
        if (is_whole && !is_content && !xv_http_is_passing(reply)) {
            break;
        }
    }
    chunks->used = reply->bytes = 0;
    const char *reason =
        reply->reason[0] ? reply->reason : "the server sends no more, although the file is longer";
    if (reply->status != 0 && reply->status != 200 && reply->status != 206) {
        return xv_fail(error, "cannot read %s at byte %lld: status %ld: %.200s", chunks->path,
                       (long long)chunks->next, reply->status, reply->body ? reply->body : "");
    }
    return xv_fail(error, "cannot read %s at byte %lld: %s", chunks->path, (long long)chunks->next, reason);
}

int64_t xv_chunks_read(XvChunks *chunks, void *buffer, size_t room, XvError *error)
{
    if (chunks->used == chunks->reply.bytes) {
        if (chunks->next >= chunks->size) {
            return 0;
        }
        if (!next_piece(chunks, error)) {
            return -1;
        }
    }
    size_t there = chunks->reply.bytes - chunks->used;
    size_t count = there < room ? there : room;
    memcpy(buffer, chunks->reply.body + chunks->used, count);
    chunks->used += count;
    return (int64_t)count;
}
