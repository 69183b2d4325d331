// Pieces of a program, looked up or compiled; see cubins.h.
#include "runtime/cuda/cubins.h"

#include "runtime/base/format.h"
#include "runtime/cuda/cubin_cache.h"
#include "runtime/cuda/texts.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct Piece {
    char *source;
    XvCubinKey key;
    XvCubin cubin;
    XvError error;       // that made the piece impossible
    XvError not_cached;  // why it was not kept
} Piece;

typedef struct Making {
    const XvNvrtc *nvrtc;
    const char *architecture;
    Piece *pieces;
    int n_pieces;
} Making;

static void look_up(const Making *making, Piece *piece)
{
    piece->key = xv_cubin_key(piece->source, making->architecture, xv_nvrtc_version(making->nvrtc));
    xv_cubin_cache_read(&piece->key, &piece->cubin);
}

static void compile(const Making *making, Piece *piece)
{
    if (piece->cubin.image ||
        !xv_nvrtc_compile(making->nvrtc, piece->source, making->architecture, &piece->cubin, &piece->error)) {
        return;
    }
    xv_cubin_cache_write(&piece->key, &piece->cubin, &piece->not_cached);
}

static bool read_sources(Making *making, const char *kernels, XvError *error)
{
    bool is_good = true;
    for (int i = 0; i < making->n_pieces && is_good; i++) {
        making->pieces[i].source = xv_cuda_piece(kernels, i);
        is_good = making->pieces[i].source || xv_fail(error, "no memory");
    }
    return is_good;
}

static bool make(Making *making, XvCubins *cubins, XvError *error)
{
    for (int i = 0; i < making->n_pieces; i++) {
        look_up(making, &making->pieces[i]);
        cubins->n_compiled += making->pieces[i].cubin.image == NULL;
    }
    double start = xv_seconds();
    if (cubins->n_compiled > 0) {
        fprintf(stderr, "compiling kernels for %s with NVRTC %s (kept for the next start) ...\n",
                making->architecture, xv_nvrtc_version(making->nvrtc));
    }
#pragma omp parallel for schedule(dynamic, 1)
    for (int i = 0; i < making->n_pieces; i++) {
        compile(making, &making->pieces[i]);
    }
    if (cubins->n_compiled > 0) {
        fprintf(stderr, "compiled %d of %d pieces in %.1f s\n", cubins->n_compiled, making->n_pieces,
                xv_seconds() - start);
    }
    const XvError *not_cached = NULL;
    for (int i = 0; i < making->n_pieces; i++) {
        const Piece *piece = &making->pieces[i];
        if (piece->error.text[0]) {
            return xv_fail(error, "%s", piece->error.text);
        }
        not_cached = piece->not_cached.text[0] ? &piece->not_cached : not_cached;
    }
    if (not_cached) {
        fprintf(stderr, "warning: compiled kernels are not kept: %s\n", not_cached->text);
    }
    return true;
}

bool xv_cubins_get(XvCubins *cubins, const XvCudaProgram *program, const char *architecture, XvError *error)
{
    XvNvrtc *nvrtc;
    *cubins = (XvCubins){0};
    if (!xv_nvrtc_open(&nvrtc, error)) {
        return false;
    }
    Making making = {
        .nvrtc = nvrtc, .architecture = architecture, .n_pieces = xv_cuda_piece_count(program->kernel_text)};
    making.pieces = calloc((size_t)making.n_pieces, sizeof *making.pieces);
    cubins->pieces = calloc((size_t)making.n_pieces, sizeof *cubins->pieces);
    bool is_good = making.pieces && cubins->pieces ? read_sources(&making, program->kernel_text, error)
                                                   : xv_fail(error, "no memory");
    is_good = is_good && make(&making, cubins, error);
    for (int i = 0; making.pieces && i < making.n_pieces; i++) {
        free(making.pieces[i].source);
        if (cubins->pieces) {
            cubins->pieces[cubins->n_pieces++] = making.pieces[i].cubin;
        }
    }
    free(making.pieces);
    xv_nvrtc_close(nvrtc);
    if (!is_good) {
        xv_cubins_free(cubins);
    }
    return is_good;
}

void xv_cubins_free(XvCubins *cubins)
{
    for (int i = 0; i < cubins->n_pieces; i++) {
        free(cubins->pieces[i].image);
        free(cubins->pieces[i].log);
    }
    free(cubins->pieces);
    *cubins = (XvCubins){0};
}
