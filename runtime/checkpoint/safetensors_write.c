// Writing of safetensors files; see safetensors.h. The header is built in memory, the tensors go from where they are
// straight to the file.
#include "runtime/checkpoint/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WRITE_BYTES = 64 << 20 };  // at most this much in one system call

static void put_json_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\') {
            fprintf(out, "\\%c", *c);
        } else if (*c < 0x20) {
            fprintf(out, "\\u%04x", *c);
        } else {
            fputc(*c, out);
        }
    }
    fputc('"', out);
}

static void put_metadata(FILE *out, const XvFileContent *content)
{
    fputs("\"__metadata__\":{", out);
    for (int i = 0; i < content->n_metadata; i++) {
        fputs(i ? "," : "", out);
        put_json_text(out, content->metadata[i].key);
        fputc(':', out);
        put_json_text(out, content->metadata[i].value);
    }
    fputc('}', out);
}

static void put_tensor(FILE *out, const XvTensor *tensor, size_t begin)
{
    put_json_text(out, tensor->name);
    fprintf(out, ":{\"dtype\":\"%s\",\"shape\":[", xv_dtype_name(tensor->dtype));
    for (int i = 0; i < tensor->rank; i++) {
        fprintf(out, "%s%" PRId64, i ? "," : "", tensor->shape[i]);
    }
    fprintf(out, "],\"data_offsets\":[%zu,%zu]}", begin, begin + xv_tensor_bytes(tensor));
}

// Wide elements first, so that every tensor is aligned for its type; otherwise the order given.
static int by_width(const void *a, const void *b)
{
    const XvTensor *x = *(const XvTensor *const *)a, *y = *(const XvTensor *const *)b;
    size_t x_size = xv_dtype_size(x->dtype), y_size = xv_dtype_size(y->dtype);
    if (x_size != y_size) {
        return x_size > y_size ? -1 : 1;
    }
    return (x > y) - (x < y);
}

// The header with its length in front, padded; the caller frees it.
static char *build_header(const XvFileContent *content, const XvTensor *const *order, size_t *bytes)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, bytes);
    if (!out) {
        return NULL;
    }
    fputs("........{", out);
    if (content->n_metadata > 0) {
        put_metadata(out, content);
    }
    size_t begin = 0;
    for (int i = 0; i < content->n_tensors; i++) {
        fputs(i || content->n_metadata > 0 ? "," : "", out);
        put_tensor(out, order[i], begin);
        begin += xv_tensor_bytes(order[i]);
    }
    fputc('}', out);
    for (long at = ftell(out); at % 8 != 0; at++) {
        fputc(' ', out);
    }
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    uint64_t length = *bytes - 8;
    for (int i = 0; i < 8; i++) {
        text[i] = (char)(length >> (8 * i));
    }
    return text;
}

static bool write_all(int file, const void *data, size_t bytes, XvError *error)
{
    const char *from = data;
    while (bytes > 0) {
        ssize_t written = write(file, from, bytes < WRITE_BYTES ? bytes : WRITE_BYTES);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return xv_fail(error, "%s", written < 0 ? strerror(errno) : "nothing could be written");
        }
        from += written;
        bytes -= (size_t)written;
    }
    return true;
}

static bool write_content(int file, const XvFileContent *content, XvError *error)
{
    const XvTensor **order = calloc((size_t)content->n_tensors + 1, sizeof *order);
    if (!order) {
        return xv_fail(error, "no memory");
    }
    for (int i = 0; i < content->n_tensors; i++) {
        order[i] = &content->tensors[i];
    }
    qsort(order, (size_t)content->n_tensors, sizeof *order, by_width);
    size_t header_bytes = 0;
    char *header = build_header(content, order, &header_bytes);
    bool is_written = header ? write_all(file, header, header_bytes, error) : xv_fail(error, "no memory");
    for (int i = 0; is_written && i < content->n_tensors; i++) {
        is_written = write_all(file, order[i]->data, xv_tensor_bytes(order[i]), error);
    }
    free(header);
    free(order);
    return is_written;
}

// The rename itself must reach the device too, else a power cut can bring the old name back.
static void flush_folder(const char *path)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    int folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) {
        fsync(folder);
        close(folder);
    }
}

static bool write_partial(const char *partial, const XvFileContent *content, XvError *error)
{
    int file = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0) {
        return xv_fail(error, "%s", strerror(errno));
    }
    bool is_written = write_content(file, content, error);
    if (is_written && fsync(file) < 0) {
        is_written = xv_fail(error, "%s", strerror(errno));
    }
    if (close(file) < 0 && is_written) {
        is_written = xv_fail(error, "%s", strerror(errno));
    }
    return is_written;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool check_distinct(const XvFileContent *content, XvError *error)
{
    const char **names = calloc((size_t)content->n_tensors + 1, sizeof *names);
    if (!names) {
        return xv_fail(error, "no memory");
    }
    for (int i = 0; i < content->n_tensors; i++) {
        names[i] = content->tensors[i].name;
    }
    qsort(names, (size_t)content->n_tensors, sizeof *names, by_text);
    bool is_distinct = true;
    for (int i = 1; is_distinct && i < content->n_tensors; i++) {
        if (strcmp(names[i - 1], names[i]) == 0) {
            is_distinct = xv_fail(error, "two tensors are called \"%s\"", names[i]);
        }
    }
    free(names);
    return is_distinct;
}

bool xv_safetensors_write(const char *path, const XvFileContent *content, XvError *error)
{
    char partial[PATH_MAX];
    if ((size_t)snprintf(partial, sizeof partial, "%s.partial", path) >= sizeof partial) {
        return xv_fail(error, "cannot write %s: the path is too long", path);
    }
    if (!check_distinct(content, error)) {
        return xv_fail_in(error, "cannot write %s", path);
    }
    if (!write_partial(partial, content, error)) {
        unlink(partial);
        return xv_fail_in(error, "cannot write %s", path);
    }
    if (rename(partial, path) < 0) {
        xv_fail(error, "cannot write %s: %s", path, strerror(errno));
        unlink(partial);
        return false;
    }
    flush_folder(path);
    return true;
}
