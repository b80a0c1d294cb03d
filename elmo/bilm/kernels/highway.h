/* The pointwise part of a highway layer, y = x + g (relu(t) - x), g = sigmoid(carry). Included twice, as cells.h. */

INLINE void NAME(highway_forward_lanes)(
    const float *x, VALUE *carry, VALUE *transform, const float *carry_bias, const float *transform_bias, float *y,
    int count
) {
    floats g = sigmoid(LOAD(carry, count) + load_float(carry_bias, count));
    floats t = LOAD(transform, count) + load_float(transform_bias, count);
    t = select_floats(t < 0.0f, all(0.0f), t);
    floats in = load_float(x, count);
    STORE(carry, g, count), STORE(transform, t, count), store_float(y, in + g * (t - in), count);
}

/* carry, transform (rows, size): in: the products with the weights; out: g and relu(t). */
void NAME(highway_forward)(
    int rows, int size, const float *x, VALUE *carry, VALUE *transform, const float *carry_bias,
    const float *transform_bias, float *y, int threads
) {
#pragma omp parallel for if (threads > 1) num_threads(threads)
    for (int row = 0; row < rows; row++) {
        const int64_t at = (int64_t)row * size;
        int k = 0;
        for (; k + LANES <= size; k += LANES)
            NAME(highway_forward_lanes)(x + at + k, carry + at + k, transform + at + k, carry_bias + k,
                                        transform_bias + k, y + at + k, LANES);
        if (k < size)
            NAME(highway_forward_lanes)(x + at + k, carry + at + k, transform + at + k, carry_bias + k,
                                        transform_bias + k, y + at + k, size - k);
    }
}

INLINE void NAME(highway_backward_lanes)(
    const float *d_y, const float *x, const VALUE *gate, const VALUE *relu, VALUE *d_carry, VALUE *d_transform,
    float *d_x, int count
) {
    floats d = load_float(d_y, count), in = load_float(x, count), g = LOAD(gate, count), t = LOAD(relu, count);
    STORE(d_carry, d * (t - in) * g * (1.0f - g), count);
    STORE(d_transform, select_floats(t > 0.0f, d * g, all(0.0f)), count);
    store_float(d_x, d * (1.0f - g), count);
}

/* From the gradient of y (rows, size): that of the two products, and the direct part of that of x. */
void NAME(highway_backward)(
    int rows, int size, const float *d_y, const float *x, const VALUE *gate, const VALUE *relu, VALUE *d_carry,
    VALUE *d_transform, float *d_x, int threads
) {
#pragma omp parallel for if (threads > 1) num_threads(threads)
    for (int row = 0; row < rows; row++) {
        const int64_t at = (int64_t)row * size;
        int k = 0;
        for (; k + LANES <= size; k += LANES)
            NAME(highway_backward_lanes)(d_y + at + k, x + at + k, gate + at + k, relu + at + k, d_carry + at + k,
                                         d_transform + at + k, d_x + at + k, LANES);
        if (k < size)
            NAME(highway_backward_lanes)(d_y + at + k, x + at + k, gate + at + k, relu + at + k, d_carry + at + k,
                                         d_transform + at + k, d_x + at + k, size - k);
    }
}
