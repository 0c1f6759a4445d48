// The vectorised loop of the element-wise CPU kernels. No torch here, so that the
// tests can compile it alone for every instruction set.
#pragma once

#include <algorithm>

#include "cpu_vector.h"

namespace originet {

template <typename stored_t, typename Functor>
struct Pointers {
  const stored_t* in[Functor::kInputs];
  stored_t* out[Functor::kOutputs];
};

// Element i of every input to every output. Apart from the loop: arrays declared
// inside of an `omp simd` region become arrays of lanes, which cost speed.
template <typename stored_t, typename Functor>
ORIGINET_HD void apply(const Functor& f, const Pointers<stored_t, Functor>& p, int64_t i) {
  using A = Arithmetic<stored_t>;
  typename A::type in[Functor::kInputs];
  typename A::type out[Functor::kOutputs];
  for (int k = 0; k < Functor::kInputs; ++k) {
    in[k] = A::load(p.in[k][i]);
  }
  f(in, out);
  for (int k = 0; k < Functor::kOutputs; ++k) {
    p.out[k][i] = A::store(out[k]);
  }
}

// Elements [begin, end) of a dense layout taken as one dimension. Arguments by
// value, so that no store can be taken to change a pointer or alpha.
template <typename stored_t, typename Functor>
ORIGINET_MULTIVERSION void elementwise_loop(
    Functor functor, Pointers<stored_t, Functor> pointers, int64_t begin, int64_t end) {
#pragma omp simd
  for (int64_t i = begin; i < end; ++i) {
    apply(functor, pointers, i);
  }
}

template <typename stored_t, typename Functor>
void elementwise(
    const Functor& functor,
    const Pointers<stored_t, Functor>& pointers,
    int64_t begin,
    int64_t end) {
  elementwise_loop(functor, pointers, begin, end);
}

#ifdef ORIGINET_F16C
// float16 through buffers of float32 in the L1 cache: the processor converts eight
// at a time, but the compiler makes no use of that inside of a larger loop.
template <typename Functor>
void elementwise(
    const Functor& functor,
    const Pointers<HalfBits, Functor>& pointers,
    int64_t begin,
    int64_t end) {
  if (!has_f16c()) {
    return elementwise_loop(functor, pointers, begin, end);
  }
  constexpr int64_t kBlock = 256;
  float in[Functor::kInputs][kBlock];
  float out[Functor::kOutputs][kBlock];
  Pointers<float, Functor> block;
  for (int k = 0; k < Functor::kInputs; ++k) {
    block.in[k] = in[k];
  }
  for (int k = 0; k < Functor::kOutputs; ++k) {
    block.out[k] = out[k];
  }
  for (int64_t i = begin; i < end; i += kBlock) {
    const int64_t n = std::min(kBlock, end - i);
    for (int k = 0; k < Functor::kInputs; ++k) {
      widen_f16c(pointers.in[k] + i, in[k], n);
    }
    elementwise_loop(functor, block, 0, n);
    for (int k = 0; k < Functor::kOutputs; ++k) {
      narrow_f16c(out[k], pointers.out[k] + i, n);
    }
  }
}
#endif

} // namespace originet
