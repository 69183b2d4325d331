// JSON strings in ASCII; see json_write.h.
#include "runtime/data/json_write.h"

#include "runtime/data/unicode.h"

static void put_point(FILE *file, int32_t point)
{
    switch (point) {
    case '"': fputs("\\\"", file); return;
    case '\\': fputs("\\\\", file); return;
    case '\n': fputs("\\n", file); return;
    case '\t': fputs("\\t", file); return;
    default: break;
    }
    if (point >= 0x20 && point < 0x7F) {
        fputc(point, file);
    } else if (point < 0x10000) {
        fprintf(file, "\\u%04x", (unsigned)point);
    } else {
        unsigned offset = (unsigned)point - 0x10000;
        fprintf(file, "\\u%04x\\u%04x", 0xD800 + (offset >> 10), 0xDC00 + (offset & 0x3FF));
    }
}

void xv_json_put_text(FILE *file, const char *text)
{
    fputc('"', file);
    while (*text) {
        int32_t point;
        text += xv_utf8_next(text, &point);
        put_point(file, point);
    }
    fputc('"', file);
}
