// One optimizer step over all parameters in three launches: squares of every piece, norm and clipping factor, AdamW as
// codegen/emit_update.c states it, copies in two bytes included. The factor stays on the device: the host need not wait
// for the norm.

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

XV_KERNEL(XV_UPDATE_THREADS) xv_update_norm(XvUpdateTask task)
{
    double sum = 0;
    for (int64_t i = threadIdx.x; i < task.squares.count; i += XV_UPDATE_THREADS) {
        sum += task.squares[i];
    }
    sum = xv_team_reduce<XV_UPDATE_THREADS, XvSum>(sum);
    if (threadIdx.x == 0) {
        const double factor = task.rates[0].gradient_scale;  // takes the scale of the loss off
        const double norm = sqrt(sum) * factor, scale = task.clip > 0.0 ? task.clip / (norm + 1e-6) : 1.0;
        bool is_finite = norm - norm == 0.0;
        for (int64_t i = 0; i < task.losses.count; i++) {
            is_finite = is_finite && task.losses[i] - task.losses[i] == 0.0f;
        }
        if (task.losses.count > 0) {
            is_finite = is_finite && !task.state[0].has_stopped;
            task.state[0].has_stopped = !is_finite;
        }
        task.state[0].norm = norm;
        task.state[0].scale = is_finite ? (float)((scale < 1.0 ? scale : 1.0) * factor) : 0.0f;
        task.state[0].is_finite = is_finite;
    }
}
XV_ENTRY(xv_update_norm)

XV_KERNEL(XV_UPDATE_THREADS) xv_update_adamw(XvUpdateTask task)
{
    const XvUpdateState state = task.state[0];
    if (!state.is_finite) {
        return;
    }
    const XvPiece piece = task.pieces[blockIdx.x];
    const float step_size = task.rates[0].step_size[piece.is_fresh];
    const float decay_size = piece.has_decay ? task.rates[0].decay_size[piece.is_fresh] : 0.0f;
    for (int i = (int)threadIdx.x; i < piece.count; i += XV_UPDATE_THREADS) {
        const int64_t at = piece.first + i;
        const float g = task.gradients[at] * state.scale;
        const float m = task.beta1 * task.moment1[at] + task.beta1_rest * g;
        const float v = task.beta2 * task.moment2[at] + task.beta2_rest * g * g;
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
