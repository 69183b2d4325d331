// The kernels of the problems in tests/tools/simt_attention.def, in the order of the list: attention_LINE and attention_grad_LINE.
#define KERNELS(line, kind, queries, keys, dim, value_dim, biases, wanted, has_keep) \
    NAMED(line, kind, queries, keys, dim, value_dim, biases, wanted, has_keep)
#define NAMED(line, kind, queries, keys, dim, value_dim, biases, wanted, has_keep)                          \
    XV_ATTENTION(attention_##line, kind, queries, keys, dim, value_dim, biases, has_keep)                   \
    XV_ENTRY(attention_##line)                                                                              \
    XV_ATTENTION_GRAD(attention_grad_##line, kind, queries, keys, dim, value_dim, biases, has_keep, (wanted > 0)) \
    XV_ENTRY(attention_grad_##line)
#define X(type, is_tf32, kind, queries, keys, dim, value_dim, biases, wanted, has_keep) \
    KERNELS(__LINE__, kind, queries, keys, dim, value_dim, biases, wanted, has_keep)
#include "tests/tools/simt_attention.def"
