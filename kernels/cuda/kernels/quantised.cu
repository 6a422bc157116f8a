// From weights of few bits to elements, as `swift_kernels::quantised` decodes them: a thread for each element.
#include "common.cuh"

struct Dequantise {
  const void *codes, *scales;
  void* y;
  int64 count, block, bits;
};

// The values of 4-bit NormalFloat (Dettmers et al. 2023, "QLoRA", appendix E).
__constant__ float NF4[16] = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

// With 4 bits two elements share a byte, the first in the high half; with 8 a byte is a whole number with its sign. Each block of
// elements, row after row, has a scale.
template <class T>
__device__ void dequantise(const Dequantise& a) {
  int64 i = index();
  if (i >= a.count) return;
  const unsigned char* codes = static_cast<const unsigned char*>(a.codes);
  float scale = static_cast<const float*>(a.scales)[i / a.block];
  float value = a.bits == 4 ? NF4[i % 2 ? codes[i / 2] & 15 : codes[i / 2] >> 4] : float(static_cast<signed char>(codes[i]));
  static_cast<T*>(a.y)[i] = store<T>(Compute<T>(value * scale));
}
EXPORT(dequantise, Dequantise)
