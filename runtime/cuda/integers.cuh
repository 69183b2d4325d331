// Integer helpers of runtime/device/kernels.h for kernels.

// Division and remainder that round towards minus infinity; b > 0.
XV_FN int32_t xv_floor_div(int32_t a, int32_t b)
{
    return a / b - (a % b < 0);
}

XV_FN int32_t xv_floor_mod(int32_t a, int32_t b)
{
    int32_t r = a % b;
    return r < 0 ? r + b : r;
}

XV_FN int32_t xv_max_i32(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

XV_FN int32_t xv_min_i32(int32_t a, int32_t b)
{
    return a < b ? a : b;
}
