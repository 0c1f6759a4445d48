// What happens to an image before it is stored: nothing, saturation to 0..255 or, once its
// extremes are known, a linear map to 0..255. No torch here.
#pragma once

#include <limits>

#include "frame_pool_math.h" // kMaxPixel

namespace originet {

enum class Normalize { kNone, kClip, kMinmax };

// The smallest and largest value of an image; both are NaN if any value is.
template <typename out_t>
struct Extremes {
  out_t low = std::numeric_limits<out_t>::infinity();
  out_t high = -std::numeric_limits<out_t>::infinity();

  ORIGINET_HD void add(out_t value) {
    add(value, value);
  }
  ORIGINET_HD void add(const Extremes& other) {
    add(other.low, other.high);
  }

 private:
  // A comparison with NaN is false, so a NaN stays once it is there.
  ORIGINET_HD void add(out_t lower, out_t higher) {
    low = lower < low || lower != lower ? lower : low;
    high = higher > high || higher != higher ? higher : high;
  }
};

template <typename out_t>
ORIGINET_HD out_t saturate(out_t value) {
  value = value < out_t(0) ? out_t(0) : value;
  return value > out_t(kMaxPixel) ? out_t(kMaxPixel) : value;
}

// Maps low..high to 0..255. Dividing first maps `high` to exactly 255. An image with only
// one value gives zeros.
template <typename out_t>
ORIGINET_HD out_t stretch(out_t value, const Extremes<out_t>& extremes) {
  const out_t span = extremes.high - extremes.low;
  return (value - extremes.low) / (span > out_t(0) ? span : out_t(1)) * out_t(kMaxPixel);
}

} // namespace originet
