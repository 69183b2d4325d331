// One optimizer step over all parameters in three launches: squares of every piece; norm, clipping factor and whether
// the update is made; AdamW as codegen/emit_update.c states it, copies in two bytes included. All of it stays on the
// device, the scale of the next loss and the number of updates as well: the host need not wait for the norm.

XV_KERNEL(XV_UPDATE_THREADS) xv_update_squares(XvUpdateTask task)
{
    const XvPiece piece = task.pieces[blockIdx.x];
    double sum = 0;
    for (int i = (int)threadIdx.x; i < piece.count; i += XV_UPDATE_THREADS) {
        const double g = task.gradients[piece.first + i];
        sum += g * g;
    }
    sum = xv_team_reduce<XV_UPDATE_THREADS, XvSum>(sum);
    if (threadIdx.x == 0) {
        task.squares[blockIdx.x] = sum;
    }
}
XV_ENTRY(xv_update_squares)

// Decides about the update of gradients of this norm, those of the scaled loss, and about the scale of the next.
XV_FN void xv_judge(const XvUpdateTask &task, double scaled_norm)
{
    XvUpdateState state = task.state[0];
    const XvScaler scaler = state.scaler;
    const double factor = 1.0 / xv_loss_factor(scaler), norm = scaled_norm * factor;
    const double scale = task.clip > 0.0 ? task.clip / (norm + 1e-6) : 1.0;
    const bool is_finite = norm - norm == 0.0;
    bool has_stopped = task.losses.count > 0 && (state.has_stopped || !(is_finite || xv_can_scale_down(scaler)));
    for (int64_t i = 0; i < task.losses.count; i++) {
        has_stopped = has_stopped || task.losses[i] - task.losses[i] != 0.0f;
    }
    const double correction = xv_adamw_correction(task.beta1, task.beta2, scaler.updates);
    state.scaler = has_stopped ? scaler : xv_scaler_next(scaler, is_finite);
    state.norm = norm;
    state.step_size[0] = (float)(task.rates[0].rate[0] * correction);
    state.step_size[1] = (float)(task.rates[0].rate[1] * correction);
    state.scale = (float)((scale < 1.0 ? scale : 1.0) * factor);
    state.is_made = is_finite && !has_stopped;
    state.has_stopped = has_stopped;
    task.state[0] = state;
}

XV_KERNEL(XV_UPDATE_THREADS) xv_update_norm(XvUpdateTask task)
{
    double sum = 0;
    for (int64_t i = threadIdx.x; i < task.squares.count; i += XV_UPDATE_THREADS) {
        sum += task.squares[i];
    }
    sum = xv_team_reduce<XV_UPDATE_THREADS, XvSum>(sum);
    if (threadIdx.x == 0) {
        xv_judge(task, sqrt(sum));
    }
}
XV_ENTRY(xv_update_norm)

XV_KERNEL(XV_UPDATE_THREADS) xv_update_adamw(XvUpdateTask task)
{
    const XvUpdateState state = task.state[0];
    if (!state.is_made) {
        return;
    }
    const XvPiece piece = task.pieces[blockIdx.x];
    const float step_size = task.state[0].step_size[piece.is_fresh];
    const float decay_size = piece.has_decay ? task.rates[0].decay_size[piece.is_fresh] : 0.0f;
    const float beta1 = (float)task.beta1, beta1_rest = (float)(1 - task.beta1);
    const float beta2 = (float)task.beta2, beta2_rest = (float)(1 - task.beta2);
    for (int i = (int)threadIdx.x; i < piece.count; i += XV_UPDATE_THREADS) {
        const int64_t at = piece.first + i;
        const float g = task.gradients[at] * state.scale;
        const float m = beta1 * task.moment1[at] + beta1_rest * g;
        const float v = beta2 * task.moment2[at] + beta2_rest * g * g;
        const float p = task.parameters[at] - step_size * m / (sqrtf(v) + task.epsilon);
        task.moment1[at] = m;
        task.moment2[at] = v;
        const float decayed = p - decay_size * p;
        task.parameters[at] = decayed;
        if (piece.has_copy) {
            task.copies[at] = task.is_f16 ? XvF16(decayed).bits : XvBf16(decayed).bits;
        }
    }
}
XV_ENTRY(xv_update_adamw)

XV_KERNEL(XV_UPDATE_THREADS) xv_clamp(XvClampTask task)
{
    const int64_t i = (int64_t)blockIdx.x * XV_UPDATE_THREADS + threadIdx.x;
    if (i < task.values.count) {
        const float value = task.values[i];
        task.values[i] = value < task.low ? task.low : value > task.high ? task.high : value;
    }
}
XV_ENTRY(xv_clamp)
