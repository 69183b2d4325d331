// The optimizer step around the generated update; see optimizer.h.
#include "runtime/loop/optimizer.h"

#include "runtime/cuda/update.h"
#include "runtime/device/rows.h"
#include "runtime/loop/mirror.h"

#include <math.h>
#include <string.h>

double xv_optimizer_rate(const XvOptimizer *optimizer)
{
    return optimizer->lr * xv_schedule_factor(&optimizer->schedule, optimizer->position);
}

double xv_gradient_norm(const XvProgram *program, const float *gradients, const uint8_t *has_gradient)
{
    double squares = 0.0;
    for (int i = 0; i < program->n_parameters; i++) {
        if (has_gradient[i]) {
            squares +=
                xv_sum_squares(gradients + program->parameters[i].offset, program->parameters[i].count);
        }
    }
    return sqrt(squares);
}

XvUpdate xv_optimizer_scalars(const XvOptimizer *optimizer, double norm)
{
    double t = (double)(optimizer->updates + 1);
    double correction = sqrt(1.0 - pow(XV_BETA2, t)) / (1.0 - pow(XV_BETA1, t));
    double scale = optimizer->clip > 0.0 ? fmin(1.0, optimizer->clip / (norm + 1e-6)) : 1.0;
    scale /= optimizer->loss_scale > 0 ? optimizer->loss_scale : 1;
    XvUpdate update = {.gradient_scale = (float)scale};
    for (int fresh = 0; fresh < 2; fresh++) {
        double rate = xv_optimizer_rate(optimizer) * (fresh ? optimizer->lr_mult : 1.0);
        update.step_size[fresh] = (float)(rate * correction);
        update.decay_size[fresh] = (float)(rate * optimizer->weight_decay);
    }
    return update;
}

// On a device the norm is found and applied there; the scalars leave clipping to it.
static double device_step(const XvOptimizer *optimizer, XvHost *host, const XvEntry *entry)
{
    const XvMirror *mirror = host->mirror;
    if (mirror) {
        unsigned written = XV_PART_PARAMETERS | XV_PART_MOMENT1 | XV_PART_MOMENT2;
        xv_mirror_to_device(host, written | XV_PART_GRADIENTS, written);
    }
    XvDeviceUpdate update = {
        .program = host->program,
        .parameters = mirror ? mirror->parameters : host->parameters.data,
        .copies = mirror         ? mirror->copies
                  : host->copies ? host->copies->region.data
                                 : NULL,
        .gradients = mirror ? mirror->gradients : host->gradients.data,
        .moment1 = mirror ? mirror->moment1 : host->moment1.data,
        .moment2 = mirror ? mirror->moment2 : host->moment2.data,
        .has_gradient = entry->has_gradient,
        .rates = xv_optimizer_scalars(optimizer, 0.0),
        .clip = optimizer->clip,
    };
    return xv_device_update(&host->device, &update);
}

double xv_first_loss_scale(const XvProgram *program)
{
    return strcmp(program->precision, "fp16") == 0 ? XV_LOSS_SCALE_MOST : 0;
}

void xv_unscale_gradients(const XvHost *host)
{
    if (host->loss_scale == 1) {
        return;
    }
    float *gradients = xv_host_gradients(host), factor = (float)(1 / host->loss_scale);
    for (int64_t i = 0; i < host->program->parameter_count; i++) {
        gradients[i] *= factor;
    }
}

static void adapt_scale(XvOptimizer *optimizer, bool is_finite)
{
    if (optimizer->loss_scale == 0) {
        return;
    }
    optimizer->n_left_out += !is_finite;
    if (!is_finite) {
        optimizer->loss_scale = fmax(optimizer->loss_scale / 2, XV_LOSS_SCALE_LEAST);
        optimizer->scale_age = 0;
    } else if (++optimizer->scale_age == XV_LOSS_SCALE_UPDATES) {
        optimizer->loss_scale = fmin(optimizer->loss_scale * 2, XV_LOSS_SCALE_MOST);
        optimizer->scale_age = 0;
    }
}

static double host_norm(const XvOptimizer *optimizer, const XvHost *host, const XvEntry *entry)
{
    double norm = xv_gradient_norm(host->program, host->gradients.data, entry->has_gradient);
    return optimizer->loss_scale > 0 ? norm / optimizer->loss_scale : norm;
}

double xv_optimizer_step(XvOptimizer *optimizer, XvHost *host, const XvEntry *entry)
{
    const XvProgram *program = host->program;
    bool is_on_device = host->device.kind != NULL;
    double norm = is_on_device ? device_step(optimizer, host, entry) : host_norm(optimizer, host, entry);
    if (!isfinite(norm)) {
        adapt_scale(optimizer, false);
        return norm;
    }
    if (!is_on_device) {
        XvUpdate update = xv_optimizer_scalars(optimizer, norm);
        program->update(&(XvUpdateRegions){.parameters = host->parameters.data,
                                           .copies = host->copies ? host->copies->region.data : NULL,
                                           .gradients = host->gradients.data,
                                           .moment1 = host->moment1.data,
                                           .moment2 = host->moment2.data},
                        entry->has_gradient, &update);
    }
    optimizer->updates++;
    adapt_scale(optimizer, true);
    return norm;
}
