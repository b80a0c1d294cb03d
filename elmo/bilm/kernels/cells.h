/* The pointwise part of an LSTM step. Included twice: VALUE is the type of the gates, of the matrix products and of the
   results that are multiplied next; cells, biases and their gradients are always float.

   The order of the gates is that of the official weights: i, j, f, o. Rows are contiguous; each kernel works on
   `count` <= LANES neighbouring cells of a row at a time. */

INLINE floats NAME(gate)(const VALUE *from_input, const VALUE *recurrent, const float *bias, int count) {
    return LOAD(from_input, count) + LOAD(recurrent, count) + load_float(bias, count);
}

INLINE void NAME(forward_lanes)(
    int size, VALUE *z, const VALUE *r, const float *bias, const float *before, float *cells, VALUE *tanh_cells,
    VALUE *hidden, float clip, int count
) {
    floats i = sigmoid(NAME(gate)(z, r, bias, count));
    floats j = hyperbolic_tangent(NAME(gate)(z + size, r + size, bias + size, count));
    floats f = sigmoid(NAME(gate)(z + 2 * size, r + 2 * size, bias + 2 * size, count));
    floats o = sigmoid(NAME(gate)(z + 3 * size, r + 3 * size, bias + 3 * size, count));
    floats c = f * load_float(before, count) + i * j;
    if (clip > 0) c = limited(c, -clip, clip);
    floats t = hyperbolic_tangent(c);
    STORE(z, i, count), STORE(z + size, j, count), STORE(z + 2 * size, f, count), STORE(z + 3 * size, o, count);
    store_float(cells, c, count), STORE(tanh_cells, t, count), STORE(hidden, o * t, count);
}

/* Adds the two products and the bias, activates the gates in place and computes the cells.

   gates (rows, 4 size): in: x W; out: the activated gates. recurrent (rows, 4 size): h W. bias (4 size): with the
   constant of the forget gate. before (rows, size): the cells of the step before. clip <= 0: no limit. */
void NAME(cells_forward)(
    int rows, int size, VALUE *gates, const VALUE *recurrent, const float *bias, const float *before, float *cells,
    VALUE *tanh_cells, VALUE *hidden, float clip, int threads
) {
#pragma omp parallel for if (threads > 1) num_threads(threads)
    for (int row = 0; row < rows; row++) {
        const int64_t cell = (int64_t)row * size, gate = 4 * cell;
        int k = 0;
        for (; k + LANES <= size; k += LANES)
            NAME(forward_lanes)(size, gates + gate + k, recurrent + gate + k, bias + k, before + cell + k,
                                cells + cell + k, tanh_cells + cell + k, hidden + cell + k, clip, LANES);
        if (k < size)
            NAME(forward_lanes)(size, gates + gate + k, recurrent + gate + k, bias + k, before + cell + k,
                                cells + cell + k, tanh_cells + cell + k, hidden + cell + k, clip, size - k);
    }
}

INLINE void NAME(backward_lanes)(
    int size, const VALUE *z, const float *before, const float *cells, const VALUE *tanh_cells, const VALUE *d_hidden,
    float *d_cells, VALUE *d_z, float clip, int goes_on, int count
) {
    floats i = LOAD(z, count), j = LOAD(z + size, count), f = LOAD(z + 2 * size, count), o = LOAD(z + 3 * size, count);
    floats t = LOAD(tanh_cells, count), d_m = LOAD(d_hidden, count);
    floats d_c = d_m * o * (1.0f - t * t);
    if (goes_on) d_c += load_float(d_cells, count);
    if (clip > 0) d_c = select_floats(magnitude(load_float(cells, count)) < clip, d_c, all(0.0f));
    STORE(d_z, d_c * j * i * (1.0f - i), count);
    STORE(d_z + size, d_c * i * (1.0f - j * j), count);
    STORE(d_z + 2 * size, d_c * load_float(before, count) * f * (1.0f - f), count);
    STORE(d_z + 3 * size, d_m * t * o * (1.0f - o), count);
    store_float(d_cells, d_c * f, count);
}

/* The gradient of the gates before their activation, and of the cells of the step before.

   d_hidden (rows, size): the gradient of o tanh(c). d_cells (rows, size): in: the gradient of c through the next step,
   for the first `next_rows` rows, which go on; out: that of the cells before. A clipped cell passes no gradient. */
void NAME(cells_backward)(
    int rows, int next_rows, int size, const VALUE *gates, const float *before, const float *cells,
    const VALUE *tanh_cells, const VALUE *d_hidden, float *d_cells, VALUE *d_gates, float clip, int threads
) {
#pragma omp parallel for if (threads > 1) num_threads(threads)
    for (int row = 0; row < rows; row++) {
        const int64_t cell = (int64_t)row * size, gate = 4 * cell;
        int k = 0;
        for (; k + LANES <= size; k += LANES)
            NAME(backward_lanes)(size, gates + gate + k, before + cell + k, cells + cell + k, tanh_cells + cell + k,
                                 d_hidden + cell + k, d_cells + cell + k, d_gates + gate + k, clip, row < next_rows,
                                 LANES);
        if (k < size)
            NAME(backward_lanes)(size, gates + gate + k, before + cell + k, cells + cell + k, tanh_cells + cell + k,
                                 d_hidden + cell + k, d_cells + cell + k, d_gates + gate + k, clip, row < next_rows,
                                 size - k);
    }
}

/* sums (columns) += the sums of values (rows, columns) over the rows. */
void NAME(add_rows)(int rows, int columns, const VALUE *values, float *sums) {
    for (int row = 0; row < rows; row++) {
        const VALUE *from = values + (int64_t)row * columns;
        int k = 0;
        for (; k + LANES <= columns; k += LANES)
            store_float(sums + k, load_float(sums + k, LANES) + LOAD(from + k, LANES), LANES);
        if (k < columns)
            store_float(sums + k, load_float(sums + k, columns - k) + LOAD(from + k, columns - k), columns - k);
    }
}

/* output = clip(product), and what the next step multiplies: its first `next_rows` rows, times `mask` if there is one.

   product, output, mask (rows, size); next (next_rows, size). clip <= 0: no limit. */
void NAME(clip_outputs)(
    int rows, int next_rows, int size, const VALUE *product, float *output, VALUE *next, const float *mask, float clip
) {
    const int64_t values = (int64_t)rows * size, next_values = (int64_t)next_rows * size;
    for (int64_t k = 0; k < values; k += LANES) {
        const int count = values - k < LANES ? (int)(values - k) : LANES;
        floats x = count == LANES ? LOAD(product + k, LANES) : LOAD(product + k, count);
        if (clip > 0) x = limited(x, -clip, clip);
        if (count == LANES)
            store_float(output + k, x, LANES);
        else
            store_float(output + k, x, count);
        if (k >= next_values) continue;
        const int going_on = next_values - k < LANES ? (int)(next_values - k) : LANES;
        if (mask) x *= load_float(mask + k, going_on);
        if (going_on == LANES)
            STORE(next + k, x, LANES);
        else
            STORE(next + k, x, going_on);
    }
}

/* The gradient of an output before it was clipped, also in the type of the next product.

   d_output (rows, size): in: the gradient from the layers above; out: the sum with that through the next step, which is
   d_next (next_rows, size) times `mask` if there is one, where the output was not clipped. `copy` may be d_output. */
void NAME(clip_gradients)(
    int rows, int next_rows, int size, float *d_output, const VALUE *d_next, const float *output, VALUE *copy,
    const float *mask, float clip
) {
    const int64_t values = (int64_t)rows * size, next_values = (int64_t)next_rows * size;
    for (int64_t k = 0; k < values; k += LANES) {
        const int count = values - k < LANES ? (int)(values - k) : LANES;
        floats d = count == LANES ? load_float(d_output + k, LANES) : load_float(d_output + k, count);
        if (k < next_values) {
            const int going_on = next_values - k < LANES ? (int)(next_values - k) : LANES;
            floats through = going_on == LANES ? LOAD(d_next + k, LANES) : LOAD(d_next + k, going_on);
            d += mask ? through * load_float(mask + k, going_on) : through;
        }
        if (clip > 0) {
            floats x = count == LANES ? load_float(output + k, LANES) : load_float(output + k, count);
            d = select_floats(magnitude(x) < clip, d, all(0.0f));
        }
        if (count == LANES)
            store_float(d_output + k, d, LANES), STORE(copy + k, d, LANES);
        else
            store_float(d_output + k, d, count), STORE(copy + k, d, count);
    }
}
