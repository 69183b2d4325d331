// The boxes that a detector found in every picture, by image id (RefCOCO+'s dets.json): candidates among which weakly
// supervised grounding picks.
#pragma once

#include "runtime/base/error.h"

#include <stdint.h>

typedef struct XvDetections XvDetections;

// `path` is a JSON object {"IMAGE_ID": [[x, y, w, h, ...], ...], ...} in pixels of the stored picture; numbers after
// the fourth (scores, classes) are left out. NULL with a message that names the path and the image id.
XvDetections *xv_detections_open(const char *path, XvError *error);
void xv_detections_close(XvDetections *detections);

// The boxes of a picture, in the order of the file, and their number; NULL for an image id that the file does not have.
// Borrowed.
const double (*xv_detections_find(const XvDetections *detections, int64_t image_id, int *count))[4];
