// Buffers of a module: entries of official state dicts that the program computes itself. Nothing reads them; they are
// declared for the names, and with `init` for the values that are written where PyTorch is to read them.
#include "compiler/base/vec.h"
#include "compiler/elab.h"

#include <string.h>

static bool is_square(int64_t n)
{
    int64_t root = 0;
    while (root * root < n) {
        root++;
    }
    return root * root == n;
}

// Whether the values that `fill` stands for have this shape; see XvBufferFill in runtime/program.h.
static bool fits(BufferFill fill, const Buffer *buffer)
{
    const Shape *shape = &buffer->shape;
    switch (fill) {
    case FILL_POSITIONS: return buffer->dtype == DTYPE_I32 && shape->rank == 2 && shape->dim[0] == 1;
    case FILL_WINDOW_INDEX:
        return buffer->dtype == DTYPE_I32 && shape->rank == 2 && shape->dim[0] == shape->dim[1] &&
               is_square(shape->dim[0]);
    case FILL_SHIFT_MASK:
        return buffer->dtype == DTYPE_F32 && shape->rank == 3 && is_square(shape->dim[0]) &&
               shape->dim[1] == shape->dim[2] && is_square(shape->dim[1]);
    default: return true;
    }
}

static void read_fill(Elab *elab, const AstAttribute *attribute, Buffer *buffer)
{
    static const struct {
        const char *name, *form;
        BufferFill fill;
    } kinds[] = {{"positions", "int[1, n]", FILL_POSITIONS},
                 {"window_index", "int[w * w, w * w]", FILL_WINDOW_INDEX},
                 {"shift_mask", "[m * m, w * w, w * w]", FILL_SHIFT_MASK}};
    const AstExpr *value = attribute->value;
    bool is_init = strcmp(attribute->name.text, "init") == 0;
    for (size_t i = 0; is_init && value && value->kind == AST_NAME && i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].name, value->text) == 0) {
            buffer->fill = kinds[i].fill;
            if (!fits(buffer->fill, buffer)) {
                diag_error(elab->diag, value->span, "%s fill a buffer %s, this one has shape %s",
                           kinds[i].name, kinds[i].form, shape_text(elab->arena, &buffer->shape));
            }
            return;
        }
    }
    diag_error(elab->diag, value && is_init ? value->span : attribute->name.span,
               is_init ? "expected positions, window_index or shift_mask" : "a buffer knows init, not '%s'",
               attribute->name.text);
}

void elab_buffer(Elab *elab, Scope *scope, const AstItem *item, Sym name)
{
    Buffer buffer = {.name = name};
    if (!elab_shape_of_type(elab, scope, item->type, &buffer.shape, &buffer.dtype)) {
        return;
    }
    for (const AstAttribute *attribute = item->attributes; attribute; attribute = attribute->next) {
        read_fill(elab, attribute, &buffer);
    }
    VEC_PUSH(elab->arena, elab->buffers, elab->n_buffers, elab->buffer_capacity, buffer);
    scope_set(scope, item->name.text, (Value){.kind = VALUE_BUFFER, .span = item->name.span});
}
