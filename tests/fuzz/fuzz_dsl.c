// libFuzzer target: any bytes go through lexer, parser and formatter without a crash; what the formatter
// prints parses to the same tree with the same comments, and formatting it again changes nothing.
//
//     make fuzz    or    clang -fsanitize=fuzzer,address,undefined ... tests/fuzz/fuzz_dsl.c
#include "dsl/parse.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool formatted(const ParseContext *context, const Source *source, Out *out)
{
    return format_source(context, source, out) && context->diag->n_errors == 0;
}

static bool same_comments(const AstComment *a, const AstComment *b)
{
    for (; a && b; a = a->next, b = b->next) {
        size_t length = a->span.end - a->span.begin;
        if (b->span.end - b->span.begin != length ||
            memcmp(a->span.source->text + a->span.begin, b->span.source->text + b->span.begin, length) != 0) {
            return false;
        }
    }
    return !a && !b;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FILE *sink = fopen("/dev/null", "w");
    XV_ASSERT(sink);
    Arena *arena = arena_new();
    Diag diag = {.stream = sink};
    ParseContext context = {arena, interner_new(arena), &diag};
    Source source = {"input", arena_copy(arena, (const char *)data, size), size};
    Out *once = out_new(arena);
    if (formatted(&context, &source, once)) {
        Source printed = {"printed", out_text(once), strlen(out_text(once))};
        Out *twice = out_new(arena);
        XV_ASSERT(formatted(&context, &printed, twice));
        XV_ASSERT(strcmp(out_text(once), out_text(twice)) == 0);
        const AstFile *file = parse_source(&context, &source);
        const AstFile *again = parse_source(&context, &printed);
        XV_ASSERT(ast_same(&file->items, &again->items));
        XV_ASSERT(same_comments(file->comments, again->comments));
    }
    diag_finish(&diag);
    fclose(sink);
    arena_free(arena);
    return 0;
}
