// See dsl_session.h.
#include "tests/unit/dsl_session.h"

#include <stdlib.h>
#include <string.h>

int session_set_up(void **state)
{
    Session *session = calloc(1, sizeof *session);
    assert_non_null(session);
    session->arena = arena_new();
    session->diag.stream = open_memstream(&session->messages, &session->n_messages);
    session->context = (ParseContext){session->arena, interner_new(session->arena), &session->diag};
    *state = session;
    return 0;
}

int session_tear_down(void **state)
{
    Session *session = *state;
    fclose(session->diag.stream);
    free(session->messages);
    arena_free(session->arena);
    free(session);
    return 0;
}

const char *session_messages(Session *session)
{
    fflush(session->diag.stream);
    return session->messages;
}

const Source *session_source(Session *session, const char *text)
{
    Source *source = arena_alloc(session->arena, sizeof *source);
    *source = (Source){"test.dsl", arena_copy(session->arena, text, strlen(text)), strlen(text)};
    return source;
}

AstFile *session_parsed(Session *session, const char *text)
{
    AstFile *file = parse_source(&session->context, session_source(session, text));
    assert_string_equal(session_messages(session), "");
    return file;
}

const char *session_formatted(Session *session, const Source *source)
{
    Out *out = out_new(session->arena);
    bool is_good = format_source(&session->context, source, out);
    assert_string_equal(session_messages(session), "");
    assert_true(is_good);
    return out_text(out);
}
