// The front end: trees and their spans, names that look like keywords, newlines, imports, and the full text of
// the messages in tests/errors/syntax-*.err.
#include "tests/unit/dsl_session.h"

#include <glob.h>
#include <string.h>

// The messages for a text with errors.
static const char *errors_of(Session *session, const char *text)
{
    parse_source(&session->context, session_source(session, text));
    assert_true(session->diag.n_errors > 0);
    return session_messages(session);
}

static void check_span(Span span, const char *expected)
{
    assert_int_equal(span.end - span.begin, strlen(expected));
    assert_memory_equal(span.source->text + span.begin, expected, strlen(expected));
}

// The value of `let x = ...`.
static const AstExpr *value_of(Session *session, const char *text)
{
    const AstFile *file = session_parsed(session, arena_format(session->arena, "let x = %s\n", text));
    assert_int_equal(file->items.first->kind, AST_LET);
    assert_null(file->items.first->next);
    return file->items.first->value;
}

// Trees -----------------------------------------------------------------------------------------------------

static void test_spans(void **state)
{
    Session *session = *state;
    const AstFile *file =
        session_parsed(session, "module Layer(width, depth = 2) {\n"
                                "    self as \"0\": Linear(width, bias = false) fresh  # why\n"
                                "    fn (x: [..., width]) -> int[B] { return f(x)[:, 1].T }\n"
                                "}\n");
    const AstItem *module = file->items.first;
    check_span(module->head, "module Layer");
    check_span(module->params->next->name.span, "depth");
    check_span(module->params->next->value->span, "2");
    assert_int_equal(module->body.begin, strchr(file->source->text, '{') - file->source->text);
    assert_int_equal(module->span.end, file->source->length - 1);
    const AstItem *child = module->items.first;
    assert_int_equal(child->kind, AST_CHILD);
    check_span(child->span, "self as \"0\": Linear(width, bias = false) fresh");
    check_span(child->text_span, "\"0\"");
    assert_string_equal(child->text, "0");
    check_span(child->value->span, "Linear(width, bias = false)");
    check_span(child->value->operator_span, "(");
    check_span(child->value->args->next->span, "bias = false");
    check_span(child->attributes->name.span, "fresh");
    const AstItem *function = child->next;
    assert_null(function->name.text);
    check_span(function->params->type->span, "[..., width]");
    check_span(function->type->span, "int[B]");
    const AstExpr *member = function->items.first->value;
    check_span(member->span, "f(x)[:, 1].T");
    check_span(member->operator_span, "T");
    check_span(member->a->operator_span, "[");
    check_span(member->a->args->span, ":");
    check_span(file->comments->span, "# why");
}

static void test_items(void **state)
{
    Session *session = *state;
    const AstFile *file = session_parsed(
        session, "task t {\n"
                 "  model as \"\": Net(3)\n"
                 "  optimizer adamw { lr = optimizer.lr, more { beta = 0.9 } }\n"
                 "  no_decay [\"bias\"]\n"
                 "  entry e(x: [B, 3], n) {\n"
                 "    data \"pairs\" { shuffle = true }\n"
                 "    probability 0.5; advances false\n"
                 "    dim B = 4\n"
                 "    a, b = f(x)\n"
                 "    draw r = g(a)\n"
                 "    if n { output y = a } else if not n { output y = b } else { output y = r }\n"
                 "    for i in 0..n { metric m = y, i }\n"
                 "    minimise y\n"
                 "  }\n"
                 "  source \"s\" { for i in 0..2 { load \"a.{i}\" = none; load \"*\" = \"b.*\" } }\n"
                 "}\n");
    static const AstItemKind in_task[] = {AST_CHILD, AST_OPTIMIZER, AST_NO_DECAY, AST_ENTRY, AST_SOURCE};
    static const AstItemKind in_entry[] = {AST_DATA, AST_PROBABILITY, AST_ADVANCES, AST_DIM,     AST_ASSIGN,
                                           AST_DRAW, AST_IF,          AST_LOOP,     AST_MINIMISE};
    const AstItem *item = file->items.first->items.first;
    for (size_t i = 0; i < sizeof in_task / sizeof *in_task; i++, item = item->next) {
        assert_int_equal(item->kind, in_task[i]);
    }
    assert_null(item);
    const AstItem *optimizer = file->items.first->items.first->next;
    assert_true(optimizer->items.last->is_group);
    assert_string_equal(optimizer->items.last->items.first->name.text, "beta");
    item = optimizer->next->next->items.first;
    for (size_t i = 0; i < sizeof in_entry / sizeof *in_entry; i++, item = item->next) {
        assert_int_equal(item->kind, in_entry[i]);
        if (item->kind == AST_ASSIGN) {
            assert_string_equal(item->name.text, "a");
            assert_string_equal(item->names->next->value->text, "b");
        } else if (item->kind == AST_IF) {
            assert_int_equal(item->otherwise.first->kind, AST_IF);
            assert_int_equal(item->otherwise.first->otherwise.first->kind, AST_OUTPUT);
        } else if (item->kind == AST_LOOP) {
            assert_int_equal(item->items.first->value->kind, AST_TUPLE);
            assert_non_null(item->end);
        }
    }
    assert_null(item);
}

static void test_precedence(void **state)
{
    static const char *const same[][2] = {
        {"a + b * c", "a + (b * c)"},
        {"a - b - c", "(a - b) - c"},
        {"-a ** b", "-(a ** b)"},
        {"a ** -b", "a ** (-b)"},
        {"a ** b ** c", "a ** (b ** c)"},
        {"-a * b", "(-a) * b"},
        {"a * -b * c", "(a * (-b)) * c"},
        {"not a == b", "not (a == b)"},
        {"a or b and not c", "a or (b and (not c))"},
        {"a @ b.T / c", "(a @ (b.T)) / c"},
        {"a if b else c if d else e", "a if b else (c if d else e)"},
        {"a or b if c or d else e", "(a or b) if (c or d) else e"},
        {"a // b % c", "(a // b) % c"},
        {"a < b + c", "a < (b + c)"},
    };
    Session *session = *state;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        AstFile *plain = session_parsed(session, arena_format(session->arena, "let x = %s\n", same[i][0]));
        AstFile *full = session_parsed(session, arena_format(session->arena, "let x = %s\n", same[i][1]));
        assert_true(ast_same(&plain->items, &full->items));
        assert_string_equal(expr_text(session->arena, full->items.first->value), same[i][0]);
    }
}

static void test_parentheses_kept(void **state)
{
    static const char *const needed[] = {
        "(a + b) * c",
        "a - (b - c)",
        "(-a) ** b",
        "(a ** b) ** c",
        "-(a + b)",
        "not (a and b)",
        "(not a) == b",
        "a == (not b)",
        "(a if b else c) + d",
        "(a if b else c) if d else e",
        "(a + b).T",
        "f((a, b))",
        "(a,)",
        "a / (b * c)",
        "(a < b) == c",
        "[(a, b) for i in 0..n + 1]",
        "x[(a, b)]",
        "(-a).b",
    };
    Session *session = *state;
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        assert_string_equal(expr_text(session->arena, value_of(session, needed[i])), needed[i]);
    }
}

static void test_subscripts(void **state)
{
    Session *session = *state;
    const char *text = "x[1, :, 2:, :3, 4:5, ::6, 7::8, :9:1, 2:3:4, ..., none, i]";
    const AstExpr *expr = value_of(session, text);
    static const AstSubscriptKind kinds[] = {AST_AT,    AST_SLICE,    AST_SLICE,    AST_SLICE,
                                             AST_SLICE, AST_SLICE,    AST_SLICE,    AST_SLICE,
                                             AST_SLICE, AST_ELLIPSIS, AST_NEW_AXIS, AST_AT};
    const AstArg *arg = expr->args;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++, arg = arg->next) {
        assert_int_equal(arg->subscript, kinds[i]);
    }
    assert_null(arg);
    assert_string_equal(expr_text(session->arena, expr), text);
}

static void test_literals(void **state)
{
    Session *session = *state;
    assert_int_equal(value_of(session, "9223372036854775807")->integer, INT64_MAX);
    assert_true(value_of(session, "1e-4")->number == 1e-4);
    assert_true(value_of(session, "0.125")->number == 0.125);
    assert_true(value_of(session, "2.5E+3")->number == 2500);
    const AstExpr *text = value_of(session, "\"a\\\"b\\\\c\\nd\\te \xC3\xA9\"");
    assert_string_equal(text->text, "a\"b\\c\nd\te \xC3\xA9");
    assert_string_equal(expr_text(session->arena, text), "\"a\\\"b\\\\c\\nd\\te \xC3\xA9\"");
    const AstExpr *range = value_of(session, "[i for i in 0..n]");
    assert_int_equal(range->b->integer, 0);
    assert_string_equal(range->c->text, "n");
}

// Words and newlines ----------------------------------------------------------------------------------------

static void test_words_as_names(void **state)
{
    Session *session = *state;
    const AstFile *file =
        session_parsed(session, "config config { output = 1, dim = 2\n data = 3\n set { init = 4 }\n }\n"
                                "set optimizer.lr = config.as\n"
                                "module M(config, task, loss) {\n"
                                "  output: O(config.param, init, entry = 3)\n"
                                "  self: S(data)\n"
                                "  for: F(1)\n"
                                "  buffer: B(2) init\n"
                                "  buffer buffer: int[dim]\n"
                                "  param param as \"as\": [dim] fresh init zeros no_decay init normal(0, 1)\n"
                                "  fn output(as, draw) {\n"
                                "    dim = output(as) + self.if\n"
                                "    output(draw)\n"
                                "    metric, minimise = dim, as\n"
                                "    minimise = metric.import\n"
                                "    return no_decay[0]\n"
                                "  }\n"
                                "}\n");
    const AstItem *member = file->items.last->items.first;
    static const char *const names[] = {"output", "self", "for", "buffer", "buffer", "param", "output"};
    static const AstItemKind kinds[] = {AST_CHILD,  AST_CHILD,     AST_CHILD,   AST_CHILD,
                                        AST_BUFFER, AST_PARAMETER, AST_FUNCTION};
    const AstItem *parameter = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++, member = member->next) {
        assert_string_equal(member->name.text, names[i]);
        assert_int_equal(member->kind, kinds[i]);
        parameter = member->kind == AST_PARAMETER ? member : parameter;
    }
    const AstAttribute *attribute = parameter->attributes;
    assert_string_equal(attribute->name.text, "fresh");
    assert_string_equal(attribute->next->value->text, "zeros");
    assert_string_equal(attribute->next->next->name.text, "no_decay");
    assert_int_equal(attribute->next->next->next->value->kind, AST_CALL);
    static const AstItemKind statements[] = {AST_ASSIGN, AST_EXPRESSION, AST_ASSIGN, AST_ASSIGN, AST_RETURN};
    const AstItem *statement = file->items.last->items.last->items.first;
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++, statement = statement->next) {
        assert_int_equal(statement->kind, statements[i]);
    }
}

static void test_newlines(void **state)
{
    Session *session = *state;
    AstFile *compact = session_parsed(
        session, "fn f(a, b) { x = a + b * g(a, b); if x { y = [1, 2] } else { y = 3 }; return x, y }\n");
    AstFile *spread = session_parsed(
        session, "\r\n;;fn f(\n a,\n\n b\n)\t{\r\n\n  x = a +\n  # on\n\n b *\n g(a,\n b\n ) ;;\n"
                 "  if x {\n y = [1\n,2\n] # c\n }\n\n # d\n  else {\n y = 3 }\n\n\n return x,\n y\n\n}");
    assert_true(ast_same(&compact->items, &spread->items));
    AstFile *two = session_parsed(session, "fn f(a) {\n a\n -a\n}\n");
    assert_int_equal(two->items.first->items.first->kind, AST_EXPRESSION);
    assert_int_equal(two->items.first->items.last->value->kind, AST_UNARY);
}

// Errors ----------------------------------------------------------------------------------------------------

static void test_messages(void **state)
{
    (void)state;
    glob_t files;
    assert_int_equal(glob("tests/errors/syntax-*.dsl", 0, NULL, &files), 0);
    assert_true(files.gl_pathc >= 30);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        void *inner;
        session_set_up(&inner);
        Session *session = inner;
        const char *path = files.gl_pathv[i];
        assert_null(load_files(&session->context, path));
        diag_finish(&session->diag);
        const Source *expected = source_read(
            session->arena, arena_format(session->arena, "%.*s.err", (int)(strlen(path) - 4), path));
        assert_non_null(expected);
        assert_string_equal(session_messages(session), expected->text);
        session_tear_down(&inner);
    }
    globfree(&files);
}

static void test_recovery(void **state)
{
    Session *session = *state;
    // One message per broken statement, none for what its blocks contain, and the good ones are understood.
    AstFile *file =
        parse_source(&session->context, session_source(session, "let a = \n"
                                                                "let good = 1\n"
                                                                "module M(a b) { x: = 3\n fn (y) { ) } }\n"
                                                                "fn f(x) { x = = 1; y = 2; z = ) }\n"));
    assert_int_equal(session->diag.n_errors, 4);
    assert_string_equal(file->items.first->name.text, "good");
    const AstItem *function = file->items.first->next;
    assert_string_equal(function->name.text, "f");
    assert_string_equal(function->items.first->name.text, "y");
    assert_null(function->items.first->next);
    assert_null(function->next);
}

// `n` times `text` with `before` in front.
static const char *repeated(Session *session, const char *before, const char *text, size_t n)
{
    size_t length = strlen(text);
    char *all = arena_alloc(session->arena, strlen(before) + n * length + 1);
    strcpy(all, before);
    char *end = all + strlen(before);
    for (size_t i = 0; i < n; i++, end += length) {
        memcpy(end, text, length);
    }
    return all;
}

static void test_depth(void **state)
{
    static const char *const texts[][2] = {
        {"let a = ", "("},
        {"let a = ", "["},
        {"let a = ", "f("},
        {"let a = ", "-"},
        {"let a = ", "not "},
        {"let a = 1", " + 1"},
        {"let a = 1", " ** 2"},
        {"let a = b", ".b"},
        {"let a = b", "[1]"},
        {"let a = b", "(1)"},
        {"let a = 1", " if 1 else 1"},
        {"fn f(x) {", "if x {"},
        {"fn f(x) {", "for i in x {"},
        {"fn f(x) { if x { }", " else if x { }"},
        {"", "module A() {"},
        {"config a {", "b {"},
        {"fn f(x: ", "("},
        {"", "{"},
        {"let a = ", "[1 for i in "},
    };
    Session *session = *state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        int before = session->diag.n_errors;
        parse_source(&session->context,
                     session_source(session, repeated(session, texts[i][0], texts[i][1], 100000)));
        assert_in_range(session->diag.n_errors - before, 1, 2);
    }
}

static void test_length(void **state)
{
    Session *session = *state;
    const AstFile *file = session_parsed(
        session, arena_format(session->arena, "%s]\n", repeated(session, "let a = [1", ", 2", 100000)));
    int n_elements = 0;
    for (const AstArg *arg = file->items.first->value->args; arg; arg = arg->next) {
        n_elements++;
    }
    assert_int_equal(n_elements, 100001);
    file = session_parsed(session, repeated(session, "", "let a = 1\n", 100000));
    assert_int_equal(file->items.depth, 1);
    const char *printed = session_formatted(
        session, session_source(session, repeated(session, "let a = 1\n", "let b = [2, 3]  # c\n", 10000)));
    assert_int_equal(strlen(printed), 10 + 10000 * 20);
}

static void test_strange_bytes(void **state)
{
    Session *session = *state;
    Source source = {"test.dsl", "let a = \"x\0y\"\n# \0\nlet b = 1\n", 28};
    parse_source(&session->context, &source);
    assert_int_equal(session->diag.n_errors, 1);
    assert_non_null(strstr(session_messages(session), "test.dsl:1:11: error: zero byte"));
    assert_non_null(
        strstr(errors_of(session, "let a = \"\xED\xA0\x80\"\n"), "this is not UTF-8 (byte 0xED)"));
}

// Files -----------------------------------------------------------------------------------------------------

static void test_imports(void **state)
{
    Session *session = *state;
    const AstFile *file = load_files(&session->context, "./tests/data/imports/../imports/main.dsl");
    static const char *const order[] = {"tests/data/imports/leaf.dsl", "tests/data/imports/cycle.dsl",
                                        "tests/data/imports/deeper/branch.dsl",
                                        "tests/data/imports/main.dsl"};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++, file = file->next) {
        assert_non_null(file);
        assert_string_equal(file->source->name, order[i]);
    }
    assert_null(file);
    assert_string_equal(session_messages(session), "");
    assert_null(load_files(&session->context, "tests/data/imports/absent.dsl"));
    assert_string_equal(session_messages(session),
                        "error: cannot read 'tests/data/imports/absent.dsl': No such file or directory\n");
}

static void test_paths(void **state)
{
    static const char *const paths[][2] = {
        {"a/../b.dsl", "b.dsl"}, {"./a/./b", "a/b"}, {"../a", "../a"},
        {"a/../../b", "../b"},   {"/a/../b", "/b"},  {"a/b/../../c", "c"},
        {"/../a", "/../a"},      {"a", "a"},         {"", ""},
    };
    Session *session = *state;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        assert_string_equal(path_normalised(session->arena, paths[i][0]), paths[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SESSION_TEST(test_spans),          SESSION_TEST(test_items),
        SESSION_TEST(test_precedence),     SESSION_TEST(test_parentheses_kept),
        SESSION_TEST(test_subscripts),     SESSION_TEST(test_literals),
        SESSION_TEST(test_words_as_names), SESSION_TEST(test_newlines),
        SESSION_TEST(test_messages),       SESSION_TEST(test_recovery),
        SESSION_TEST(test_depth),          SESSION_TEST(test_length),
        SESSION_TEST(test_strange_bytes),  SESSION_TEST(test_imports),
        SESSION_TEST(test_paths),
    };
    return cmocka_run_group_tests_name("dsl", tests, NULL, NULL);
}
