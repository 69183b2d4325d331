// What the tests of the front end share: a session that collects messages, parsing and formatting of texts.
#pragma once

#include "dsl/parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

// Each test works in a session of its own; messages go to `messages`.
typedef struct Session {
    Arena *arena;
    Diag diag;
    ParseContext context;
    char *messages;
    size_t n_messages;
} Session;

// For cmocka: *state becomes a Session.
int session_set_up(void **state);
int session_tear_down(void **state);
#define SESSION_TEST(name) cmocka_unit_test_setup_teardown(name, session_set_up, session_tear_down)

// All messages so far.
const char *session_messages(Session *session);
// The text as a source called "test.dsl".
const Source *session_source(Session *session, const char *text);
// The tree and the canonical text of a text without errors; anything else fails the test.
AstFile *session_parsed(Session *session, const char *text);
const char *session_formatted(Session *session, const Source *source);
