// Reading a remote file of known size in pieces: each piece is one request, repeated from where it broke off.
#pragma once

#include "runtime/storage/http.h"

// Asks for bytes [offset, offset + count) of the file. False when the transfer failed, with the reason in the reply and
// the bytes that came in its body.
typedef bool (*XvPieceRequest)(void *context, int64_t offset, size_t count, XvHttpReply *reply);

typedef struct XvChunks {
    XvPieceRequest request;
    void *context;
    const char *path;    // for messages
    int64_t size, next;  // bytes of the file; the first one that is not in the reply yet
    XvHttpReply reply;   // holds a piece
    size_t used;         // bytes of it handed out
} XvChunks;

// As xv_reader_read.
int64_t xv_chunks_read(XvChunks *chunks, void *buffer, size_t room, XvError *error);
