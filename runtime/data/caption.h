// The official cleaning of captions before they are cut into word pieces (facts 5.3).
#pragma once

#include "runtime/base/error.h"

// Lower-cases, deletes , . ' ! ? " ( ) * # : ; ~ without leaving a space, turns - and / into spaces and
// <person> into person, collapses runs of white space, and keeps the first max_words words. `text` is valid
// UTF-8. Returns a new string that the caller frees; NULL with a message when nothing is left.
char *xv_pre_caption(const char *text, int max_words, XvError *error);
