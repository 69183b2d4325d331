// Two-byte copies of parameters; see copies.h.
#include "runtime/loop/copies.h"

#include "runtime/device/elements.h"

#include <stdlib.h>

enum { CHUNK = 1 << 16 };

bool xv_copies_create(XvCopies **copies, const XvProgram *program, XvError *error)
{
    *copies = NULL;
    if (program->copy_type == XV_F32) {
        return true;
    }
    XvCopies *made = calloc(1, sizeof *made);
    size_t bytes = (size_t)program->parameter_count * sizeof(uint16_t);
    if (!made) {
        return xv_fail(error, "no memory");
    }
    if (!xv_region_create(&made->region, bytes, "the copies of the parameters", error)) {
        free(made);
        return false;
    }
    made->are_old = true;
    *copies = made;
    return true;
}

void xv_copies_free(XvCopies *copies)
{
    if (copies) {
        xv_region_free(&copies->region);
        free(copies);
    }
}

void xv_copies_refresh(XvCopies *copies, const XvProgram *program, const float *parameters)
{
    if (!copies || !copies->are_old) {
        return;
    }
    uint16_t *to = copies->region.data;
    for (int i = 0; i < program->n_parameters; i++) {
        const XvParameter *parameter = &program->parameters[i];
        int64_t chunks = parameter->has_copy ? (parameter->count + CHUNK - 1) / CHUNK : 0;
#pragma omp parallel for schedule(static) if (chunks > 1)
        for (int64_t chunk = 0; chunk < chunks; chunk++) {
            int64_t at = chunk * CHUNK, left = parameter->count - at;
            xv_store_floats(to + parameter->offset + at, program->copy_type,
                            parameters + parameter->offset + at, left < CHUNK ? left : CHUNK);
        }
    }
    copies->are_old = false;
}
