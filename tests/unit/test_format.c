// The formatter: canonical text of every form, line breaks, comments. What it prints means the same and stays
// as it is.
#include "tests/unit/dsl_session.h"

#include <glob.h>
#include <string.h>

// Formats to `expected`, which means the same and stays as it is.
static void check_format(Session *session, const char *text, const char *expected)
{
    const Source *source = session_source(session, text);
    assert_string_equal(session_formatted(session, source), expected);
    const Source *printed = session_source(session, expected);
    assert_string_equal(session_formatted(session, printed), expected);
    assert_true(ast_same(&parse_source(&session->context, source)->items,
                         &parse_source(&session->context, printed)->items));
}

static void test_format_items(void **state)
{
    Session *session = *state;
    check_format(
        session,
        "import   \"a.dsl\"\nconfig a=1;config g{b=2,c{d=[1,2,],}}\nset g.b=3\n"
        "module M( a,b=2 ,){param w as \"x\":[a,b]init normal( 0,1 )fresh clamp(0,1)\nbuffer i:int[a]\n"
        "l[a]:N(b)fresh;alias \"q\"=w\nif a{k:N(1)}else if b{}else{k:N(2)}\nfor i in 0..a{assert i,\"m\"}\n"
        "fn(x:bool[...],y=none)->([a],[]){(p,q)=x\nreturn(p,q)\n}}\n"
        "loss l(){return}\n",
        "import \"a.dsl\"\n"
        "config a = 1\n"
        "config g {\n"
        "    b = 2\n"
        "    c {\n"
        "        d = [1, 2]\n"
        "    }\n"
        "}\n"
        "set g.b = 3\n"
        "module M(a, b = 2) {\n"
        "    param w as \"x\": [a, b] init normal(0, 1) fresh clamp(0, 1)\n"
        "    buffer i: int[a]\n"
        "    l[a]: N(b) fresh\n"
        "    alias \"q\" = w\n"
        "    if a {\n"
        "        k: N(1)\n"
        "    } else if b {} else {\n"
        "        k: N(2)\n"
        "    }\n"
        "    for i in 0..a {\n"
        "        assert i, \"m\"\n"
        "    }\n"
        "    fn (x: bool[...], y = none) -> ([a], []) {\n"
        "        p, q = x\n"
        "        return p, q\n"
        "    }\n"
        "}\n"
        "loss l() {\n"
        "    return\n"
        "}\n");
}

static void test_format_breaks(void **state)
{
    Session *session = *state;
    check_format(session,
                 "fn f(x) {\n"
                 "    return reshape(permute(reshape(x, [B, n, window, n, window, C]), [0, 1, 3, 2, 4, 5]), "
                 "[B * n * n, window * window, C])\n"
                 "    scores = scores_of_this_layer + "
                 "permute(relative_position_bias_table[relative_index(window)], [2, 0, 1])\n"
                 "    y = first_rather_long_value_of_the_two if some_condition_holds else "
                 "second_rather_long_value_of_the_two\n"
                 "    z = [config.drop_path_rate * (sum(depths[:i]) + j) / max(number_of_blocks - 1, 1) for "
                 "j in 0..depths[i]]\n"
                 "}\n",
                 "fn f(x) {\n"
                 "    return reshape(\n"
                 "        permute(reshape(x, [B, n, window, n, window, C]), [0, 1, 3, 2, 4, 5]),\n"
                 "        [B * n * n, window * window, C])\n"
                 "    scores = scores_of_this_layer +\n"
                 "        permute(relative_position_bias_table[relative_index(window)], [2, 0, 1])\n"
                 "    y = first_rather_long_value_of_the_two if some_condition_holds\n"
                 "        else second_rather_long_value_of_the_two\n"
                 "    z = [\n"
                 "        config.drop_path_rate * (sum(depths[:i]) + j) / max(number_of_blocks - 1, 1)\n"
                 "        for j in 0..depths[i]]\n"
                 "}\n");
    check_format(
        session,
        "fn rather_long_name_of_a_function(first: [B, N, width], second: int[B, N], third: bool[B], last = "
        "1.5) -> ([B], [B]) {}\n",
        "fn rather_long_name_of_a_function(\n"
        "    first: [B, N, width], second: int[B, N], third: bool[B], last = 1.5) -> ([B], [B]) {}\n");
}

static void test_format_width(void **state)
{
    Session *session = *state;
    // 100 columns fit, 101 do not; letters outside ASCII count once.
    const char *fits =
        "let name = f(\"\xC3\xA9\xC3\xA9"
        "4567890123456789012345678901234567890123456789012345678901234567890\", 345678, 12345)\n";
    assert_int_equal(strlen(fits), 100 + 1 + 2);
    check_format(session, fits, fits);
    check_format(session,
                 "let names = f(\"\xC3\xA9\xC3\xA9"
                 "4567890123456789012345678901234567890123456789012345678901234567890\", 345678, 12345)\n",
                 "let names = f(\n    \"\xC3\xA9\xC3\xA9"
                 "4567890123456789012345678901234567890123456789012345678901234567890\", 345678, 12345)\n");
}

static void test_format_comments(void **state)
{
    Session *session = *state;
    check_format(session,
                 "# head\n\n\n# next\nlet a = 1# same line\n\n\n\n  # own line\nmodule M(a, # first\n  b) { "
                 "# behind brace\n\n"
                 "  # in front\n  x: N(a) # member\n  # last\n\n}   # behind\n#end",
                 "# head\n"
                 "\n"
                 "# next\n"
                 "let a = 1  # same line\n"
                 "\n"
                 "# own line\n"
                 "module M(\n"
                 "    a,  # first\n"
                 "    b) {  # behind brace\n"
                 "    # in front\n"
                 "    x: N(a)  # member\n"
                 "    # last\n"
                 "}  # behind\n"
                 "#end\n");
    check_format(session,
                 "fn f(x) {\n  y = x + # one\n    # two\n    g(x, # three\n      # four\n      x # five\n    "
                 ") # six\n}\n",
                 "fn f(x) {\n"
                 "    y = x + g(  # one\n"
                 "        # two\n"
                 "        x,  # three\n"
                 "        # four\n"
                 "        x  # five\n"
                 "    )  # six\n"
                 "}\n");
    check_format(session, "fn f(x) {\n  if x { # a\n    # b\n  }\n  # c\n  else { # d\n  y = 1 }\n}\n",
                 "fn f(x) {\n"
                 "    if x {  # a\n"
                 "        # b\n"
                 "    } else {  # c\n"
                 "        # d\n"
                 "        y = 1\n"
                 "    }\n"
                 "}\n");
    check_format(session, "config g { # a\n  # b\n}\n", "config g {  # a\n    # b\n}\n");
}

static void test_shipped_files(void **state)
{
    Session *session = *state;
    glob_t files;
    assert_int_equal(glob("models/*.dsl", 0, NULL, &files), 0);
    assert_int_equal(glob("tasks/*.dsl", GLOB_APPEND, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        const Source *source = source_read(session->arena, files.gl_pathv[i]);
        assert_non_null(source);
        const Source *printed = session_source(session, session_formatted(session, source));
        assert_string_equal(session_formatted(session, printed), printed->text);
        assert_true(ast_same(&parse_source(&session->context, source)->items,
                             &parse_source(&session->context, printed)->items));
    }
    assert_true(files.gl_pathc >= 8);
    globfree(&files);
}

static void test_empty_texts(void **state)
{
    static const char *const texts[] = {"", "\n\n", "# only a comment", ";", "\xEF\xBB\xBF\n"};
    Session *session = *state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_null(session_parsed(session, texts[i])->items.first);
    }
    check_format(session, "\n\n# a  \n\n\n", "# a\n");
    check_format(session, "\xEF\xBB\xBFlet a = 1", "let a = 1\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SESSION_TEST(test_format_items),    SESSION_TEST(test_format_breaks), SESSION_TEST(test_format_width),
        SESSION_TEST(test_format_comments), SESSION_TEST(test_shipped_files), SESSION_TEST(test_empty_texts),
    };
    return cmocka_run_group_tests_name("format", tests, NULL, NULL);
}
