// The optimizer's kernels of the target cuda on the emulator against the formulas in double precision: simt_update.
// Of two parameters the first has a copy in two bytes, which must be the parameter rounded, bit for bit; gradients are
// those of a scaled loss; an update with a gradient that is not finite changes nothing. Parameters and moments are off
// by a few roundings of the terms they are made of. Updates in a row, as a queue makes them, follow the rule of
// runtime/device/scaler.h.
#include "tests/tools/simt_types.h"

#include "runtime/cuda/tasks.h"
#include "runtime/cuda/update.h"
#include "runtime/device/scaler.h"

enum { UPDATES = 3 };  // before the one that is compared
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

static XvDeviceUpdate update_of(const XvProgram *program, const State *s)
{
    return (XvDeviceUpdate){.program = program,
                            .parameters = s->parameters,
                            .copies = s->copies,
                            .gradients = s->gradients,
                            .moment1 = s->moment1,
                            .moment2 = s->moment2,
                            .has_gradient = HAS_GRADIENT,
                            .rates = {.rate = {0.01, 0.02}, .decay_size = {0.001f, 0.002f}},
                            .clip = 0.1};
}

// Largest distance of an element from the formula, in roundings of what it is made of.
static double distance(const XvDeviceUpdate *update, const State *before, const State *after, int p,
                       double scale)
{
    const XvParameter *parameter = &update->program->parameters[p];
    double worst = 0, correction = sqrt(1 - pow(0.98, UPDATES + 1)) / (1 - pow(0.9, UPDATES + 1));
    double step = update->rates.rate[parameter->is_fresh] * correction;
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

static const XvParameter PARAMETERS[2] = {
    {.name = "first", .count = FIRST, .has_decay = true, .has_copy = true},
    {.name = "second", .offset = OFFSET, .count = SECOND, .is_fresh = true},
};

static XvProgram program_of(XvDtype type)
{
    return (XvProgram){.parameters = PARAMETERS,
                       .n_parameters = 2,
                       .parameter_count = COUNT,
                       .copy_type = type,
                       .cuda = &CUDA};
}

static void compare(Check *check, XvDevice *device, XvDtype type, float loss_scale)
{
    XvProgram program = program_of(type);
    XvScaler scaler = {.loss_scale = loss_scale, .updates = UPDATES};
    double factor = (double)xv_loss_factor(scaler);
    State before = make_state(), s = make_state();
    double squares = 0;
    for (int i = 0; i < COUNT; i++) {
        bool is_padding = i >= OFFSET + SECOND || (i >= FIRST && i < OFFSET);
        before.gradients[i] = s.gradients[i] *= (float)factor;
        squares += is_padding ? 0 : (double)s.gradients[i] * (double)s.gradients[i];
    }
    XvDeviceUpdate update = update_of(&program, &s);
    double norm = xv_device_update(device, &update, &scaler), wanted = sqrt(squares) / factor;
    double scale = fmin(1, update.clip / (wanted + 1e-6)) / factor;
    const char *name = type_name(type, false);
    check_that(check, fabs(norm - wanted) < 1e-6 * wanted, "%s: norm %g, not %g", name, norm, wanted);
    for (int p = 0; p < 2; p++) {
        double worst = distance(&update, &before, &s, p, scale);
        check_that(check, worst < 8, "%s: parameter %d is %g roundings away", name, p, worst);
    }
    int n_wrong = 0;
    for (int i = 0; i < COUNT; i++) {
        n_wrong += s.copies[i] != (i < FIRST ? rounded(s.parameters[i], type) : before.copies[i]);
    }
    check_that(check, n_wrong == 0, "%s: %d copies are wrong", name, n_wrong);
    check_that(check, scaler.updates == UPDATES + 1, "%s: the update is not counted", name);
    xv_update_tables_free(device);
}

// An update that is queued: what the device has and is given, whether it is made, and what is left. The loss or the
// gradients are of such values.
typedef struct Queued {
    const char *name;
    XvScaler before;
    float loss, gradient;
    bool is_made, has_stopped;
    XvScaler after;
} Queued;

static bool is_scaler(const XvScaler *a, const XvScaler *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static bool is_unchanged(const State *a, const State *b)
{
    const size_t bytes = COUNT * sizeof(float);
    return memcmp(a->parameters, b->parameters, bytes) == 0 && memcmp(a->moment1, b->moment1, bytes) == 0 &&
           memcmp(a->moment2, b->moment2, bytes) == 0 &&
           memcmp(a->copies, b->copies, COUNT * sizeof(uint16_t)) == 0;
}

static void follow(Check *check, XvDevice *device, const Queued *rows, int n_rows)
{
    XvProgram program = program_of(XV_F16);
    XvError error = {{0}};
    State s = make_state();
    XvDeviceUpdate update = update_of(&program, &s);
    float loss;
    update.losses = &loss;
    update.n_losses = 1;
    if (!xv_device_update_prepare(device, &update, &error)) {
        check_stop("%s", error.text);
    }
    *xv_device_rates(device) = update.rates;
    *xv_device_scaler(device) = rows[0].before;
    for (int i = 0; i < n_rows; i++) {
        const Queued *row = &rows[i];
        const XvUpdateState *state = xv_device_update_state(device);
        State before = make_state();
        memcpy(before.parameters, s.parameters, COUNT * sizeof(float));
        memcpy(before.moment1, s.moment1, COUNT * sizeof(float));
        memcpy(before.moment2, s.moment2, COUNT * sizeof(float));
        memcpy(before.copies, s.copies, COUNT * sizeof(uint16_t));
        check_that(check, is_scaler(&state->scaler, &row->before), "%s: the scaler before", row->name);
        loss = row->loss;
        s.gradients[7] = row->gradient;
        xv_device_update_launch(device, &update);
        double correction = xv_adamw_correction(0.9, 0.98, row->before.updates);
        check_that(check, state->step_size[1] == (float)(0.02 * correction), "%s: the rate", row->name);
        check_that(check, is_unchanged(&before, &s) == !row->is_made, "%s: what was changed", row->name);
        check_that(check, is_scaler(&state->scaler, &row->after), "%s: the scaler is %g, %d, %d", row->name,
                   (double)state->scaler.loss_scale, (int)state->scaler.age, (int)state->scaler.updates);
        check_that(check, !state->has_stopped == !row->has_stopped, "%s: whether it stops", row->name);
    }
    xv_update_tables_free(device);
}

static void follow_all(Check *check, XvDevice *device)
{
    const float large = INFINITY, none = NAN;
    const Queued scaled[] = {
        {"an update", {1024, 5, 9}, 1, 1, true, false, {1024, 6, 10}},
        {"an infinite gradient", {1024, 6, 10}, 1, large, false, false, {512, 0, 10}},
        {"no gradient", {512, 0, 10}, 1, none, false, false, {256, 0, 10}},
        {"the next update", {256, 0, 10}, 1, 1, true, false, {256, 1, 11}},
        {"no loss", {256, 1, 11}, none, 1, false, true, {256, 1, 11}},
        {"after no loss", {256, 1, 11}, 1, 1, false, true, {256, 1, 11}},
    };
    const Queued growing[] = {
        {"update 1999", {256, 1998, 5000}, 1, 1, true, false, {256, 1999, 5001}},
        {"update 2000", {256, 1999, 5001}, 1, 1, true, false, {512, 0, 5002}},
    };
    const Queued largest[] = {{"the largest scale", {1024, 1999, 1999}, 1, 1, true, false, {1024, 0, 2000}}};
    const Queued least[] = {
        {"the least but one", {2, 0, 3}, 1, large, false, false, {1, 0, 3}},
        {"an update at the least", {1, 0, 3}, 1, 1, true, false, {1, 1, 4}},
        {"the least scale", {1, 1, 4}, 1, large, false, true, {1, 1, 4}},
        {"after the least scale", {1, 1, 4}, 1, 1, false, true, {1, 1, 4}},
    };
    const Queued plain[] = {
        {"without a scale", {0, 0, 0}, 1, 1, true, false, {0, 0, 1}},
        {"without a scale, infinite", {0, 0, 1}, 1, large, false, true, {0, 0, 1}},
        {"without a scale, afterwards", {0, 0, 1}, 1, 1, false, true, {0, 0, 1}},
    };
    follow(check, device, scaled, 6);
    follow(check, device, growing, 2);
    follow(check, device, largest, 1);
    follow(check, device, least, 4);
    follow(check, device, plain, 3);
}

// Without losses, as replays make them, each update is judged by its norm, and none stops those behind it.
static void judge_alone(Check *check, XvDevice *device)
{
    XvProgram program = program_of(XV_BF16);
    State s = make_state(), before = make_state();
    XvDeviceUpdate update = update_of(&program, &s);
    XvScaler scaler = {0};
    s.gradients[OFFSET] = INFINITY;
    double norm = xv_device_update(device, &update, &scaler);
    check_that(check, norm - norm != 0 && scaler.updates == 0 && is_unchanged(&before, &s),
               "an infinite gradient has changed something");
    s.gradients[OFFSET] = 1;
    norm = xv_device_update(device, &update, &scaler);
    check_that(check, norm - norm == 0 && scaler.updates == 1 && !is_unchanged(&before, &s),
               "an update after an infinite gradient is not made");
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
    compare(&check, &device, XV_BF16, 0);
    compare(&check, &device, XV_F16, 1024);
    judge_alone(&check, &device);
    follow_all(&check, &device);
    xv_device_close(&device);
    return check_finish(&check, "the optimizer");
}
