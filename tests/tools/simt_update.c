// The optimizer's kernels of the target cuda on the emulator against the formulas in double precision: simt_update.
// Of two parameters the first has a copy in two bytes, which must be the parameter rounded, bit for bit; gradients are
// those of a scaled loss; an update with a gradient that is not finite changes nothing. Parameters and moments are off
// by a few roundings of the terms they are made of.
#include "tests/tools/simt_types.h"

#include "runtime/cuda/update.h"

enum { FIRST = 5000, SECOND = 77, OFFSET = 5056, COUNT = OFFSET + 128 };

static const XvCudaProgram CUDA = {.beta1 = 0.9, .beta2 = 0.98, .epsilon = 1e-8};
static const uint8_t HAS_GRADIENT[2] = {1, 1};

typedef struct State {
    float *parameters, *gradients, *moment1, *moment2;
    uint16_t *copies;
} State;

static State make_state(void)
{
    State s = {random_elements(XV_F32, COUNT, 1, 1), random_elements(XV_F32, COUNT, 2, 0.01),
               random_elements(XV_F32, COUNT, 3, 0.01), random_elements(XV_F32, COUNT, 4, 0.001),
               random_elements(XV_BF16, COUNT, 5, 1)};
    for (int i = 0; i < COUNT; i++) {
        s.moment2[i] = fabsf(s.moment2[i]);
    }
    return s;
}

static uint16_t rounded(float x, XvDtype type)
{
    return type == XV_BF16 ? xv_bf16_from_float(x) : xv_f16_from_float(x);
}

static XvDeviceUpdate update_of(const XvProgram *program, const State *s, double loss_scale)
{
    return (XvDeviceUpdate){.program = program,
                            .parameters = s->parameters,
                            .copies = s->copies,
                            .gradients = s->gradients,
                            .moment1 = s->moment1,
                            .moment2 = s->moment2,
                            .has_gradient = HAS_GRADIENT,
                            .rates = {.step_size = {0.01f, 0.02f},
                                      .decay_size = {0.001f, 0.002f},
                                      .gradient_scale = (float)(1 / loss_scale)},
                            .clip = 0.1};
}

// Largest distance of an element from the formula, in roundings of what it is made of.
static double distance(const XvDeviceUpdate *update, const State *before, const State *after, int p,
                       double norm)
{
    const XvParameter *parameter = &update->program->parameters[p];
    double scale = fmin(1, update->clip / (norm + 1e-6)) * (double)update->rates.gradient_scale, worst = 0;
    double step = (double)update->rates.step_size[parameter->is_fresh];
    double decay = parameter->has_decay ? (double)update->rates.decay_size[parameter->is_fresh] : 0;
    for (int64_t i = parameter->offset; i < parameter->offset + parameter->count; i++) {
        double g = (double)before->gradients[i] * scale;
        double m = 0.9 * (double)before->moment1[i] + 0.1 * g,
               v = 0.98 * (double)before->moment2[i] + 0.02 * g * g;
        double change = step * m / (sqrt(v) + 1e-8),
               size = fabs((double)before->parameters[i]) + fabs(change);
        double of_m = fabs((double)before->moment1[i]) + fabs(g);
        double x = ((double)before->parameters[i] - change) * (1 - decay);
        // A moment that is a small difference takes its error along into the change.
        double more = step * of_m / (sqrt(v) + 1e-8);
        worst = fmax(worst, fabs((double)after->parameters[i] - x) / (size + more));
        worst = fmax(worst, fabs((double)after->moment1[i] - m) / of_m);
        worst = fmax(worst, fabs((double)after->moment2[i] - v) / v);
    }
    return worst * 0x1p24;
}

static void compare(Check *check, XvDevice *device, XvDtype type, double loss_scale)
{
    const XvParameter parameters[2] = {
        {.name = "first", .count = FIRST, .has_decay = true, .has_copy = true},
        {.name = "second", .offset = OFFSET, .count = SECOND, .is_fresh = true},
    };
    XvProgram program = {.parameters = parameters,
                         .n_parameters = 2,
                         .parameter_count = COUNT,
                         .copy_type = type,
                         .cuda = &CUDA};
    State before = make_state(), s = make_state();
    double squares = 0;
    for (int i = 0; i < COUNT; i++) {
        bool is_padding = i >= OFFSET + SECOND || (i >= FIRST && i < OFFSET);
        before.gradients[i] = s.gradients[i] *= (float)loss_scale;
        squares += is_padding ? 0 : (double)s.gradients[i] * (double)s.gradients[i];
    }
    XvDeviceUpdate update = update_of(&program, &s, loss_scale);
    double norm = xv_device_update(device, &update), wanted = sqrt(squares) / loss_scale;
    const char *name = type_name(type, false);
    check_that(check, fabs(norm - wanted) < 1e-6 * wanted, "%s: norm %g, not %g", name, norm, wanted);
    for (int p = 0; p < 2; p++) {
        double worst = distance(&update, &before, &s, p, wanted);
        check_that(check, worst < 8, "%s: parameter %d is %g roundings away", name, p, worst);
    }
    int n_wrong = 0;
    for (int i = 0; i < COUNT; i++) {
        n_wrong += s.copies[i] != (i < FIRST ? rounded(s.parameters[i], type) : before.copies[i]);
    }
    check_that(check, n_wrong == 0, "%s: %d copies are wrong", name, n_wrong);

    State kept = s;
    kept.parameters = check_memory(COUNT * sizeof(float));
    memcpy(kept.parameters, s.parameters, COUNT * sizeof(float));
    s.gradients[OFFSET] = INFINITY;
    norm = xv_device_update(device, &update);
    bool is_same = memcmp(kept.parameters, s.parameters, COUNT * sizeof(float)) == 0;
    check_that(check, norm - norm != 0 && is_same, "%s: an infinite gradient changed parameters", name);
    xv_update_tables_free(device);
}

int main(void)
{
    Check check = {0};
    XvDevice device;
    XvError error = {{0}};
    if (!xv_device_open(&device, "simt", &CUDA, &error)) {
        check_stop("%s", error.text);
    }
    compare(&check, &device, XV_BF16, 1);
    compare(&check, &device, XV_F16, 1024);
    xv_device_close(&device);
    return check_finish(&check, "the optimizer");
}
