// Kernels of attention for tests/tools/simt_attention.c, as a program's kernels.cu has them: one tile and several,
// full and with edges, rows on 16 bytes and not, values of another size, every kind, dropout, gradients of biases.

XV_ATTENTION(xv_attention_bf16_49x49_32_b2, XvBf16, 49, 49, 32, 32, 2, false)
XV_ENTRY(xv_attention_bf16_49x49_32_b2)
XV_ATTENTION_GRAD(xv_attention_grad_bf16_49x49_32_b2_parts, XvBf16, 49, 49, 32, 32, 2, false, true)
XV_ENTRY(xv_attention_grad_bf16_49x49_32_b2_parts)

XV_ATTENTION(xv_attention_f16_49x49_32_b2, XvF16, 49, 49, 32, 32, 2, false)
XV_ENTRY(xv_attention_f16_49x49_32_b2)
XV_ATTENTION_GRAD(xv_attention_grad_f16_49x49_32_b2_parts, XvF16, 49, 49, 32, 32, 2, false, true)
XV_ENTRY(xv_attention_grad_f16_49x49_32_b2_parts)

XV_ATTENTION(xv_attention_tf32_49x49_32_b2, XvTf32, 49, 49, 32, 32, 2, false)
XV_ENTRY(xv_attention_tf32_49x49_32_b2)
XV_ATTENTION_GRAD(xv_attention_grad_tf32_49x49_32_b2_parts, XvTf32, 49, 49, 32, 32, 2, false, true)
XV_ENTRY(xv_attention_grad_tf32_49x49_32_b2_parts)

XV_ATTENTION(xv_attention_f32_49x49_32_b2, XvExact, 49, 49, 32, 32, 2, false)
XV_ENTRY(xv_attention_f32_49x49_32_b2)
XV_ATTENTION_GRAD(xv_attention_grad_f32_49x49_32_b2_parts, XvExact, 49, 49, 32, 32, 2, false, true)
XV_ENTRY(xv_attention_grad_f32_49x49_32_b2_parts)

XV_ATTENTION(xv_attention_bf16_40x50_64_b1_keep, XvBf16, 40, 50, 64, 64, 1, true)
XV_ENTRY(xv_attention_bf16_40x50_64_b1_keep)
XV_ATTENTION_GRAD(xv_attention_grad_bf16_40x50_64_b1_keep, XvBf16, 40, 50, 64, 64, 1, true, false)
XV_ENTRY(xv_attention_grad_bf16_40x50_64_b1_keep)

XV_ATTENTION(xv_attention_f16_40x50_64_b1_keep, XvF16, 40, 50, 64, 64, 1, true)
XV_ENTRY(xv_attention_f16_40x50_64_b1_keep)
XV_ATTENTION_GRAD(xv_attention_grad_f16_40x50_64_b1_keep, XvF16, 40, 50, 64, 64, 1, true, false)
XV_ENTRY(xv_attention_grad_f16_40x50_64_b1_keep)

XV_ATTENTION(xv_attention_tf32_40x50_64_b1_keep, XvTf32, 40, 50, 64, 64, 1, true)
XV_ENTRY(xv_attention_tf32_40x50_64_b1_keep)
XV_ATTENTION_GRAD(xv_attention_grad_tf32_40x50_64_b1_keep_parts, XvTf32, 40, 50, 64, 64, 1, true, true)
XV_ENTRY(xv_attention_grad_tf32_40x50_64_b1_keep_parts)

XV_ATTENTION(xv_attention_f32_40x50_64_b1_keep, XvExact, 40, 50, 64, 64, 1, true)
XV_ENTRY(xv_attention_f32_40x50_64_b1_keep)
XV_ATTENTION_GRAD(xv_attention_grad_f32_40x50_64_b1_keep_parts, XvExact, 40, 50, 64, 64, 1, true, true)
XV_ENTRY(xv_attention_grad_f32_40x50_64_b1_keep_parts)

XV_ATTENTION(xv_attention_bf16_40x40_64_b1_keep, XvBf16, 40, 40, 64, 64, 1, true)
XV_ENTRY(xv_attention_bf16_40x40_64_b1_keep)
XV_ATTENTION_GRAD(xv_attention_grad_bf16_40x40_64_b1_keep_parts, XvBf16, 40, 40, 64, 64, 1, true, true)
XV_ENTRY(xv_attention_grad_bf16_40x40_64_b1_keep_parts)

XV_ATTENTION(xv_attention_bf16_197x197_64, XvBf16, 197, 197, 64, 64, 0, false)
XV_ENTRY(xv_attention_bf16_197x197_64)
XV_ATTENTION_GRAD(xv_attention_grad_bf16_197x197_64, XvBf16, 197, 197, 64, 64, 0, false, false)
XV_ENTRY(xv_attention_grad_bf16_197x197_64)

XV_ATTENTION(xv_attention_f32_65x64_32, XvExact, 65, 64, 32, 32, 0, false)
XV_ENTRY(xv_attention_f32_65x64_32)
XV_ATTENTION_GRAD(xv_attention_grad_f32_65x64_32, XvExact, 65, 64, 32, 32, 0, false, false)
XV_ENTRY(xv_attention_grad_f32_65x64_32)

XV_ATTENTION(xv_attention_bf16_144x144_32_b2, XvBf16, 144, 144, 32, 32, 2, false)
XV_ENTRY(xv_attention_bf16_144x144_32_b2)
XV_ATTENTION_GRAD(xv_attention_grad_bf16_144x144_32_b2_parts, XvBf16, 144, 144, 32, 32, 2, false, true)
XV_ENTRY(xv_attention_grad_bf16_144x144_32_b2_parts)

XV_ATTENTION(xv_attention_f16_144x144_32_b2_keep, XvF16, 144, 144, 32, 32, 2, true)
XV_ENTRY(xv_attention_f16_144x144_32_b2_keep)
XV_ATTENTION_GRAD(xv_attention_grad_f16_144x144_32_b2_keep_parts, XvF16, 144, 144, 32, 32, 2, true, true)
XV_ENTRY(xv_attention_grad_f16_144x144_32_b2_keep_parts)

XV_ATTENTION(xv_attention_f32_50x70_64_32_b2_keep, XvExact, 50, 70, 64, 32, 2, true)
XV_ENTRY(xv_attention_f32_50x70_64_32_b2_keep)
XV_ATTENTION_GRAD(xv_attention_grad_f32_50x70_64_32_b2_keep_parts, XvExact, 50, 70, 64, 32, 2, true, true)
XV_ENTRY(xv_attention_grad_f32_50x70_64_32_b2_keep_parts)

XV_ATTENTION(xv_attention_f32_5x7_3, XvExact, 5, 7, 3, 3, 0, false)
XV_ENTRY(xv_attention_f32_5x7_3)
XV_ATTENTION_GRAD(xv_attention_grad_f32_5x7_3, XvExact, 5, 7, 3, 3, 0, false, false)
XV_ENTRY(xv_attention_grad_f32_5x7_3)

XV_ATTENTION(xv_attention_bf16_5x7_3_b1_keep, XvBf16, 5, 7, 3, 3, 1, true)
XV_ENTRY(xv_attention_bf16_5x7_3_b1_keep)
XV_ATTENTION_GRAD(xv_attention_grad_bf16_5x7_3_b1_keep, XvBf16, 5, 7, 3, 3, 1, true, false)
XV_ENTRY(xv_attention_grad_bf16_5x7_3_b1_keep)

XV_ATTENTION(xv_attention_f32_13x9_24_40_b2_keep, XvExact, 13, 9, 24, 40, 2, true)
XV_ENTRY(xv_attention_f32_13x9_24_40_b2_keep)
XV_ATTENTION_GRAD(xv_attention_grad_f32_13x9_24_40_b2_keep_parts, XvExact, 13, 9, 24, 40, 2, true, true)
XV_ENTRY(xv_attention_grad_f32_13x9_24_40_b2_keep_parts)

XV_ATTENTION(xv_attention_f16_13x9_24_40_b2_keep, XvF16, 13, 9, 24, 40, 2, true)
XV_ENTRY(xv_attention_f16_13x9_24_40_b2_keep)
XV_ATTENTION_GRAD(xv_attention_grad_f16_13x9_24_40_b2_keep_parts, XvF16, 13, 9, 24, 40, 2, true, true)
XV_ENTRY(xv_attention_grad_f16_13x9_24_40_b2_keep_parts)

XV_ATTENTION(xv_attention_bf16_1x33_64_128_b1, XvBf16, 1, 33, 64, 128, 1, false)
XV_ENTRY(xv_attention_bf16_1x33_64_128_b1)
XV_ATTENTION_GRAD(xv_attention_grad_bf16_1x33_64_128_b1, XvBf16, 1, 33, 64, 128, 1, false, false)
XV_ENTRY(xv_attention_grad_bf16_1x33_64_128_b1)

XV_ATTENTION(xv_attention_tf32_20x197_128, XvTf32, 20, 197, 128, 128, 0, false)
XV_ENTRY(xv_attention_tf32_20x197_128)
XV_ATTENTION_GRAD(xv_attention_grad_tf32_20x197_128, XvTf32, 20, 197, 128, 128, 0, false, false)
XV_ENTRY(xv_attention_grad_tf32_20x197_128)

XV_ATTENTION(xv_attention_f32_1x1_1_keep, XvExact, 1, 1, 1, 1, 0, true)
XV_ENTRY(xv_attention_f32_1x1_1_keep)
XV_ATTENTION_GRAD(xv_attention_grad_f32_1x1_1_keep, XvExact, 1, 1, 1, 1, 0, true, false)
XV_ENTRY(xv_attention_grad_f32_1x1_1_keep)

XV_ATTENTION(xv_attention_bf16_577x50_64, XvBf16, 577, 50, 64, 64, 0, false)
XV_ENTRY(xv_attention_bf16_577x50_64)
XV_ATTENTION_GRAD(xv_attention_grad_bf16_577x50_64, XvBf16, 577, 50, 64, 64, 0, false, false)
XV_ENTRY(xv_attention_grad_bf16_577x50_64)
