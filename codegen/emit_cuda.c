// The target cuda: kernels.cu, and launches.c with a function for each kernel that hands it to the device, so that the
// steps read the same as those of the target c.
#include "codegen/batches.h"
#include "codegen/columns.h"
#include "codegen/cuda_shape.h"
#include "codegen/emit_internal.h"

#include <string.h>

static int64_t scratch_floats(Arena *arena, const Program *program)
{
    return plan_columns(arena, program).floats;
}

static int launches(Arena *arena, const Program *program)
{
    const ColumnPlan columns = plan_columns(arena, program);
    int count = columns.n_launches;
    for (int i = 0; i < program->n_steps; i += batch_of_steps(program, i)) {
        bool has_end = cuda_attention_chunks(program, &program->steps[i]) > 0 && !column_waits(&columns, i);
        count += has_end ? 2 : 1;
    }
    return count;
}

// "const float *" of a buffer as the steps pass it.
static const char *host_type(const KernelBuffer *buffer)
{
    static const char *const read[] = {[DTYPE_F32] = "const float *",
                                       [DTYPE_I32] = "const int32_t *",
                                       [DTYPE_BOOL] = "const uint8_t *",
                                       [DTYPE_BF16] = "const uint16_t *",
                                       [DTYPE_F16] = "const uint16_t *"};
    static const char *const written[] = {[DTYPE_F32] = "float *",
                                          [DTYPE_I32] = "int32_t *",
                                          [DTYPE_BOOL] = "uint8_t *",
                                          [DTYPE_BF16] = "uint16_t *",
                                          [DTYPE_F16] = "uint16_t *"};
    return buffer->kind == BUFFER_READ ? read[buffer->dtype] : written[buffer->dtype];
}

static const char *launch_signature(Emission *emission, const Kernel *kernel, const char *name)
{
    Arena *arena = emission->arena;
    const char *text = arena_format(arena, "void %s(const XvRun *run", name);
    for (int i = 0; i < kernel->n_buffers; i++) {
        if (!cuda_is_column(kernel, i)) {
            text = arena_format(arena, "%s, %sb%d", text, host_type(&kernel->buffers[i]), i);
        }
    }
    int draws[MAX_KERNEL_DRAWS];
    int n_draws = render_draws(kernel, draws, MAX_KERNEL_DRAWS);
    for (int i = 0; i < n_draws; i++) {
        text = arena_format(arena, "%s, const XvDraw *draw%d", text, i);
    }
    return arena_format(arena, "%s%s)", text, kernel_columns(kernel) > 0 ? ", float *scratch" : "");
}

static const char *launch_arguments(Emission *emission, const Kernel *kernel)
{
    Arena *arena = emission->arena;
    const char *text = "";
    for (int i = 0; i < kernel->n_buffers; i++) {
        if (!cuda_is_column(kernel, i)) {
            text = arena_format(arena, "%s%s(void *)&b%d", text, *text ? ", " : "", i);
        }
    }
    int draws[MAX_KERNEL_DRAWS];
    int n_draws = render_draws(kernel, draws, MAX_KERNEL_DRAWS);
    for (int i = 0; i < n_draws; i++) {
        text = arena_format(arena, "%s%s(void *)&draw%d", text, *text ? ", " : "", i);
    }
    return kernel_columns(kernel) > 0 ? arena_format(arena, "%s%s(void *)&scratch", text, *text ? ", " : "")
                                      : text;
}

static void declare_cuda_kernel(Emission *emission, const Program *program, const Step *step,
                                const char *name, const char *text)
{
    (void)program;
    (void)text;
    const Kernel *kernel = step->kernel;
    CudaShape shape = cuda_shape(kernel);
    const char *signature = launch_signature(emission, kernel, name);
    Out *out = emission->launches;
    out_line(emission->kernel_sources, "XV_ENTRY(%s)", name);
    out_line(emission->kernel_header, "%s;", signature);
    out_line(out, "%s", signature);
    out_open(out, "");
    out_line(out, "void *arguments[] = {%s};", launch_arguments(emission, kernel));
    out_line(out, "xv_device_launch(run->device, &(XvKernelLaunch){.kernel = XV_N_LIBRARY_KERNELS + %d,",
             emission->n_kernels - 1);
    out_line(out, "    .grid = {%lldu, 1, 1}, .threads = %d, .arguments = arguments});",
             (long long)shape.blocks, shape.threads);
    out_close(out, "");
    out_line(out, "");
}

static const char *launch_shape(Arena *arena, const Kernel *kernel)
{
    CudaShape shape = cuda_shape(kernel);
    return arena_format(arena, "%lld x %d", (long long)shape.blocks, shape.threads);
}

const Target target_cuda = {.name = "cuda",
                            .dialect = &dialect_cuda,
                            .library = "xv_cuda_",
                            .context = "run, ",
                            .scratch_floats = scratch_floats,
                            .launches = launches,
                            .declare_kernel = declare_cuda_kernel,
                            .launch_shape = launch_shape};

// Files ---------------------------------------------------------------------------------------------------------

void open_cuda_files(Emission *emission)
{
    out_line(emission->kernel_header, "extern const XvCudaProgram cuda_program;");
    out_line(emission->kernel_header, "");
    emission->launches = emit_opened(emission->arena, "How each kernel of kernels.cu is launched.");
    out_line(emission->launches, "#include \"kernels.h\"");
    out_line(emission->launches, "");
    emission->attentions = out_new(emission->arena);
}

static void emit_cuda_program(Emission *emission)
{
    Out *out = emission->launches;
    const Optimizer *optimizer = &emission->task->optimizer;
    out_line(out, "static const char *const kernel_names[] = {");
    for (int i = 0; i < emission->n_kernels; i++) {
        out_line(out, "    \"%s\",", emission->kernels[i].name);
    }
    out_line(out, "};");
    out_line(out, "");
    out_line(out, "// kernels.cu itself, for the compiler that makes machine code of it.");
    out_line(out, "extern const char kernel_text[];");
    out_line(out, "__asm__(\".pushsection .rodata\\n.global kernel_text\\nkernel_text:\\n\"");
    out_line(out, "        \".incbin \\\"kernels.cu\\\"\\n.byte 0\\n.popsection\\n\");");
    out_line(out, "");
    if (emission->n_attentions > 0) {
        out_line(out, "static const XvCudaAttention attentions[] = {");
        out_raw(out, out_text(emission->attentions));
        out_line(out, "};");
        out_line(out, "");
    }
    out_line(out, "const XvCudaProgram cuda_program = {");
    out_line(out, "    .kernel_names = kernel_names, .n_kernels = %d,", emission->n_kernels);
    out_line(out, "    .beta1 = %.17g, .beta2 = %.17g, .epsilon = %.17g,", optimizer->beta1, optimizer->beta2,
             optimizer->epsilon);
    out_line(out, "    .kernel_text = kernel_text,");
    if (emission->n_attentions > 0) {
        out_line(out, "    .attentions = attentions, .n_attentions = %d,", emission->n_attentions);
    }
    out_line(out, "};");
}

static bool save_cuda_makefile(Emission *emission, const char *directory)
{
    Out *out = out_new(emission->arena);
    out_line(out, "# Generated by xvlmc; do not edit. XVLMC is the folder with runtime/ and build/libxv.a.");
    out_line(out, "# `make simt` compiles the kernels for the emulator (--device simt).");
    out_line(out, "XVLMC ?= $(abspath $(dir $(shell command -v xvlmc))/..)");
    out_line(out, "CC ?= gcc");
    out_line(out, "CXX ?= g++");
    out_line(out, "CFLAGS ?= -O2");
    out_line(out, "LIBRARY ?= $(XVLMC)/build/libxv.a");
    out_line(out, "FLAGS := -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -fopenmp -I$(XVLMC) $(CFLAGS)");
    out_line(out,
             "SIMT_FLAGS := -std=c++20 -DXV_SIMT -O1 -fPIC -Wall -Wextra -Werror -Wno-unused-function \\");
    // Registers of a lane are set and read under the same condition, which g++ does not always follow.
    out_line(out, "    -Wno-unknown-pragmas -Wno-maybe-uninitialized -ffp-contract=off -I$(XVLMC)");
    emit_rules(out, emission->task, "launches.o");
    out_line(out, "");
    out_line(out, "launches.o: kernels.cu");
    out_line(out, "");
    out_line(out, "simt: kernels_simt.so");
    out_line(out, "");
    out_line(out, "kernels_simt.so: kernels.cu $(wildcard $(XVLMC)/runtime/cuda/* $(XVLMC)/runtime/simt/*)");
    out_line(out, "\t$(CXX) $(SIMT_FLAGS) -shared -include runtime/cuda/library.cuh -x c++ kernels.cu -o $@");
    out_line(out, "");
    out_line(out, ".PHONY: simt");
    return emit_saved(emission->arena, directory, "Makefile", out);
}

bool save_cuda_files(Emission *emission, const char *directory)
{
    emit_cuda_program(emission);
    return emit_saved(emission->arena, directory, "kernels.cu", emission->kernel_sources) &&
           emit_saved(emission->arena, directory, "launches.c", emission->launches) &&
           save_cuda_makefile(emission, directory);
}
