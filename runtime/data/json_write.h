// Texts and numbers as JSON that any reader takes, line by line: everything but printable ASCII is escaped.
#pragma once

#include <stdio.h>

// Writes a quoted string. `text` is UTF-8, in which C0 80 stands for U+0000 and a surrogate may stand alone, as
// json_line.h reads them.
void xv_json_put_text(FILE *file, const char *text);
