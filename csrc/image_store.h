// What the CPU loops of the pools share: how much work is worth a thread, and how images are
// written. No torch here.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu_vector.h"
#include "image_epilogue.h"

namespace originet {

// The least number of pixels that a thread should read; with fewer, a second thread costs more
// than it saves.
constexpr int64_t kPixelGrain = 65536;

// How many pixels a loop computes before it passes them to an ImageStore.
constexpr int kCell = 64;

template <typename out_t>
class ImageStore {
 public:
  explicit ImageStore(Normalize normalize) : normalize_(normalize) {}

  // Writes n <= kCell values.
  __attribute__((always_inline)) void put(out_t (&values)[kCell], int64_t n, out_t* to) {
    if (normalize_ == Normalize::kClip) {
      for (int j = 0; j < kCell; ++j) {
        values[j] = saturate(values[j]);
      }
    } else if (normalize_ == Normalize::kMinmax) {
      for (int64_t j = n; j < kCell; ++j) {
        values[j] = values[0];
      }
      for (int j = 0; j < kCell; ++j) {
        lanes_[j].add(values[j]);
      }
    }
    if (n == kCell) {
      std::memcpy(to, values, sizeof values);
    } else {
      std::memcpy(to, values, n * sizeof(out_t));
    }
  }

  // The extremes of all that was written.
  Extremes<out_t> extremes() const {
    Extremes<out_t> all;
    for (const Extremes<out_t>& lane : lanes_) {
      all.add(lane);
    }
    return all;
  }

 private:
  Normalize normalize_;
  Extremes<out_t> lanes_[kCell];
};

template <typename out_t>
ORIGINET_MULTIVERSION void stretch_pixels(
    out_t* image, int64_t n, const Extremes<out_t>& extremes) {
  const Extremes<out_t> local = extremes;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    image[i] = stretch(image[i], local);
  }
}

} // namespace originet
