// Per-pixel steps of the temporal pools, shared by the CPU and CUDA kernels.
// No torch here.
#pragma once

#include <cstdint>
#include <type_traits>

#include "rrelu_math.h" // ORIGINET_HD

namespace originet {

// One step of a motion pool: the frame difference FT(t) = F_t - F_(t-1)
// (Eq. 3) made non-negative.
template <typename acc_t, bool kRectify>
ORIGINET_HD acc_t motion_step(acc_t current, acc_t previous) {
  const acc_t difference = current - previous;
  if constexpr (kRectify) {
    return difference < acc_t(0) ? acc_t(0) : difference; // NaN stays NaN
  } else {
    return difference < acc_t(0) ? -difference : difference;
  }
}

// Sum over t = 2..n of g(FT(t-1)) + g(FT(t)) with FT(1) = 0 counts every
// difference twice but the last one, which it counts once.
template <typename acc_t>
ORIGINET_HD acc_t motion_total(acc_t sum, acc_t last) {
  return acc_t(2) * sum - last;
}

} // namespace originet
