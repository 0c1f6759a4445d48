// Per-pixel steps of the temporal pools, shared by the CPU and CUDA kernels.
// No torch here.
#pragma once

#include <cstdint>
#include <optional>
#include <type_traits>

#include "rrelu_math.h" // ORIGINET_HD

namespace originet {

constexpr int64_t kMaxPixel = 255; // of a uint8 frame

// Floats are summed in blocks of this many terms, so that rounding errors grow with the
// number of blocks and not with the number of terms.
constexpr int64_t kTermsPerBlock = 64;

// uint8 frames are summed in 16 bits first, in which vectors hold the most pixels. 16 bits hold
// the sum of at most this many pixels, or of this many non-negative steps between pixels,
constexpr int64_t kPixelsIn16Bits = 257;
static_assert(kPixelsIn16Bits * kMaxPixel <= UINT16_MAX);
// and the sum of the sums of the first 1, 2, ... k pixels, for k up to this.
constexpr int64_t kPrefixesIn16Bits = 22;
static_assert(kPrefixesIn16Bits * (kPrefixesIn16Bits + 1) / 2 * kMaxPixel <= UINT16_MAX);

// One step of a motion pool: the frame difference FT(t) = F_t - F_(t-1)
// (Eq. 3) made non-negative.
template <typename acc_t, bool kRectify>
ORIGINET_HD acc_t motion_step(acc_t current, acc_t previous) {
  const acc_t difference = current - previous;
  if constexpr (kRectify) {
    return difference < acc_t(0) ? acc_t(0) : difference; // NaN stays
  } else {
    return difference < acc_t(0) ? -difference : difference;
  }
}

// The sum over t = 2..n of g(FT(t-1)) + g(FT(t)) with FT(1) = 0 counts every difference
// twice except the last, which counts once. `before` is the sum of all but the last.
template <typename acc_t>
ORIGINET_HD acc_t motion_total(acc_t before, acc_t last) {
  return acc_t(2) * before + last;
}

// Weights over consecutive frames that grow by a constant step, except at the two ends:
// the weights of `rank-simple` and `authors` and, with a step of 0, of `cumulative`.
template <typename weight_t>
struct Ramp {
  weight_t first; // weight of the clip's first frame without the extra
  weight_t step;
  weight_t extra_first;
  weight_t extra_last;
};

template <typename weight_t>
std::optional<Ramp<weight_t>> find_ramp(
    const int64_t* index, const weight_t* weight, int64_t terms) {
  if (terms < 4) {
    return std::nullopt;
  }
  const weight_t step = weight[2] - weight[1];
  for (int64_t k = 1; k < terms; ++k) {
    const bool inside = 1 < k && k < terms - 1;
    if (index[k] != index[0] + k || (inside && weight[k] - weight[k - 1] != step)) {
      return std::nullopt;
    }
  }
  const weight_t first = weight[1] - step;
  const weight_t last = weight[terms - 2] + step;
  return Ramp<weight_t>{first, step, weight[0] - first, weight[terms - 1] - last};
}

} // namespace originet
