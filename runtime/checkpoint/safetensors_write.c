// Writing of safetensors files; see safetensors.h. The header is built in memory, the tensors go from where they are
// straight to the file.
#include "runtime/checkpoint/safetensors.h"

#include "runtime/base/output.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static bool write_content(XvOutput *output, const XvFileContent *content, XvError *error)
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
    bool is_written =
        header ? xv_output_write(output, header, header_bytes, error) : xv_fail(error, "no memory");
    for (int i = 0; is_written && i < content->n_tensors; i++) {
        is_written = xv_output_write(output, order[i]->data, xv_tensor_bytes(order[i]), error);
    }
    free(header);
    free(order);
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
    XvOutput output;
    if (!check_distinct(content, error)) {
        return xv_fail_in(error, "cannot write %s", path);
    }
    return xv_output_open(&output, path, error) &&
           xv_output_close(&output, write_content(&output, content, error), error);
}
