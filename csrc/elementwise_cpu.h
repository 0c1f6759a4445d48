// The vectorised loop of the element-wise CPU kernels. No torch here, so that the
// tests can compile it alone for every instruction set.
#pragma once

#include <algorithm>

#include "cpu_vector.h"

namespace originet {

// The exponentials of some elements, passed from one loop to the next.
template <typename stored_t, typename Functor>
struct Stage {
  using acc_t = typename Arithmetic<stored_t>::type;
  static constexpr int kExponentials = Functor::kInputs - Functor::kFirst;
  // Few enough that memory is read without long pauses.
  static constexpr int64_t kElements = 512 / sizeof(acc_t);
  alignas(64) acc_t magnitude[kExponentials][kElements];
  alignas(64) acc_t scaled[kExponentials][kElements];
};

template <typename stored_t, typename Functor>
ORIGINET_HD void take_exponential(
    const stored_t* x, Stage<stored_t, Functor>& stage, int k, int64_t i) {
  const typename Functor::Z z(Arithmetic<stored_t>::load(x[i]));
  stage.magnitude[k][i] = z.magnitude;
  stage.scaled[k][i] = z.scaled;
}

// Maps element begin + i of every input to every output. Not written inside the loop
// because arrays declared in an `omp simd` region become arrays of lanes, which are slow.
template <typename stored_t, typename Functor>
ORIGINET_HD void apply_to_element(
    const Functor& f,
    const ElementPointers<stored_t, Functor>& p,
    const Stage<stored_t, Functor>& stage,
    int64_t begin,
    int64_t i) {
  using A = Arithmetic<stored_t>;
  constexpr int kExponentials = Functor::kInputs - Functor::kFirst;
  typename A::type in[Functor::kInputs];
  typename A::type out[Functor::kOutputs];
  typename Functor::Z z[kExponentials];
  for (int k = 0; k < Functor::kInputs; ++k) {
    in[k] = A::load(p.in[k][begin + i]);
  }
  for (int k = 0; k < kExponentials; ++k) {
    z[k] = {stage.magnitude[k][i], stage.scaled[k][i]};
  }
  f(in, z, out);
  for (int k = 0; k < Functor::kOutputs; ++k) {
    p.out[k][begin + i] = A::store(out[k]);
  }
}

// Computes elements [begin, begin + n) in two loops; n is at most Stage::kElements.
template <typename stored_t, typename Functor>
ORIGINET_HD void apply_in_stages(
    const Functor& functor,
    const ElementPointers<stored_t, Functor>& pointers,
    Stage<stored_t, Functor>& stage,
    int64_t begin,
    int64_t n) {
  for (int k = 0; k < stage.kExponentials; ++k) {
    const stored_t* x = pointers.in[Functor::kFirst + k] + begin;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      take_exponential(x, stage, k, i);
    }
  }
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    apply_to_element(functor, pointers, stage, begin, i);
  }
}

// Computes elements [begin, end) of a dense layout, treated as one dimension. Arguments
// are passed by value so that the compiler knows that no store changes a pointer or alpha.
template <typename stored_t, typename Functor>
ORIGINET_MULTIVERSION void elementwise_loop(
    Functor functor, ElementPointers<stored_t, Functor> pointers, int64_t begin, int64_t end) {
  using S = Stage<stored_t, Functor>;
  S stage;
  for (; begin + S::kElements <= end; begin += S::kElements) {
    // The first loop reads memory and the second hardly does, so the processor's own
    // prefetching would start afresh with each stage.
    for (int k = 0; k < Functor::kInputs; ++k) {
#pragma GCC unroll 8
      for (int64_t i = 0; i < S::kElements; i += 64 / sizeof(stored_t)) {
        __builtin_prefetch(pointers.in[k] + begin + 2 * S::kElements + i);
      }
    }
    apply_in_stages(functor, pointers, stage, begin, S::kElements);
  }
  apply_in_stages(functor, pointers, stage, begin, end - begin);
}

template <typename stored_t, typename Functor>
void elementwise(
    const Functor& functor,
    const ElementPointers<stored_t, Functor>& pointers,
    int64_t begin,
    int64_t end) {
  elementwise_loop(functor, pointers, begin, end);
}

#ifdef ORIGINET_F16C
// float16 goes through buffers of float32 in the L1 cache. The processor converts eight
// at a time, but the compiler does not use that inside a larger loop.
template <typename Functor>
void elementwise(
    const Functor& functor,
    const ElementPointers<HalfBits, Functor>& pointers,
    int64_t begin,
    int64_t end) {
  if (!has_f16c()) {
    return elementwise_loop(functor, pointers, begin, end);
  }
  constexpr int64_t kBufferElements = 256;
  float in[Functor::kInputs][kBufferElements];
  float out[Functor::kOutputs][kBufferElements];
  ElementPointers<float, Functor> block;
  for (int k = 0; k < Functor::kInputs; ++k) {
    block.in[k] = in[k];
  }
  for (int k = 0; k < Functor::kOutputs; ++k) {
    block.out[k] = out[k];
  }
  for (int64_t i = begin; i < end; i += kBufferElements) {
    const int64_t n = std::min(kBufferElements, end - i);
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
