// Per-pixel steps of sliding windows, shared by the CPU and CUDA kernels. No
// torch here.
//
// The windows of a group all hold one frame, the pivot c. A walk backwards from c
// leaves, at the start of each window, what its frames before c add to its image;
// a walk forwards from c adds the rest at its end (the suffixes and prefixes of van
// Herk and of Gil and Werman). Every frame is visited about twice, whatever the
// length of the windows, and nothing is ever taken away again from a running sum:
// no error lives on, and a frame that is not finite spoils the windows that hold
// it, no others.
#pragma once

#include <cstdint>
#include <type_traits>

#include "frame_pool_math.h" // motion_step, motion_total

namespace originet {

// What linear methods sum: integers as they are; floating frames as deviations from
// the pivot frame, which changes nothing, because the weights sum to 0, but gives
// exactly 0 for pixels at rest and leaves no large terms to cancel.
template <typename acc_t>
ORIGINET_HD acc_t deviation(acc_t value, acc_t pivot) {
  if constexpr (std::is_integral_v<acc_t>) {
    return value;
  } else {
    return value - pivot;
  }
}

// `cumulative` over a window of w frames is 2 S - (2w - 1) first - last with S the sum of
// all of them: what the frames from its start to the pivot add to it, ...
template <typename acc_t>
ORIGINET_HD acc_t cumulative_before(acc_t sum, acc_t first, acc_t window) {
  return acc_t(2) * sum - (acc_t(2) * window - acc_t(1)) * first;
}

// ... and those from the pivot to its end.
template <typename acc_t>
ORIGINET_HD acc_t cumulative_after(acc_t sum, acc_t last) {
  return acc_t(2) * sum - last;
}

// Walks one frame of a ramp on. `moment` counts every frame as often as there are frames
// visited after it.
template <typename acc_t>
ORIGINET_HD void ramp_step(acc_t value, acc_t& sum, acc_t& moment) {
  moment += sum;
  sum += value;
}

// The weighted sum of the frames visited. In a window of w frames the i-th has
// weight 2i - (w - 1), i = 0..w-1. Walking backwards to the window's start, i is
// the number of frames visited after it. Walking forwards to its end, that number
// is w - 1 - i, and the sum changes its sign.
template <typename acc_t>
ORIGINET_HD acc_t ramp_total(acc_t sum, acc_t moment, acc_t window) {
  return acc_t(2) * moment - (window - acc_t(1)) * sum;
}

} // namespace originet
