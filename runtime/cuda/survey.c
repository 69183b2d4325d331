// Tables of what kernels need; see survey.h.
#include "runtime/cuda/survey.h"

#include "runtime/base/format.h"
#include "runtime/base/output.h"
#include "runtime/cuda/texts.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool add_row(XvSurvey *survey, const char *name, int piece, XvError *error)
{
    XvSurveyRow *rows = realloc(survey->rows, (size_t)(survey->n_rows + 1) * sizeof *rows);
    if (!rows) {
        return xv_fail(error, "no memory");
    }
    survey->rows = rows;
    XvSurveyRow *row = &rows[survey->n_rows];
    *row = (XvSurveyRow){.name = strndup(name, strcspn(name, ")"))};
    if (!row->name) {
        return xv_fail(error, "no memory");
    }
    survey->n_rows++;
    return xv_kernel_use(survey->cubins.pieces[piece].log, row->name, &row->use) ||
           xv_fail(error, "the compiler's report has no kernel %s", row->name);
}

static bool add_rows(XvSurvey *survey, const char *kernels, int piece, XvError *error)
{
    size_t length = 0;
    const char *warning = xv_first_warning(survey->cubins.pieces[piece].log, &length);
    if (warning) {
        return xv_fail(error, "a warning of NVRTC: %.*s", (int)length, warning);
    }
    char *source = xv_cuda_piece(kernels, piece);
    bool is_good = source || xv_fail(error, "no memory");
    const char *name = source ? xv_cuda_next_entry(source) : NULL;
    for (; name && is_good; name = xv_cuda_next_entry(name)) {
        is_good = add_row(survey, name, piece, error);
    }
    free(source);
    return is_good;
}

bool xv_survey_make(XvSurvey *survey, const char *kernels, const char *architecture, XvError *error)
{
    *survey = (XvSurvey){.architecture = architecture};
    double start = xv_seconds();
    bool is_good = xv_cubins_compile(&survey->cubins, kernels, architecture, error);
    survey->seconds = xv_seconds() - start;
    for (int i = 0; is_good && i < survey->cubins.n_pieces; i++) {
        is_good = add_rows(survey, kernels, i, error);
    }
    if (!is_good) {
        xv_survey_free(survey);
    }
    return is_good;
}

void xv_survey_free(XvSurvey *survey)
{
    for (int i = 0; i < survey->n_rows; i++) {
        free(survey->rows[i].name);
    }
    free(survey->rows);
    xv_cubins_free(&survey->cubins);
    *survey = (XvSurvey){0};
}

// Printing --------------------------------------------------------------------------------------------------------

static size_t code_bytes(const XvSurvey *survey)
{
    size_t bytes = 0;
    for (int i = 0; i < survey->cubins.n_pieces; i++) {
        bytes += survey->cubins.pieces[i].bytes;
    }
    return bytes;
}

void xv_survey_print(const XvSurvey *survey, FILE *file)
{
    int spilling = 0;
    fprintf(file, "%-90s %9s %8s %7s %7s\n", "kernel", "registers", "shared", "stack", "spills");
    for (int i = 0; i < survey->n_rows; i++) {
        const XvKernelUse *use = &survey->rows[i].use;
        fprintf(file, "%-90s %9d %8d %7d %7d\n", survey->rows[i].name, use->registers, use->shared_bytes,
                use->stack_bytes, use->spill_bytes);
        spilling += use->spill_bytes > 0;
    }
    fprintf(file, "%d kernels, %d with spills\n", survey->n_rows, spilling);
    fprintf(file, "NVRTC %s for %s: no warning, %zu bytes of machine code in %d pieces, %.1f s\n",
            survey->cubins.compiler, survey->architecture, code_bytes(survey), survey->cubins.n_pieces,
            survey->seconds);
}

bool xv_survey_print_json(const XvSurvey *survey, FILE *file, XvError *error)
{
    cJSON *rows = cJSON_CreateArray();
    for (int i = 0; i < survey->n_rows; i++) {
        const XvKernelUse *use = &survey->rows[i].use;
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "kernel", survey->rows[i].name);
        cJSON_AddNumberToObject(row, "registers", use->registers);
        cJSON_AddNumberToObject(row, "shared_bytes", use->shared_bytes);
        cJSON_AddNumberToObject(row, "stack_bytes", use->stack_bytes);
        cJSON_AddNumberToObject(row, "spill_bytes", use->spill_bytes);
        cJSON_AddItemToArray(rows, row);
    }
    char *text = cJSON_Print(rows);
    cJSON_Delete(rows);
    if (!text) {
        return xv_fail(error, "no memory");
    }
    fprintf(file, "%s\n", text);
    free(text);
    return true;
}

// Saving ----------------------------------------------------------------------------------------------------------

static bool save_piece(const XvCubin *cubin, const char *folder, int piece, XvError *error)
{
    char path[PATH_MAX];
    XvOutput output;
    int length = snprintf(path, sizeof path, "%s/piece%d.cubin", folder, piece);
    if (length < 0 || (size_t)length >= sizeof path) {
        return xv_fail(error, "the name of the folder is too long: %s", folder);
    }
    if (!xv_output_open(&output, path, error)) {
        return false;
    }
    return xv_output_close(&output, xv_output_write(&output, cubin->image, cubin->bytes, error), error);
}

bool xv_survey_save(const XvSurvey *survey, const char *folder, XvError *error)
{
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) {
        return xv_fail(error, "cannot make the folder %s: %s", folder, strerror(errno));
    }
    bool is_good = true;
    for (int i = 0; is_good && i < survey->cubins.n_pieces; i++) {
        is_good = save_piece(&survey->cubins.pieces[i], folder, i, error);
    }
    return is_good;
}

bool xv_survey_run(const char *kernels, const XvSurveyOptions *options, FILE *file, XvError *error)
{
    XvSurvey survey;
    if (options->sass) {
        return xv_disassemble(kernels, options->architecture, options->sass, file, error);
    }
    if (!xv_survey_make(&survey, kernels, options->architecture, error)) {
        return false;
    }
    bool is_good = !options->folder || xv_survey_save(&survey, options->folder, error);
    if (is_good && options->is_json) {
        is_good = xv_survey_print_json(&survey, file, error);
    } else if (is_good) {
        xv_survey_print(&survey, file);
    }
    xv_survey_free(&survey);
    return is_good;
}
