// Where the records of a file begin, found in one pass over its bytes in pieces of any size.
//
// A file whose first character is '[' is one JSON array, and its elements are the records (the layout of fine-tuning);
// any other file holds a record per line (pre-training), blank lines aside.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum XvScanState {
    XV_SCAN_UNDECIDED,  // only white space so far
    XV_SCAN_LINES,
    XV_SCAN_VALUE,   // in an array: an element comes next
    XV_SCAN_INSIDE,  // in an element
    XV_SCAN_CLOSED,  // behind the array
} XvScanState;

typedef struct XvRecordScan {
    XvScanState state;
    int64_t offset;      // bytes seen
    int64_t line;        // number of the current line, from 1
    int64_t line_start;  // its offset
    bool is_blank;       // lines: nothing but white space in this one so far
    bool is_string, is_escaped, is_first;
    int depth;  // open brackets, that of the array included
    // Called for each record with the offset of its first byte, and for each blank line. False stops the scan.
    bool (*record)(void *context, int64_t start);
    bool (*blank)(void *context);
    void *context;
    const char *fault;  // what is wrong with the array at `offset`; NULL when a callback stopped the scan
} XvRecordScan;

// A scan of the given callbacks at the start of a file.
XvRecordScan xv_record_scan(void *context, bool (*record)(void *, int64_t), bool (*blank)(void *));

// Takes the next bytes; false when a callback says so or the array is broken.
bool xv_record_scan_bytes(XvRecordScan *scan, const char *bytes, size_t count);

// The file ends; false as above, also for an array that is not closed.
bool xv_record_scan_end(XvRecordScan *scan);

// Whether the records are elements of an array.
bool xv_record_scan_is_array(const XvRecordScan *scan);

// The length of one record within text[0..length), which reaches from its first byte to the first byte of the next
// record or to the end of the file: line end, comma, bracket and white space behind it do not belong to it.
size_t xv_record_length(const char *text, size_t length, bool is_array);
