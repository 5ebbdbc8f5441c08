// All kernels in one module.
#include "elementwise.cu"
#include "attention.cu"
#include "product.cu"
#include "sampler.cu"
