// The command `kernels` of a program for the target cuda: compiles its kernels for an architecture with NVRTC, which
// needs no GPU, and prints what each one uses.
#include "runtime/cuda/survey.h"
#include "runtime/loop/command.h"

int xv_command_kernels(const XvCommand *command)
{
    XvSurveyOptions o = {.architecture = "sm_90a"};
    const XvOption table[] = {
        {"--arch", "NAME", XV_OPTION_TEXT, &o.architecture, 0, 0,
         "architecture: sm_80, sm_90a, sm_100 ... (sm_90a)"},
        {"--output", "DIR", XV_OPTION_TEXT, &o.folder, 0, 0, "where the machine code goes"},
        {"--sass", "KERNEL", XV_OPTION_TEXT, &o.sass, 0, 0, "that kernel's machine code; needs nvdisasm"},
        {"--json", NULL, XV_OPTION_FLAG, &o.is_json, 0, 0, "machine-readable"},
    };
    XvOptionTable options = {
        "[--arch NAME] [--sass KERNEL] [--output DIR] [--json]",
        "Compiles the kernels with NVRTC, which needs no GPU, and prints registers and memory.", table,
        (int)(sizeof table / sizeof *table)};
    int status;
    if (!xv_command_options(command, &options, &status)) {
        return status;
    }
    XvError error = {{0}};
    const XvCudaProgram *program = command->program->cuda;
    if (!program) {
        xv_fail(&error,
                "this program is compiled for the target c: no kernels for a GPU; see xvlmc --target cuda");
        return xv_command_fail(command, XV_EXIT_USAGE, &error);
    }
    return xv_survey_run(program->kernel_text, &o, stdout, &error)
               ? XV_EXIT_OK
               : xv_command_fail(command, XV_EXIT_FAILED, &error);
}
