// The end of gradients of biases: a thread adds up all parts that share its element, in order.

XV_FN float xv_attention_bias_sum(const XvAttentionBiasTask &task, const XvBiasGradTask &bias,
                                  int64_t element)
{
    const int64_t key = element % bias.keys, query = element / bias.keys % bias.queries;
    const int64_t head = element / bias.keys / bias.queries % bias.heads;
    const int64_t entry = element / bias.keys / bias.queries / bias.heads;
    float sum = 0;
    for (int64_t chunk = 0; chunk < task.chunks; chunk++) {
        if (bias.entries > 1 && chunk / bias.divisor % bias.modulus != entry) {
            continue;
        }
        for (int64_t h = head; h < task.heads; h += bias.heads) {
            for (int64_t i = query; i < task.n_query; i += bias.queries) {
                for (int64_t j = key; j < task.n_key; j += bias.keys) {
                    sum += task.parts[((chunk * task.heads + h) * task.n_query + i) * task.n_key + j];
                }
            }
        }
    }
    return sum;
}

XV_KERNEL(XV_ATTENTION_BIAS_THREADS) xv_attention_bias(XvAttentionBiasTask task)
{
    const bool is_second = (int64_t)blockIdx.x >= task.bias[0].blocks;
    const XvBiasGradTask &bias = task.bias[is_second];
    const int64_t block = blockIdx.x - (is_second ? task.bias[0].blocks : 0);
    const int64_t element = block * XV_ATTENTION_BIAS_THREADS + threadIdx.x;
    if (element < bias.d.count) {
        bias.d[element] = xv_attention_bias_sum(task, bias, element);
    }
}
XV_ENTRY(xv_attention_bias)
