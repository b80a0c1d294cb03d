/* Kernels of the biLM's training on a CPU. Each is one pass over its operands, where a chain of tensor operations
   would read and write them many times. See `elmo/bilm/kernels/library.py` for how this file is compiled. */
#include "vectors.h"

#define NAME(function) function##_float
#define VALUE float
#define LOAD load_float
#define STORE store_float
#include "cells.h"
#include "highway.h"
#include "steps.h"
#undef NAME
#undef VALUE
#undef LOAD
#undef STORE

#define NAME(function) function##_bfloat16
#define VALUE bfloat16
#define LOAD load_bfloat16
#define STORE store_bfloat16
#include "cells.h"
#include "highway.h"

#include "softmax.h"
#include "windows.h"
