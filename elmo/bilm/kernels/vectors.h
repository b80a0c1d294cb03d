/* Sixteen floats at a time, in the vector extension of GCC and Clang: the compiler splits them where the processor's
   registers are smaller. */
#include <stdint.h>
#include <string.h>

#define LANES 16

typedef float floats __attribute__((vector_size(4 * LANES)));
typedef int32_t ints __attribute__((vector_size(4 * LANES)));
typedef uint32_t words __attribute__((vector_size(4 * LANES)));
typedef uint16_t halves __attribute__((vector_size(2 * LANES)));
typedef uint16_t bfloat16; /* the upper half of a float */

#define INLINE static inline __attribute__((always_inline))

INLINE floats all(float value) { return (floats){0} + value; }

INLINE ints bits_of(floats x) { return (ints)x; }

/* mask: all bits of a lane, or none, as comparisons return it */
INLINE floats select_floats(ints mask, floats yes, floats no) {
    return (floats)((mask & (ints)yes) | (~mask & (ints)no));
}

INLINE ints select_ints(ints mask, ints yes, ints no) { return (mask & yes) | (~mask & no); }

INLINE floats maximum(floats a, floats b) { return select_floats(a > b, a, b); } /* b where one is NaN */

/* x between two limits; a NaN stays one, as everywhere here: a training shall see that it diverges. */
INLINE floats limited(floats x, float low, float high) {
    x = select_floats(x < low, all(low), x);
    return select_floats(x > high, all(high), x);
}

INLINE floats magnitude(floats x) { return (floats)(bits_of(x) & 0x7fffffff); }

/* The first `count` <= LANES values; a constant count becomes one instruction. */
INLINE floats load_float(const float *from, int count) {
    floats x = {0};
    memcpy(&x, from, 4 * count);
    return x;
}

INLINE void store_float(float *to, floats x, int count) { memcpy(to, &x, 4 * count); }

INLINE floats load_bfloat16(const bfloat16 *from, int count) {
    halves upper = {0};
    memcpy(&upper, from, 2 * count);
    return (floats)(__builtin_convertvector(upper, words) << 16);
}

/* Rounded to nearest, ties to even, as torch rounds; a NaN stays one. */
INLINE void store_bfloat16(bfloat16 *to, floats x, int count) {
    words raw = (words)x;
    words rounded = (raw + 0x7fff + ((raw >> 16) & 1)) >> 16;
    ints is_nan = x != x;
    halves upper = __builtin_convertvector((words)select_ints(is_nan, (ints)((raw >> 16) | 0x40), (ints)rounded), halves);
    memcpy(to, &upper, 2 * count);
}

/* exp(x) with an error of 2 units in the last place (the polynomial of Cephes' expf); x is limited to where the result
   is a normal number. */
INLINE floats exponential(floats x) {
    x = limited(x, -87.3f, 88.3f);
    const floats to_integer = all(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer */
    floats n = (x * 1.44269504088896341f + to_integer) - to_integer;
    floats r = x - n * 0.693359375f + n * 2.12194440e-4f; /* x - n log 2, in two parts */
    floats p = all(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    ints scale = (__builtin_convertvector(n, ints) + 127) << 23; /* 2^n */
    return p * (floats)scale;
}

INLINE floats sigmoid(floats x) { return 1.0f / (1.0f + exponential(-x)); }

/* Near zero by a polynomial (Cephes' tanhf), as 1 - 2 / (exp(2 |x|) + 1) would lose digits there. */
INLINE floats hyperbolic_tangent(floats x) {
    floats size = magnitude(x);
    floats large = 1.0f - 2.0f / (exponential(2.0f * size) + 1.0f);
    large = (floats)(bits_of(large) | (bits_of(x) & (int32_t)0x80000000));
    floats square = x * x;
    floats p = all(-5.70498872745e-3f);
    p = p * square + 2.06390887954e-2f;
    p = p * square - 5.37397155531e-2f;
    p = p * square + 1.33314422036e-1f;
    p = p * square - 3.33332819422e-1f;
    return select_floats(size < 0.625f, p * square * x + x, large);
}
