// Formatting of error messages; see error.h.
#include "runtime/base/error.h"

#include <stdio.h>
#include <string.h>

bool xv_fail(XvError *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    return false;
}

bool xv_fail_in(XvError *error, const char *format, ...)
{
    char context[sizeof error->text];
    va_list args;
    va_start(args, format);
    vsnprintf(context, sizeof context, format, args);
    va_end(args);

    char inner[sizeof error->text];
    memcpy(inner, error->text, sizeof inner);
    size_t used = strlen(context);
    size_t room = sizeof error->text - 1;
    memcpy(error->text, context, used < room ? used : room);
    snprintf(error->text + used, room + 1 - used, ": %.*s", (int)(room - used > 2 ? room - used - 2 : 0),
             inner);
    return false;
}
