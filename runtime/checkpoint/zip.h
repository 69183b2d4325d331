// Zip archives as PyTorch writes them: entries are stored, not compressed, and may be larger than 4 GiB (zip64).
//
// The archive lies in memory (a mapped file); an entry is a range of it. Nothing in the archive is trusted: every
// number is checked against the size.
#pragma once

#include "runtime/base/error.h"

#include <stdint.h>

typedef struct XvZipEntry {
    const char *name;
    int64_t offset;     // of the data, bytes from the start of the archive
    int64_t size;       // bytes of data
    uint32_t checksum;  // CRC-32 of the data, as the archive says
    bool is_stored;     // false: compressed or encrypted; offset and size are not to be used
} XvZipEntry;

typedef struct XvZip {
    XvZipEntry *entries;  // in the order of their names (strcmp)
    int n_entries;
    char *names;
} XvZip;

// Reads the directory of an archive of `size` bytes. False with a message for what is not a whole archive.
bool xv_zip_read(XvZip *zip, const uint8_t *bytes, int64_t size, XvError *error);

void xv_zip_free(XvZip *zip);

// NULL when there is none.
const XvZipEntry *xv_zip_find(const XvZip *zip, const char *name);
