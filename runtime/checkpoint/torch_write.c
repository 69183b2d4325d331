// The archive of a checkpoint; see torch_write.h. Entries are stored, data begin at multiples of 64 bytes as PyTorch
// places them (so that it can map them), and sizes and offsets beyond 32 bits are written as zip64.
#include "runtime/checkpoint/torch_write.h"

#include "runtime/base/output.h"
#include "runtime/checkpoint/torch_pickle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { ALIGNMENT = 64, HEADER_ROOM = 512, CHECKSUM_BYTES = 1 << 30 };

typedef struct Entry {
    char name[48];
    const void *data;
    uint64_t bytes, header;  // header: where its local header is
    uint32_t checksum;
} Entry;

typedef struct Archive {
    XvOutput output;
    Entry *entries;
    int n_entries;
} Archive;

// A header is put together in memory: `at` bytes are used.
typedef struct Header {
    unsigned char bytes[HEADER_ROOM];
    size_t at;
} Header;

static void put(Header *header, uint64_t value, int width)
{
    for (int i = 0; i < width; i++) {
        header->bytes[header->at++] = (unsigned char)(value >> (8 * i));
    }
}

static void put_name(Header *header, const char *name)
{
    memcpy(header->bytes + header->at, name, strlen(name));
    header->at += strlen(name);
}

static uint64_t narrow(uint64_t value)
{
    return value < UINT32_MAX ? value : UINT32_MAX;
}

// What local headers and rows of the directory have in common, from the version to the sizes. Dates are those of
// torch.save, so that equal contents give equal files.
static void put_common(Header *header, const Entry *entry, bool is_wide)
{
    put(header, is_wide ? 45 : 20, 2);
    put(header, 0, 2);   // flags
    put(header, 0, 2);   // stored
    put(header, 0, 2);   // time
    put(header, 33, 2);  // date: 1 January 1980
    put(header, entry->checksum, 4);
    put(header, narrow(entry->bytes), 4);
    put(header, narrow(entry->bytes), 4);
    put(header, strlen(entry->name), 2);
}

static bool write_local(Archive *archive, const Entry *entry, XvError *error)
{
    bool is_wide = entry->bytes >= UINT32_MAX;
    Header header = {.at = 0};
    put(&header, 0x04034b50, 4);
    put_common(&header, entry, is_wide);
    size_t wide = is_wide ? 20 : 0;
    uint64_t unpadded = entry->header + 30 + strlen(entry->name) + wide + 4;
    size_t padding = (size_t)((ALIGNMENT - unpadded % ALIGNMENT) % ALIGNMENT);
    put(&header, wide + 4 + padding, 2);
    put_name(&header, entry->name);
    if (is_wide) {
        put(&header, 1, 2);
        put(&header, 16, 2);
        put(&header, entry->bytes, 8);
        put(&header, entry->bytes, 8);
    }
    put(&header, 0x4246, 2);  // "FB": PyTorch's padding
    put(&header, padding, 2);
    memset(header.bytes + header.at, 'Z', padding);
    header.at += padding;
    return xv_output_write(&archive->output, header.bytes, header.at, error);
}

static uint32_t checksum(const void *data, uint64_t bytes)
{
    uLong sum = crc32(0, NULL, 0);
    const unsigned char *at = data;
    while (bytes > 0) {
        uInt step = bytes < CHECKSUM_BYTES ? (uInt)bytes : CHECKSUM_BYTES;
        sum = crc32(sum, at, step);
        at += step;
        bytes -= step;
    }
    return (uint32_t)sum;
}

static bool add_entry(Archive *archive, const char *name, const void *data, uint64_t bytes, XvError *error)
{
    Entry *entry = &archive->entries[archive->n_entries++];
    *entry = (Entry){.data = data,
                     .bytes = bytes,
                     .header = (uint64_t)archive->output.written,
                     .checksum = checksum(data, bytes)};
    snprintf(entry->name, sizeof entry->name, "archive/%s", name);
    return write_local(archive, entry, error) &&
           xv_output_write(&archive->output, data, (size_t)bytes, error);
}

static bool write_row(Archive *archive, const Entry *entry, XvError *error)
{
    bool has_wide_size = entry->bytes >= UINT32_MAX, has_wide_place = entry->header >= UINT32_MAX;
    size_t wide = (has_wide_size ? 16u : 0u) + (has_wide_place ? 8u : 0u);
    Header header = {.at = 0};
    put(&header, 0x02014b50, 4);
    put(&header, 45, 2);  // made by
    put_common(&header, entry, wide > 0);
    put(&header, wide ? wide + 4 : 0, 2);
    put(&header, 0, 2);  // comment
    put(&header, 0, 2);  // disk
    put(&header, 0, 2);  // attributes
    put(&header, 0, 4);
    put(&header, narrow(entry->header), 4);
    put_name(&header, entry->name);
    if (wide > 0) {
        put(&header, 1, 2);
        put(&header, wide, 2);
    }
    if (has_wide_size) {
        put(&header, entry->bytes, 8);
        put(&header, entry->bytes, 8);
    }
    if (has_wide_place) {
        put(&header, entry->header, 8);
    }
    return xv_output_write(&archive->output, header.bytes, header.at, error);
}

static bool write_directory(Archive *archive, XvError *error)
{
    uint64_t start = (uint64_t)archive->output.written;
    for (int i = 0; i < archive->n_entries; i++) {
        if (!write_row(archive, &archive->entries[i], error)) {
            return false;
        }
    }
    uint64_t end = (uint64_t)archive->output.written, n_entries = (uint64_t)archive->n_entries;
    Header header = {.at = 0};
    if (n_entries >= UINT16_MAX || end >= UINT32_MAX) {
        put(&header, 0x06064b50, 4);
        put(&header, 44, 8);
        put(&header, 45, 2);
        put(&header, 45, 2);
        put(&header, 0, 8);  // disks
        put(&header, n_entries, 8);
        put(&header, n_entries, 8);
        put(&header, end - start, 8);
        put(&header, start, 8);
        put(&header, 0x07064b50, 4);
        put(&header, 0, 4);
        put(&header, end, 8);
        put(&header, 1, 4);
    }
    uint64_t few = n_entries < UINT16_MAX ? n_entries : UINT16_MAX;
    put(&header, 0x06054b50, 4);
    put(&header, 0, 4);  // disks
    put(&header, few, 2);
    put(&header, few, 2);
    put(&header, narrow(end - start), 4);
    put(&header, narrow(start), 4);
    put(&header, 0, 2);
    return xv_output_write(&archive->output, header.bytes, header.at, error);
}

// Storages ---------------------------------------------------------------------------------------------------------

typedef struct Place {
    const void *data;
    size_t bytes;
    XvDtype dtype;
    int tensor;
} Place;

static int by_place(const void *a, const void *b)
{
    const Place *x = a, *y = b;
    if (x->data != y->data) {
        return (uintptr_t)x->data < (uintptr_t)y->data ? -1 : 1;
    }
    if (x->bytes != y->bytes) {
        return x->bytes < y->bytes ? -1 : 1;
    }
    return x->dtype != y->dtype ? (x->dtype < y->dtype ? -1 : 1) : x->tensor - y->tensor;
}

// storages[i] becomes the first tensor with the data of tensor i; empty tensors share nothing.
static bool find_shared(const XvTorchContent *content, int *storages, XvError *error)
{
    Place *places = calloc((size_t)content->n_tensors + 1, sizeof *places);
    if (!places) {
        return xv_fail(error, "no memory");
    }
    for (int i = 0; i < content->n_tensors; i++) {
        const XvTensor *tensor = &content->tensors[i];
        places[i] = (Place){tensor->data, xv_tensor_bytes(tensor), tensor->dtype, i};
    }
    qsort(places, (size_t)content->n_tensors, sizeof *places, by_place);
    for (int i = 0; i < content->n_tensors; i++) {
        const Place *last = i ? &places[i - 1] : NULL, *place = &places[i];
        bool is_shared = last && place->bytes > 0 && last->data == place->data &&
                         last->bytes == place->bytes && last->dtype == place->dtype;
        storages[place->tensor] = is_shared ? storages[last->tensor] : place->tensor;
    }
    free(places);
    return true;
}

static bool write_storages(Archive *archive, const XvTorchContent *content, const int *storages,
                           XvError *error)
{
    for (int i = 0; i < content->n_tensors; i++) {
        char name[32];
        snprintf(name, sizeof name, "data/%d", i);
        const XvTensor *tensor = &content->tensors[i];
        if (storages[i] == i && !add_entry(archive, name, tensor->data, xv_tensor_bytes(tensor), error)) {
            return false;
        }
    }
    return true;
}

static bool write_archive(Archive *archive, const XvTorchContent *content, const int *storages,
                          XvError *error)
{
    size_t length = 0;
    char *pickle = xv_torch_pickle(content, storages, &length, error);
    bool is_written = pickle && add_entry(archive, "data.pkl", pickle, length, error) &&
                      add_entry(archive, "byteorder", "little", 6, error) &&
                      write_storages(archive, content, storages, error) &&
                      add_entry(archive, "version", "3\n", 2, error) && write_directory(archive, error);
    free(pickle);
    return is_written;
}

bool xv_torch_write(const char *path, const XvTorchContent *content, XvError *error)
{
    Archive archive = {.n_entries = 0};
    int *storages = calloc((size_t)content->n_tensors + 1, sizeof *storages);
    archive.entries = calloc((size_t)content->n_tensors + 3, sizeof *archive.entries);
    bool is_ready =
        storages && archive.entries ? find_shared(content, storages, error) : xv_fail(error, "no memory");
    bool is_written =
        is_ready && xv_output_open(&archive.output, path, error) &&
        xv_output_close(&archive.output, write_archive(&archive, content, storages, error), error);
    free(storages);
    free(archive.entries);
    return is_written;
}
