// The formatter's text, line breaks and comments; see print.h. Every comment of the source is printed exactly
// once, in source order, because each of the functions here prints what is waiting up to a place and never
// looks back.
#include "dsl/print.h"

#include <string.h>

// Text ------------------------------------------------------------------------------------------------------

static int columns_of(const char *text)
{
    int columns = 0;
    for (; *text; text++) {
        columns += ((unsigned char)*text & 0xC0u) != 0x80u;
    }
    return columns;
}

void print_text(Printer *printer, const char *text)
{
    if (!*text) {
        return;
    }
    if (printer->column == 0) {
        printer->column = printer->indent;
        for (int i = 0; !printer->is_measuring && i < printer->indent; i++) {
            out_raw(printer->out, " ");
        }
    }
    printer->column += columns_of(text);
    if (!printer->is_measuring) {
        out_raw(printer->out, text);
    } else if (printer->column > printer->width) {
        printer->is_over = true;
    }
}

void print_span(Printer *printer, Span span)
{
    char text[64];
    for (uint32_t at = span.begin; at < span.end;) {
        size_t length = span.end - at < sizeof text - 1 ? span.end - at : sizeof text - 1;
        memcpy(text, span.source->text + at, length);
        text[length] = 0;
        print_text(printer, text);
        at += (uint32_t)length;
    }
}

void print_string(Printer *printer, const char *text)
{
    print_text(printer, "\"");
    while (*text) {
        size_t plain = strcspn(text, "\"\\\n\t");
        char part[64];
        size_t length = plain < sizeof part - 1 ? plain : sizeof part - 1;
        memcpy(part, text, length);
        part[length] = 0;
        print_text(printer, part);
        text += length;
        if (length == plain && *text) {
            print_text(printer, *text == '\n'   ? "\\n"
                                : *text == '\t' ? "\\t"
                                : *text == '"'  ? "\\\""
                                                : "\\\\");
            text++;
        }
    }
    print_text(printer, "\"");
}

void print_newline(Printer *printer)
{
    if (!printer->is_measuring && printer->column > 0) {
        out_raw(printer->out, "\n");
        printer->column = 0;
    }
}

// Comments --------------------------------------------------------------------------------------------------

bool comment_within(const Printer *printer, uint32_t begin, uint32_t end)
{
    const AstComment *comment = printer->comments;
    while (comment && comment->span.begin < begin) {
        comment = comment->next;
    }
    return comment && comment->span.begin < end;
}

// Prints the next comment, on the current line if there is one.
static void print_comment(Printer *printer)
{
    const AstComment *comment = printer->comments;
    print_text(printer, printer->column > 0 ? "  " : "");
    print_span(printer, comment->span);
    print_newline(printer);
    printer->printed = comment->span.end > printer->printed ? comment->span.end : printer->printed;
    printer->comments = comment->next;
}

void comments_in_list(Printer *printer, uint32_t limit)
{
    while (!printer->is_measuring && printer->comments && printer->comments->span.begin < limit) {
        if (printer->comments->is_alone) {
            print_newline(printer);
        }
        print_comment(printer);
    }
}

static bool same_line(const Source *source, uint32_t from, uint32_t to)
{
    return !memchr(source->text + from, '\n', to - from);
}

void comments_end_line(Printer *printer, uint32_t end)
{
    printer->printed = end > printer->printed ? end : printer->printed;
    while (printer->comments && (printer->comments->span.begin < end ||
                                 same_line(printer->source, end, printer->comments->span.begin))) {
        print_comment(printer);
    }
    print_newline(printer);
}

// Is there a blank line in the source between what was printed last and `begin`?
static bool has_blank(const Printer *printer, uint32_t begin)
{
    int n_newlines = 0;
    for (uint32_t i = printer->printed; i < begin; i++) {
        n_newlines += printer->source->text[i] == '\n';
    }
    return n_newlines > 1;
}

static void keep_blank(Printer *printer, uint32_t begin, bool is_first)
{
    if (!is_first && has_blank(printer, begin)) {
        out_raw(printer->out, "\n");
    }
}

bool comments_before(Printer *printer, uint32_t limit, bool is_first)
{
    while (printer->comments && printer->comments->span.begin < limit) {
        keep_blank(printer, printer->comments->span.begin, is_first);
        print_comment(printer);
        is_first = false;
    }
    return is_first;
}

void blank_before(Printer *printer, uint32_t begin, bool is_first)
{
    keep_blank(printer, begin, is_first);
    printer->printed = begin > printer->printed ? begin : printer->printed;
}
