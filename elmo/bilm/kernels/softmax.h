/* The softmax of rows of scores, in their place, and the logarithm of each row's normalizer. A row stays in the
   processor's cache during its three passes. */

INLINE float sum_of(floats x) {
    float sum = 0;
    for (int lane = 0; lane < LANES; lane++) sum += x[lane];
    return sum;
}

INLINE float largest_of(floats x) {
    float largest = x[0];
    for (int lane = 1; lane < LANES; lane++) largest = x[lane] > largest ? x[lane] : largest;
    return largest;
}

/* The `count` first values, and behind them others that change neither a maximum nor a sum of exponentials. */
INLINE floats load_scores(const float *from, int count) {
    floats x = all(-__builtin_inff());
    memcpy(&x, from, 4 * count);
    return x;
}

/* scores (rows, classes), normalizers (rows). A row with a NaN has a NaN as its normalizer. */
void softmax_rows(int64_t rows, int64_t classes, float *scores, float *normalizers, int threads) {
    const int64_t whole = classes / LANES * LANES;
    const int rest = (int)(classes - whole);
#pragma omp parallel for if (threads > 1) num_threads(threads)
    for (int64_t row = 0; row < rows; row++) {
        float *x = scores + row * classes;
        floats tops = load_scores(x + whole, rest), nans = {0}, sums = {0};
        for (int64_t k = 0; k < whole; k += LANES) tops = maximum(load_float(x + k, LANES), tops);
        const float top = largest_of(tops);
        for (int64_t k = 0; k < whole; k += LANES) {
            floats value = load_float(x + k, LANES), e = exponential(value - top);
            sums += e, nans += value - value; /* 0, or NaN for NaN and infinity */
            store_float(x + k, e, LANES);
        }
        for (int64_t k = whole; k < classes; k++) {
            floats value = all(x[k]), e = exponential(value - top);
            sums[0] += e[0], nans[0] += value[0] - value[0];
            x[k] = e[0];
        }
        const float sum = sum_of(sums), scale = 1.0f / sum;
        for (int64_t k = 0; k < whole; k += LANES) store_float(x + k, load_float(x + k, LANES) * scale, LANES);
        for (int64_t k = whole; k < classes; k++) x[k] *= scale;
        normalizers[row] = top + __builtin_logf(sum) + sum_of(nans);
    }
}
