// libFuzzer target over lexer, parser and elaborator: whatever the text says, checking it ends with a verdict and
// without a crash. The text stands alone (imports of other files fail and are reported).
#include "compiler/elaborate.h"
#include "dsl/parse.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const ParseContext *context, const AstFile *file)
{
    Sym names[8];
    int n_names = elaborate_task_names(file, names, 8);
    ElaborateOptions options = {.model = "fuzz"};
    for (int i = 0; i < (n_names ? n_names : 1) && context->diag->n_errors == 0; i++) {
        options.task = n_names ? names[i] : NULL;
        elaborate(context->arena, context->names, context->diag, file, &options);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Arena *arena = arena_new();
    FILE *nowhere = fopen("/dev/null", "w");
    Diag diag = {.stream = nowhere};
    ParseContext context = {arena, interner_new(arena), &diag};
    Source source = {"fuzz.dsl", arena_copy(arena, (const char *)data, size), size};
    AstFile *file = parse_source(&context, &source);
    if (diag.n_errors == 0) {
        check(&context, file);
    }
    diag_finish(&diag);
    fclose(nowhere);
    arena_free(arena);
    return 0;
}
