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

XvRates xv_optimizer_rates(const XvOptimizer *optimizer)
{
    XvRates rates;
    for (int fresh = 0; fresh < 2; fresh++) {
        rates.rate[fresh] = xv_optimizer_rate(optimizer) * (fresh ? optimizer->lr_mult : 1.0);
        rates.decay_size[fresh] = (float)(rates.rate[fresh] * optimizer->weight_decay);
    }
    return rates;
}

XvUpdate xv_optimizer_scalars(const XvOptimizer *optimizer, double norm)
{
    double correction = xv_adamw_correction(XV_BETA1, XV_BETA2, optimizer->scaler.updates);
    double scale = optimizer->clip > 0.0 ? fmin(1.0, optimizer->clip / (norm + 1e-6)) : 1.0;
    XvRates rates = xv_optimizer_rates(optimizer);
    XvUpdate update = {.gradient_scale = (float)(scale / xv_loss_factor(optimizer->scaler))};
    for (int fresh = 0; fresh < 2; fresh++) {
        update.step_size[fresh] = (float)(rates.rate[fresh] * correction);
        update.decay_size[fresh] = rates.decay_size[fresh];
    }
    return update;
}

// On a device the norm is found, judged and applied there.
static double device_step(XvOptimizer *optimizer, XvHost *host, const XvEntry *entry)
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
        .rates = xv_optimizer_rates(optimizer),
        .clip = optimizer->clip,
    };
    return xv_device_update(&host->device, &update, &optimizer->scaler);
}

float xv_first_loss_scale(const XvProgram *program)
{
    return strcmp(program->precision, "fp16") == 0 ? XV_LOSS_SCALE_MOST : 0;
}

void xv_unscale_gradients(const XvHost *host)
{
    if (host->loss_scale == 1) {
        return;
    }
    float *gradients = xv_host_gradients(host), factor = 1 / host->loss_scale;
    for (int64_t i = 0; i < host->program->parameter_count; i++) {
        gradients[i] *= factor;
    }
}

static double host_step(XvOptimizer *optimizer, const XvHost *host, const XvEntry *entry)
{
    double norm = xv_gradient_norm(host->program, host->gradients.data, entry->has_gradient) /
                  xv_loss_factor(optimizer->scaler);
    bool is_finite = isfinite(norm);
    if (is_finite) {
        XvUpdate update = xv_optimizer_scalars(optimizer, norm);
        host->program->update(&(XvUpdateRegions){.parameters = host->parameters.data,
                                                 .copies = host->copies ? host->copies->region.data : NULL,
                                                 .gradients = host->gradients.data,
                                                 .moment1 = host->moment1.data,
                                                 .moment2 = host->moment2.data},
                              entry->has_gradient, &update);
    }
    optimizer->scaler = xv_scaler_next(optimizer->scaler, is_finite);
    return norm;
}

double xv_optimizer_step(XvOptimizer *optimizer, XvHost *host, const XvEntry *entry)
{
    return host->device.kind ? device_step(optimizer, host, entry) : host_step(optimizer, host, entry);
}
