/* All steps of one direction of an LSTM layer in single precision, with the BLAS library's matrix product. Where the
   products are small, the time between two calls from Python, and the wait of one direction for the other's, is longer
   than the products. */

/* SGEMM of Fortran. Its integers have 32 or 64 bits: as the numbers are small and their low half comes first, the
   address of one with 64 bits serves for both. */
typedef void (*product)(
    const char *, const char *, const int64_t *, const int64_t *, const int64_t *, const float *, const float *,
    const int64_t *, const float *, const int64_t *, const float *, float *, const int64_t *
);

/* y (rows, outputs) = x (rows, inputs) times weight (inputs, outputs), or times the transpose of weight (outputs,
   inputs). Fortran's matrices are the transposes of ours. */
INLINE void multiply(
    product sgemm, int64_t rows, int64_t inputs, int64_t outputs, const float *x, const float *weight, int is_transposed,
    float *y
) {
    const float one = 1, zero = 0;
    sgemm(is_transposed ? "T" : "N", "N", &outputs, &rows, &inputs, &one, weight, is_transposed ? &inputs : &outputs, x,
          &inputs, &zero, y, &outputs);
}

/* sizes (steps): rows of each step. gates, cells, tanh_cells, hidden and outputs are packed over all steps, see cells.h;
   h_before (rows of all steps, num_outputs) begins with the rows of h that enter the first step. weight (num_outputs,
   4 num_cells); projection (num_cells, num_outputs) or NULL. scratch (rows, 4 num_cells). */
void lstm_forward(
    product sgemm, int steps, const int64_t *sizes, int num_cells, int num_outputs, const float *weight,
    const float *projection, const float *bias, const float *mask, const float *first_cells, float *gates,
    float *h_before, float *cells, float *tanh_cells, float *hidden, float *outputs, float *scratch, float cell_clip,
    float output_clip, int threads
) {
    const float *before = first_cells;
    int64_t start = 0;
    for (int step = 0; step < steps; step++) {
        const int rows = (int)sizes[step], next_rows = step + 1 < steps ? (int)sizes[step + 1] : 0;
        const int64_t cell = start * num_cells, output = start * num_outputs;
        multiply(sgemm, rows, num_outputs, 4 * num_cells, h_before + output, weight, 0, scratch);
        cells_forward_float(rows, num_cells, gates + 4 * cell, scratch, bias, before, cells + cell, tanh_cells + cell,
                            hidden + cell, cell_clip, threads);
        if (projection)
            multiply(sgemm, rows, num_cells, num_outputs, hidden + cell, projection, 0, outputs + output);
        clip_outputs_float(rows, next_rows, num_outputs, projection ? outputs + output : hidden + cell,
                           outputs + output, h_before + output + (int64_t)rows * num_outputs, mask, output_clip);
        before = cells + cell;
        start += rows;
    }
}

/* d_outputs: in: the gradient from above; out: that of the outputs before they were clipped. d_gates is written.
   d_hidden, d_cells (rows, num_cells) and d_next (rows, num_outputs) are scratch. */
void lstm_backward(
    product sgemm, int steps, const int64_t *sizes, int num_cells, int num_outputs, const float *weight,
    const float *projection, const float *mask, const float *first_cells, const float *gates, const float *cells,
    const float *tanh_cells, const float *outputs, float *d_outputs, float *d_gates, float *d_hidden, float *d_cells,
    float *d_next, float cell_clip, float output_clip, int threads
) {
    int64_t start = 0;
    for (int step = 0; step < steps; step++) start += sizes[step];
    for (int step = steps - 1; step >= 0; step--) {
        const int rows = (int)sizes[step], next_rows = step + 1 < steps ? (int)sizes[step + 1] : 0;
        start -= rows;
        const int64_t cell = start * num_cells, output = start * num_outputs;
        const float *before = step ? cells + cell - sizes[step - 1] * num_cells : first_cells;
        clip_gradients_float(rows, next_rows, num_outputs, d_outputs + output, d_next, outputs + output,
                             d_outputs + output, mask, output_clip);
        if (projection) multiply(sgemm, rows, num_outputs, num_cells, d_outputs + output, projection, 1, d_hidden);
        cells_backward_float(rows, next_rows, num_cells, gates + 4 * cell, before, cells + cell, tanh_cells + cell,
                             projection ? d_hidden : d_outputs + output, d_cells, d_gates + 4 * cell, cell_clip,
                             threads);
        if (step) multiply(sgemm, rows, 4 * num_cells, num_outputs, d_gates + 4 * cell, weight, 1, d_next);
    }
}
