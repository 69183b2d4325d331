// Finding records; see records_scan.h.
#include "runtime/data/records_scan.h"

#include <string.h>

XvRecordScan xv_record_scan(void *context, bool (*record)(void *, int64_t), bool (*blank)(void *))
{
    return (XvRecordScan){.line = 1, .is_blank = true, .record = record, .blank = blank, .context = context};
}

bool xv_record_scan_is_array(const XvRecordScan *scan)
{
    return scan->state >= XV_SCAN_VALUE;
}

static bool is_blank_byte(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool is_space(char c)
{
    return is_blank_byte(c) || c == '\n';
}

static bool wrong(XvRecordScan *scan, const char *what)
{
    scan->fault = what;
    return false;
}

// ---- lines

static bool end_line(XvRecordScan *scan, int64_t next)
{
    bool ok = scan->is_blank ? scan->blank(scan->context) : scan->record(scan->context, scan->line_start);
    scan->is_blank = true;
    scan->line++;
    scan->line_start = next;
    return ok;
}

static bool scan_lines(XvRecordScan *scan, const char *bytes, size_t count)
{
    int64_t base = scan->offset;
    for (size_t i = 0; i < count;) {
        while (scan->is_blank && i < count && is_blank_byte(bytes[i])) {
            i++;
        }
        const char *stop = i < count ? memchr(bytes + i, '\n', count - i) : NULL;
        size_t end = stop ? (size_t)(stop - bytes) : count;
        scan->is_blank = scan->is_blank && end == i;
        if (stop && !end_line(scan, base + (int64_t)end + 1)) {
            return false;
        }
        i = end + 1;
    }
    scan->offset = base + (int64_t)count;
    return true;
}

// ---- arrays

static bool end_value(XvRecordScan *scan, char c)
{
    scan->is_first = false;
    scan->state = c == ',' ? XV_SCAN_VALUE : XV_SCAN_CLOSED;
    return true;
}

static bool begin_value(XvRecordScan *scan, char c)
{
    if (c == ']' && scan->is_first) {
        scan->state = XV_SCAN_CLOSED;
        return true;
    }
    if (c == ',' || c == ']' || c == '}') {
        return wrong(scan, "a record is expected");
    }
    scan->state = XV_SCAN_INSIDE;
    scan->depth = 1 + (c == '{' || c == '[');
    scan->is_string = c == '"';
    scan->is_escaped = false;
    return scan->record(scan->context, scan->offset);
}

static bool pass_inside(XvRecordScan *scan, char c)
{
    if (scan->is_string) {
        scan->is_string = scan->is_escaped || c != '"';
        scan->is_escaped = !scan->is_escaped && c == '\\';
        return true;
    }
    if (scan->depth == 1 && (c == ',' || c == ']')) {
        return end_value(scan, c);
    }
    if (scan->depth == 1 && (c == '{' || c == '[' || c == '"')) {
        return wrong(scan, "a ',' or ']' is missing behind a record");
    }
    scan->is_string = c == '"';
    scan->depth += c == '{' || c == '[';
    scan->depth -= c == '}' || c == ']';
    return scan->depth > 0 || wrong(scan, "more brackets are closed than were opened");
}

static bool pass_byte(XvRecordScan *scan, char c)
{
    switch (scan->state) {
    case XV_SCAN_VALUE: return is_space(c) || begin_value(scan, c);
    case XV_SCAN_INSIDE: return pass_inside(scan, c);
    default: return is_space(c) || wrong(scan, "something follows the end of the array");
    }
}

static bool scan_array(XvRecordScan *scan, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++, scan->offset++) {
        if (!pass_byte(scan, bytes[i])) {
            return false;
        }
        if (bytes[i] == '\n') {
            scan->line++;
            scan->line_start = scan->offset + 1;
        }
    }
    return true;
}

// ---- both

// White space before the first record; an opening bracket makes an array. `*used` tells how many bytes were taken.
static bool decide(XvRecordScan *scan, const char *bytes, size_t count, size_t *used)
{
    size_t i = 0;
    while (i < count && is_space(bytes[i])) {
        if (bytes[i++] == '\n' && !end_line(scan, scan->offset + (int64_t)i)) {
            return false;
        }
    }
    *used = i;
    if (i < count) {
        scan->state = bytes[i] == '[' ? XV_SCAN_VALUE : XV_SCAN_LINES;
        scan->is_first = true;
        *used += bytes[i] == '[';
    }
    scan->offset += (int64_t)*used;
    return true;
}

bool xv_record_scan_bytes(XvRecordScan *scan, const char *bytes, size_t count)
{
    size_t used = 0;
    if (scan->state == XV_SCAN_UNDECIDED && !decide(scan, bytes, count, &used)) {
        return false;
    }
    if (used == count) {
        return true;
    }
    return xv_record_scan_is_array(scan) ? scan_array(scan, bytes + used, count - used)
                                         : scan_lines(scan, bytes + used, count - used);
}

bool xv_record_scan_end(XvRecordScan *scan)
{
    if (scan->state == XV_SCAN_LINES) {
        return scan->is_blank || scan->record(scan->context, scan->line_start);
    }
    return scan->state == XV_SCAN_CLOSED || scan->state == XV_SCAN_UNDECIDED ||
           wrong(scan, "the array is not closed: the file was cut off");
}

size_t xv_record_length(const char *text, size_t length, bool is_array)
{
    if (!is_array) {
        const char *end = memchr(text, '\n', length);
        return end ? (size_t)(end - text) : length;
    }
    while (length > 0 && is_space(text[length - 1])) {
        length--;
    }
    length -= length > 0 && (text[length - 1] == ',' || text[length - 1] == ']');
    while (length > 0 && is_space(text[length - 1])) {
        length--;
    }
    return length;
}
