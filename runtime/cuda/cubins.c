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
    bool has_cache;
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
        !xv_nvrtc_compile(making->nvrtc, piece->source, making->architecture, &piece->cubin, &piece->error) ||
        !making->has_cache) {
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

static void make(Making *making, XvCubins *cubins)
{
    for (int i = 0; i < making->n_pieces; i++) {
        if (making->has_cache) {
            look_up(making, &making->pieces[i]);
        }
        cubins->n_compiled += making->pieces[i].cubin.image == NULL;
    }
    double start = xv_seconds();
    if (cubins->n_compiled > 0) {
        fprintf(stderr, "compiling kernels for %s with NVRTC %s%s ...\n", making->architecture,
                cubins->compiler, making->has_cache ? " (kept for the next start)" : "");
    }
#pragma omp parallel for schedule(dynamic, 1)
    for (int i = 0; i < making->n_pieces; i++) {
        compile(making, &making->pieces[i]);
    }
    if (cubins->n_compiled > 0) {
        fprintf(stderr, "compiled %d of %d pieces in %.1f s\n", cubins->n_compiled, making->n_pieces,
                xv_seconds() - start);
    }
}

// What went wrong with any piece.
static bool check(const Making *making, XvError *error)
{
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

// The images go over to the cubins, with or without success.
static bool fill(Making *making, XvCubins *cubins, const char *kernels, XvError *error)
{
    making->pieces = calloc((size_t)making->n_pieces, sizeof *making->pieces);
    cubins->pieces = calloc((size_t)making->n_pieces, sizeof *cubins->pieces);
    if (!making->pieces || !cubins->pieces) {
        free(making->pieces);
        return xv_fail(error, "no memory");
    }
    bool is_good = read_sources(making, kernels, error);
    if (is_good) {
        make(making, cubins);
        is_good = check(making, error);
    }
    for (int i = 0; i < making->n_pieces; i++) {
        free(making->pieces[i].source);
        cubins->pieces[cubins->n_pieces++] = making->pieces[i].cubin;
    }
    free(making->pieces);
    return is_good;
}

static bool get(XvCubins *cubins, const char *kernels, const char *architecture, bool has_cache,
                XvError *error)
{
    XvNvrtc *nvrtc;
    *cubins = (XvCubins){0};
    if (!xv_nvrtc_open(&nvrtc, error)) {
        return false;
    }
    snprintf(cubins->compiler, sizeof cubins->compiler, "%s", xv_nvrtc_version(nvrtc));
    Making making = {.nvrtc = nvrtc,
                     .architecture = architecture,
                     .has_cache = has_cache,
                     .n_pieces = xv_cuda_piece_count(kernels)};
    bool is_good = fill(&making, cubins, kernels, error);
    xv_nvrtc_close(nvrtc);
    if (!is_good) {
        xv_cubins_free(cubins);
    }
    return is_good;
}

bool xv_cubins_get(XvCubins *cubins, const char *kernels, const char *architecture, XvError *error)
{
    return get(cubins, kernels, architecture, true, error);
}

bool xv_cubins_compile(XvCubins *cubins, const char *kernels, const char *architecture, XvError *error)
{
    return get(cubins, kernels, architecture, false, error);
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
