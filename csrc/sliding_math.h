// Per-pixel steps of sliding windows, shared by the CPU and CUDA kernels. No torch here.
//
// The windows of a group all hold one frame, the pivot c. A walk backwards from c yields,
// at the start of each window, what the window's frames before c add to its image. A walk
// forwards from c adds the rest at the window's end (the suffixes and prefixes of van Herk
// and of Gil and Werman). Every frame is visited about twice, however long the windows
// are. Nothing is ever subtracted from a running sum, so errors do not persist, and a
// frame that is not finite spoils only the windows that hold it.
#pragma once

#include <cstdint>
#include <type_traits>

#include "frame_pool_math.h" // kMaxPixel, motion_step, motion_total

namespace originet {

// The longest window of uint8 frames: 64 bits hold its weighted sums, whose weights are at most
// the number of frames.
constexpr int64_t kMostByteFrames = 100'000'000;
static_assert(kMostByteFrames <= INT64_MAX / kMaxPixel / kMostByteFrames);

// What linear methods sum: integers as they are, floating frames as deviations from the
// pivot frame. The weights sum to 0, so that changes nothing, except that pixels at rest
// give exactly 0 and no large terms have to cancel.
template <typename acc_t>
ORIGINET_HD acc_t deviation(acc_t value, acc_t pivot) {
  if constexpr (std::is_integral_v<acc_t>) {
    return value;
  } else {
    return value - pivot;
  }
}

// Visits one more frame. `moment` counts every frame as many times as frames were visited
// after it.
template <typename acc_t>
ORIGINET_HD void ramp_step(acc_t value, acc_t& sum, acc_t& moment) {
  moment += sum;
  sum += value;
}

// The weighted sum of the visited frames. In a window of w frames, frame i has the weight
// 2i - (w - 1), i = 0..w-1. Walking backwards to the window's start, i is the number of
// frames visited after it. Walking forwards to the window's end, that number is w - 1 - i,
// and the sum changes its sign.
template <typename acc_t>
ORIGINET_HD acc_t ramp_total(acc_t sum, acc_t moment, acc_t window) {
  return acc_t(2) * moment - (window - acc_t(1)) * sum;
}

// How the image of a window of w frames follows from its two walks. before() is what the
// frames from the window's start to the pivot add, after() what the frames from the pivot
// to its end add. Both take the frame at their own end of the window.
//
// `rank-simple` and `authors`, which counts the first frame once more and the last once
// less. `ends_t` is a constant, or bool if one kernel serves both.
template <typename ends_t>
struct RampWeights {
  static constexpr bool kMoment = true;
  ends_t ends;

  template <typename acc_t>
  ORIGINET_HD acc_t before(acc_t sum, acc_t moment, acc_t first, acc_t window) const {
    const acc_t total = ramp_total(sum, moment, window);
    return ends ? total + first : total;
  }
  template <typename acc_t>
  ORIGINET_HD acc_t after(acc_t sum, acc_t moment, acc_t last, acc_t window) const {
    const acc_t total = -ramp_total(sum, moment, window);
    return ends ? total - last : total;
  }
};

// `cumulative`: 2 S - (2w - 1) first - last with S the sum of all frames.
struct CumulativeWeights {
  static constexpr bool kMoment = false;

  template <typename acc_t>
  ORIGINET_HD acc_t before(acc_t sum, acc_t, acc_t first, acc_t window) const {
    return acc_t(2) * sum - (acc_t(2) * window - acc_t(1)) * first;
  }
  template <typename acc_t>
  ORIGINET_HD acc_t after(acc_t sum, acc_t, acc_t last, acc_t) const {
    return acc_t(2) * sum - last;
  }
};

} // namespace originet
