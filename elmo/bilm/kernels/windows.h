/* The character convolutions of one width with the maximum over positions.

   A convolution over character vectors is a sum over its offsets of (vector of the character there) x (weight of the
   offset). There are only 261 characters: with tables[offset][character] = vector x weight, computed once a step, a
   window's value is the sum of `width` rows of tables. */

#define MOST_LANES 4 /* vectors whose sums, maxima and positions fit into registers */

/* The number of positions until the padding begins: every window from there on reads the padding alone. */
INLINE int used_length(const int64_t *characters, int length, int64_t padding) {
    while (length > 0 && characters[length - 1] == padding) length--;
    return length;
}

INLINE void best_windows(
    int width, int last, int num_characters, int stride, const int64_t *ids, const float *tables, float *best,
    uint8_t *positions, int vectors
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
        store_float(best + v * LANES, top[v], LANES);
        memcpy(positions + v * LANES, &at, LANES);
    }
}

/* The window with the largest value, for each type and filter; the first of equal ones.

   characters (types, length): ids below num_characters. tables (width, num_characters, stride): the filters are the
   first columns; stride is a multiple of LANES. best (types, stride): the largest values; positions: where. */
void windows_forward(
    int types, int length, int width, int num_characters, int stride, int64_t padding, const int64_t *characters,
    const float *tables, float *best, uint8_t *positions, int threads
) {
#pragma omp parallel for if (threads > 1) num_threads(threads) schedule(dynamic, 16)
    for (int type = 0; type < types; type++) {
        const int64_t *ids = characters + (int64_t)type * length, start = (int64_t)type * stride;
        int last = used_length(ids, length, padding); /* the first window of padding alone */
        if (last > length - width) last = length - width;
        int from = 0;
        for (; from + MOST_LANES * LANES <= stride; from += MOST_LANES * LANES)
            best_windows(width, last, num_characters, stride, ids, tables + from, best + start + from,
                         positions + start + from, MOST_LANES);
        for (; from < stride; from += LANES)
            best_windows(width, last, num_characters, stride, ids, tables + from, best + start + from,
                         positions + start + from, 1);
    }
}

/* Adds the gradient of `best` to that of the tables, at the rows that made up each largest window. A thread has columns
   of its own, so that the order of the sums, and with it every bit, does not depend on the threads. */
void windows_backward(
    int types, int length, int width, int num_characters, int stride, const int64_t *characters,
    const uint8_t *positions, const float *d_best, float *d_tables, int threads
) {
#pragma omp parallel for if (threads > 1) num_threads(threads)
    for (int from = 0; from < stride; from += LANES)
        for (int type = 0; type < types; type++) {
            const int64_t *ids = characters + (int64_t)type * length, start = (int64_t)type * stride;
            for (int k = from; k < from + LANES; k++) {
                const float d = d_best[start + k];
                if (d == 0) continue; /* relu switched the filter off */
                const int64_t *window = ids + positions[start + k];
                for (int offset = 0; offset < width; offset++)
                    d_tables[((int64_t)offset * num_characters + window[offset]) * stride + k] += d;
            }
        }
}
