// Pickles: values in all protocols, what Python 2 writes, and refusals of everything else.
#include "runtime/checkpoint/pickle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

// The same values in protocols 0 to 5, as Python 3.11 writes them.
static void test_protocols(void **state)
{
    (void)state;
    static const char EXPECTED[] =
        "{\"ref_id\": 7, \"sents\": [{\"sent\": \"a d\xc3\xb6g \xe2\x82\xac\", \"tokens\": [\"a\", \"d\xc3\xb6g\"], "
        "\"ids\": [1, -2, 300, 70000, -1099511627776, 9223372036854775807]}], \"wide\": %s, "
        "\"flags\": [true, false, null], \"real\": 0.1, \"set\": [1], \"frozen\": [2], "
        "\"bytes\": \"\\u0000\\u00ff\\u00e9a\", \"ordered\": {\"k\": 1}, "
        "\"df\": {\"[\\\"a\\\", \\\"dog\\\"]\": 3.0, \"[\\\"a\\\"]\": 5.0}, \"inf\": \"inf\"}";
    for (int protocol = 0; protocol <= 5; protocol++) {
        char path[64], expected[1024];
        snprintf(path, sizeof path, "tests/data/checkpoint/values.p%d", protocol);
        snprintf(expected, sizeof expected, EXPECTED,
                 protocol <= 1 ? "\"119547037146038801333356\"" : "\"0x1950a86a20f9469cfc6c\"");
        XvPickleTree tree;
        XvError error = {{0}};
        if (!xv_pickle_open(&tree, path, &error)) {
            fail_msg("%s", error.text);
        }
        char *json = xv_pickle_json(tree.root);
        assert_string_equal(json, expected);
        free(json);
        xv_pickle_free(&tree);
    }
}

typedef struct Piece {
    const char *bytes;
    size_t length;
    const char *expected;  // JSON, or a part of the message
} Piece;

#define PIECE(bytes, expected)            \
    {                                     \
        bytes, sizeof bytes - 1, expected \
    }

static void test_values(void **state)
{
    (void)state;
    static const Piece PIECES[] = {
        PIECE("I01\n.", "true"),
        PIECE("I-17\n.", "-17"),
        PIECE("L123L\n.", "123"),
        PIECE("F0.5\n.", "0.5"),
        PIECE("S'it\\'s \\x41\\n'\np0\n.", "\"it's A\\u000a\""),
        PIECE("(dp0\nS'split'\np1\nS'testA'\np2\ns.", "{\"split\": \"testA\"}"),
        PIECE("Vd\\u00f6g \\U0001F600\n.", "\"d\xc3\xb6g \xf0\x9f\x98\x80\""),
        PIECE("(lp0\nI1\naI2\na.", "[1, 2]"),
        PIECE("(I1\nI2\ntp0\n0g0\n.", "[1, 2]"),
        PIECE("\x80\x02}q\x00U\x03keyq\x01M\x2c\x01s.", "{\"key\": 300}"),
        PIECE("\x80\x02G\x3f\xf0\x00\x00\x00\x00\x00\x00.", "1.0"),
        PIECE("\x80\x02\x8a\x00.", "0"),
        PIECE("\x80\x02]q\x00(K\x01K\x02"
              "e.",
              "[1, 2]"),
        // What Python 2 writes for defaultdict(float, {('a', 'b'): 2.0}).
        PIECE("ccollections\ndefaultdict\np0\n(c__builtin__\nfloat\np1\ntRp2\n(S'a'\nS'b'\ntF2.0\ns.",
              "{\"[\\\"a\\\", \\\"b\\\"]\": 2.0}"),
        PIECE("ccollections\nOrderedDict\n((lp0\n(lp1\nS'a'\naI1\naatR.", "{\"a\": 1}"),
        PIECE("c__builtin__\nset\n((lI3\natR.", "[3]"),
        PIECE(
            "cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'f8'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"
            "S'\\x00\\x00\\x00\\x00\\x00\\x00\\xf8\\x3f'\ntR.",
            "1.5"),
        PIECE(
            "cnumpy._core.multiarray\nscalar\n(cnumpy\ndtype\n(S'i4'\nI0\nI1\ntRS'\\xfe\\xff\\xff\\xff'\ntR.",
            "-2"),
        PIECE("cnumpy\ncore\n.", NULL),
        PIECE("c_codecs\nencode\n(V\\u00e9a\nVlatin1\ntR.", "\"\\u00e9a\""),
        PIECE("}(S'a'\nI1\nS'a'\nI2\nu.", "{\"a\": 2}"),
        PIECE("}(I1\nN(I1\ntNu.", "{\"1\": null, \"[1]\": null}"),
        PIECE("(I1\n0I2\n.", "2"),
        PIECE("(d.", "{}"),
    };
    for (size_t i = 0; i < sizeof PIECES / sizeof *PIECES; i++) {
        XvPickleTree tree;
        XvError error = {{0}};
        bool is_read = xv_pickle_read(&tree, PIECES[i].bytes, PIECES[i].length, XV_PICKLE_DATA, &error);
        assert_int_equal(is_read, PIECES[i].expected != NULL);
        if (!is_read) {
            continue;
        }
        assert_int_equal(tree.end, PIECES[i].length);
        char *json = xv_pickle_json(tree.root);
        assert_string_equal(json, PIECES[i].expected);
        free(json);
        xv_pickle_free(&tree);
    }
}

static void test_lookups(void **state)
{
    (void)state;
    static const char BYTES[] =
        "\x80\x02}(X\x01\x00\x00\x00xK\x05U\x01yG\x40\x04\x00\x00\x00\x00\x00\x00U\x01z\x88U\x01tU\x02hiu.";
    XvPickleTree tree;
    XvError error = {{0}};
    assert_true(xv_pickle_read(&tree, BYTES, sizeof BYTES - 1, XV_PICKLE_DATA, &error));
    int64_t integer = 0;
    double real = 0;
    assert_true(xv_pickle_integer(xv_pickle_get(tree.root, "x"), &integer) && integer == 5);
    assert_true(xv_pickle_real(xv_pickle_get(tree.root, "x"), &real) && real > 4.9 && real < 5.1);
    assert_true(xv_pickle_real(xv_pickle_get(tree.root, "y"), &real) && real > 2.4 && real < 2.6);
    assert_false(xv_pickle_integer(xv_pickle_get(tree.root, "y"), &integer));
    assert_true(xv_pickle_integer(xv_pickle_get(tree.root, "z"), &integer) && integer == 1);
    assert_true(xv_pickle_is(xv_pickle_get(tree.root, "t"), "hi"));
    assert_null(xv_pickle_get(tree.root, "missing"));
    assert_null(xv_pickle_get(xv_pickle_get(tree.root, "x"), "x"));
    assert_null(xv_pickle_text(xv_pickle_get(tree.root, "x")));
    xv_pickle_free(&tree);
}

static void test_refusals(void **state)
{
    (void)state;
    static const Piece PIECES[] = {
        PIECE("", "byte 0"),
        PIECE("\x80\x06N.", "protocol 6"),
        PIECE("cposix\nsystem\n(S'true'\ntR.", "byte 0 of the pickle: asks for posix.system"),
        PIECE("\x80\x04\x8c\x05posix\x8c\x06system\x93.", "byte 17 of the pickle: asks for posix.system"),
        PIECE("(S'true'\nios\nsystem\n.", "builds an object of os.system"),
        PIECE("(cos\nsystem\nS'true'\no.", "asks for os.system"),
        PIECE("c__builtin__\neval\n(S'1'\ntR.", "asks for __builtin__.eval"),
        PIECE("ccollections\nOrderedDict.__init__.__globals__\n.",
              "asks for collections.OrderedDict.__init__"),
        PIECE("c__builtin__\nfloat\n(S'1'\ntR.", "calls builtins.float"),
        PIECE("c__builtin__\nfloat\n.", "a class where a value is expected"),
        PIECE("N)R.", "calls what cannot be called"),
        PIECE("ctorch\nFloatStorage\n.", "asks for torch.FloatStorage"),
        PIECE("Psomething\n.", "operation 0x50"),
        PIECE("\x82\x01.", "operation 0x82"),
        PIECE("NQ.", "a tensor in a file of records"),
        PIECE("].", NULL),
        PIECE("]]e.", "no mark"),
        PIECE("]q\x00h\x00"
              "a.",
              "contains itself"),
        PIECE("a.", "stack is too short"),
        PIECE("(].", NULL),
        PIECE("](a.", "stack is too short"),
        PIECE("N(S'a'\nu.", "without a dict"),
        PIECE("}(S'a'\nu.", "a key without a value"),
        PIECE("h\x05.", "was never stored"),
        PIECE("Nr\xff\xff\xff\x7f.", "memo entry 2147483647"),
        PIECE("X\xff\xff\xff\xff"
              "abc",
              "are announced"),
        PIECE("\x8e\xff\xff\xff\xff\xff\xff\xff\xff"
              "abc",
              "are announced"),
        PIECE("\x8b\xff\xff\xff\xff"
              "abc",
              "are announced"),
        PIECE("I12", "a line without an end"),
        PIECE("I12x\n.", "not an integer"),
        PIECE("S'abc\n.", "without quotes"),
        PIECE("S'\\q'\n.", "unknown escape"),
        PIECE("\xfe", "no operation"),
        PIECE("N", "ends before its STOP"),
        PIECE("Nb.", "stack is too short"),
        PIECE("NNb.", "sets attributes of None"),
        PIECE("cnumpy\ndtype\n(S'O8'\ntR.", "numpy.dtype"),
    };
    for (size_t i = 0; i < sizeof PIECES / sizeof *PIECES; i++) {
        XvPickleTree tree;
        XvError error = {{0}};
        bool is_read = xv_pickle_read(&tree, PIECES[i].bytes, PIECES[i].length, XV_PICKLE_DATA, &error);
        if (is_read != !PIECES[i].expected || (!is_read && !strstr(error.text, PIECES[i].expected))) {
            fail_msg("piece %zu: \"%s\", expected \"%s\"", i, error.text,
                     PIECES[i].expected ? PIECES[i].expected : "");
        }
        xv_pickle_free(&tree);
    }
}

// Every cut of a pickle is refused, and no cut crashes.
static void test_cuts(void **state)
{
    (void)state;
    static char bytes[1024];
    FILE *file = fopen("tests/data/checkpoint/values.p2", "rb");
    assert_non_null(file);
    size_t length = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    for (size_t cut = 0; cut < length; cut++) {
        char *copy = malloc(cut + 1);
        memcpy(copy, bytes, cut);
        XvPickleTree tree;
        XvError error = {{0}};
        assert_false(xv_pickle_read(&tree, copy, cut, XV_PICKLE_DATA, &error));
        free(copy);
    }
}

// Ten levels of ten references each: a small file that would be ten thousand million values.
static void test_bombs(void **state)
{
    (void)state;
    char bytes[4096];
    size_t length = 0;
    length += (size_t)sprintf(bytes, "]q%c", 1);
    for (char level = 2; level < 14; level++) {
        length += (size_t)sprintf(bytes + length, "](");
        for (int i = 0; i < 10; i++) {
            length += (size_t)sprintf(bytes + length, "h%c", level - 1);
        }
        length += (size_t)sprintf(bytes + length, "eq%c", level);
    }
    bytes[length++] = '.';
    XvPickleTree tree;
    XvError error = {{0}};
    assert_false(xv_pickle_read(&tree, bytes, length, XV_PICKLE_DATA, &error));
    assert_non_null(strstr(error.text, "repeats its values"));
    // Nesting, which would be a deep recursion of whoever walks the tree.
    memset(bytes, ')', 1);
    memset(bytes + 1, '\x85', 1000);
    bytes[1001] = '.';
    assert_false(xv_pickle_read(&tree, bytes, 1002, XV_PICKLE_DATA, &error));
    assert_non_null(strstr(error.text, "nested deeper"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_protocols), cmocka_unit_test(test_values), cmocka_unit_test(test_lookups),
        cmocka_unit_test(test_refusals),  cmocka_unit_test(test_cuts),   cmocka_unit_test(test_bombs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
