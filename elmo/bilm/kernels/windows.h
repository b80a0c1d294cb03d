/* The character convolutions of one width: the maximum over positions, plus the bias, activated.

   A convolution over character vectors is a sum over its offsets of (vector of the character there) x (weight of the
   offset). There are only 261 characters: with tables[offset][character] = vector x weight, computed once a step, a
   window's value is the sum of `width` rows of tables. */

#define COLUMNS 64 /* whose tables' rows fit into the first cache */
#define MOST_LANES 4 /* vectors whose sums, maxima and positions fit into registers */

/* The number of positions until the padding begins: every window from there on reads the padding alone. */
INLINE int used_length(const int64_t *characters, int length, int64_t padding) {
    while (length > 0 && characters[length - 1] == padding) length--;
    return length;
}

INLINE floats activated(floats x, int is_tanh) {
    return is_tanh ? hyperbolic_tangent(x) : select_floats(x < 0.0f, all(0.0f), x);
}

INLINE void best_windows(
    int width, int last, int num_characters, int stride, int is_tanh, const int64_t *ids, const float *tables,
    const float *bias, float *out, uint8_t *positions, int vectors, int count
) {
    floats top[MOST_LANES] = {{0}}, where[MOST_LANES] = {{0}};
    for (int v = 0; v < vectors; v++) top[v] = all(-__builtin_inff());
    for (int position = 0; position <= last; position++) {
        floats sum[MOST_LANES] = {{0}};
        for (int offset = 0; offset < width; offset++) {
            const float *row = tables + ((int64_t)offset * num_characters + ids[position + offset]) * stride;
            for (int v = 0; v < vectors; v++) sum[v] += load_float(row + v * LANES, LANES);
        }
        for (int v = 0; v < vectors; v++) {
            ints higher = (sum[v] > top[v]) | (sum[v] != sum[v]); /* a NaN is the largest, and stays */
            top[v] = select_floats(higher, sum[v], top[v]);
            where[v] = select_floats(higher, all((float)position), where[v]);
        }
    }
    for (int v = 0; v < vectors; v++) {
        typedef uint8_t bytes __attribute__((vector_size(LANES)));
        bytes at = __builtin_convertvector(where[v], bytes);
        floats x = activated(top[v] + load_float(bias + v * LANES, count), is_tanh);
        store_float(out + v * LANES, x, count);
        memcpy(positions + v * LANES, &at, LANES);
    }
}

/* The activated largest window of each type and filter; of equal windows the first.

   characters (types, length): ids below num_characters. tables (width, num_characters, stride): the filters are the
   first `number` columns; stride is a multiple of LANES. out: a row of out_stride values for each type. positions
   (types, stride): where the largest window begins. */
void windows_forward(
    int types, int length, int width, int number, int num_characters, int stride, int out_stride, int is_tanh,
    int64_t padding, const int64_t *characters, const float *tables, const float *bias, float *out, uint8_t *positions,
    int threads
) {
#pragma omp parallel for if (threads > 1) num_threads(threads) schedule(dynamic, 16)
    for (int type = 0; type < types; type++) {
        const int64_t *ids = characters + (int64_t)type * length;
        float *y = out + (int64_t)type * out_stride;
        uint8_t *at = positions + (int64_t)type * stride;
        int last = used_length(ids, length, padding); /* the first window of padding alone */
        if (last > length - width) last = length - width;
        int from = 0;
        for (; from + MOST_LANES * LANES <= number; from += MOST_LANES * LANES)
            best_windows(width, last, num_characters, stride, is_tanh, ids, tables + from, bias + from, y + from,
                         at + from, MOST_LANES, LANES);
        for (; from + LANES <= number; from += LANES)
            best_windows(width, last, num_characters, stride, is_tanh, ids, tables + from, bias + from, y + from,
                         at + from, 1, LANES);
        if (from < number)
            best_windows(width, last, num_characters, stride, is_tanh, ids, tables + from, bias + from, y + from,
                         at + from, 1, number - from);
    }
}

/* The gradients of `count` neighbouring columns; `step` is the size of one offset's table. */
INLINE void scatter(
    int types, int length, int width, int64_t step, int stride, int out_stride, int is_tanh, const int64_t *characters,
    const uint8_t *positions, const float *out, const float *d_out, float *d_tables, float *d_bias, int count
) {
    for (int type = 0; type < types; type++) {
        const int64_t *ids = characters + (int64_t)type * length, start = (int64_t)type * out_stride;
        int64_t rows[256]; /* where each character's row of a table begins; a position fits into a byte */
        for (int place = 0; place < length; place++) rows[place] = ids[place] * stride;
        for (int k = 0; k < count; k++) {
            const float y = out[start + k];
            const float d = is_tanh ? d_out[start + k] * (1 - y * y) : y > 0 ? d_out[start + k] : 0;
            const int64_t *window = rows + positions[(int64_t)type * stride + k];
            float *to = d_tables + k;
            d_bias[k] += d;
            for (int offset = 0; offset < width; offset++, to += step) to[window[offset]] += d;
        }
    }
}

/* Adds the gradient of `out` to that of the bias, and to that of the tables at the rows that made up each largest
   window. A thread has columns of its own, so that the order of the sums, and with it every bit, does not depend on the
   threads. length is below 256. */
void windows_backward(
    int types, int length, int width, int number, int num_characters, int stride, int out_stride, int is_tanh,
    const int64_t *characters, const uint8_t *positions, const float *out, const float *d_out, float *d_tables,
    float *d_bias, int threads
) {
    const int64_t step = (int64_t)num_characters * stride;
#pragma omp parallel for if (threads > 1) num_threads(threads)
    for (int from = 0; from < number; from += COLUMNS) {
        const int count = number - from < COLUMNS ? number - from : COLUMNS;
#define WIDTH(constant)                                                                                                \
    scatter(types, length, constant, step, stride, out_stride, is_tanh, characters, positions + from, out + from,      \
            d_out + from, d_tables + from, d_bias + from, count)
        switch (width) { /* with a constant width, the compiler unrolls the innermost loop */
        case 1: WIDTH(1); break;
        case 2: WIDTH(2); break;
        case 3: WIDTH(3); break;
        case 4: WIDTH(4); break;
        case 5: WIDTH(5); break;
        case 6: WIDTH(6); break;
        case 7: WIDTH(7); break;
        default: WIDTH(width);
        }
#undef WIDTH
    }
}
