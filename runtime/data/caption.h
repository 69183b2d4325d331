// The official cleaning of captions and questions before they are cut into word pieces (dataset/utils.py).
#pragma once

#include "runtime/base/error.h"

// Lower-cases, deletes , . ' ! ? " ( ) * # : ; ~ without leaving a space, turns - and / into spaces and
// <person> into person, collapses runs of white space, and keeps the first max_words words. `text` is valid
// UTF-8. Returns a new string that the caller frees; NULL with a message when nothing is left.
char *xv_pre_caption(const char *text, int max_words, XvError *error);

// The same for questions: no rule for <person>, runs of white space stay, only spaces at the end are stripped, and the
// words that are counted lie between single spaces, empty ones included. Nothing may be left. NULL only without memory.
char *xv_pre_question(const char *text, int max_words, XvError *error);
