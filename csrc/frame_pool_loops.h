// The CPU loops of the temporal pools over floating frames, and over uint8 frames whose
// sums do not fit in 32 bits. They handle one pixel after the other. No torch here.
#pragma once

#include <algorithm>
#include <cstdint>

#include "frame_pool_math.h"
#include "frame_shape.h"
#include "image_store.h"

namespace originet {

// A pixel as it enters the weighted sums. If kCentered, `pivot` is subtracted (see Clip).
template <bool kCentered, typename stored_t, typename acc_t>
ORIGINET_HD acc_t pixel_of(stored_t stored, acc_t pivot) {
  const auto value = static_cast<acc_t>(Arithmetic<stored_t>::load(stored));
  return kCentered ? value - pivot : value;
}

// sum[i] += weight * frame[i], or weight * (frame[i] - pivot[i]) if kCentered
template <bool kCentered, typename stored_t, typename acc_t>
ORIGINET_MULTIVERSION void add_weighted_frame(
    const stored_t* frame, const stored_t* pivot, acc_t weight, const Patch& patch, acc_t* sum) {
  using A = Arithmetic<stored_t>;
  for (int64_t row = 0; row < patch.rows; ++row, sum += patch.run) {
    const int64_t start = row * patch.row_stride;
#pragma omp simd
    for (int64_t i = 0; i < patch.run; ++i) {
      const acc_t p = kCentered ? static_cast<acc_t>(A::load(pivot[start + i])) : acc_t(0);
      sum[i] += weight * pixel_of<kCentered>(frame[start + i], p);
    }
  }
}

// The same for four frames, in the same order of additions.
template <bool kCentered, typename stored_t, typename acc_t>
ORIGINET_MULTIVERSION void add_four_weighted_frames(
    const stored_t* const* frames,
    const stored_t* pivot,
    const acc_t* weight,
    const Patch& patch,
    acc_t* sum) {
  using A = Arithmetic<stored_t>;
  const acc_t w0 = weight[0], w1 = weight[1], w2 = weight[2], w3 = weight[3];
  for (int64_t row = 0; row < patch.rows; ++row, sum += patch.run) {
    const int64_t start = row * patch.row_stride;
    const stored_t* f0 = frames[0] + start;
    const stored_t* f1 = frames[1] + start;
    const stored_t* f2 = frames[2] + start;
    const stored_t* f3 = frames[3] + start;
    const stored_t* f = pivot + start;
#pragma omp simd
    for (int64_t i = 0; i < patch.run; ++i) {
      const acc_t p = kCentered ? static_cast<acc_t>(A::load(f[i])) : acc_t(0);
      acc_t s = sum[i];
      s += w0 * pixel_of<kCentered>(f0[i], p);
      s += w1 * pixel_of<kCentered>(f1[i], p);
      s += w2 * pixel_of<kCentered>(f2[i], p);
      s += w3 * pixel_of<kCentered>(f3[i], p);
      sum[i] = s;
    }
  }
}

// sum[i] += g(current[i] - previous[i])
template <typename stored_t, typename acc_t, bool kRectify>
ORIGINET_MULTIVERSION void add_motion_patch(
    const stored_t* current, const stored_t* previous, const Patch& patch, acc_t* sum) {
  using A = Arithmetic<stored_t>;
  for (int64_t row = 0; row < patch.rows; ++row, sum += patch.run) {
    const int64_t start = row * patch.row_stride;
#pragma omp simd
    for (int64_t i = 0; i < patch.run; ++i) {
      sum[i] += motion_step<acc_t, kRectify>(
          static_cast<acc_t>(A::load(current[start + i])),
          static_cast<acc_t>(A::load(previous[start + i])));
    }
  }
}

template <typename acc_t>
ORIGINET_MULTIVERSION void flush_sums(acc_t* block, int64_t n, acc_t* total) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    total[i] += block[i];
    block[i] = 0;
  }
}

// total[i] = 2 total[i] + last[i]
template <typename acc_t>
ORIGINET_MULTIVERSION void finish_float_motion(acc_t* total, const acc_t* last, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    total[i] = motion_total(total[i], last[i]);
  }
}

template <typename acc_t, typename out_t>
ORIGINET_MULTIVERSION void store_sums(
    const acc_t* sum, int64_t n, ImageStore<out_t>& store, out_t* image) {
  for (int64_t i = 0; i < n; i += kCell) {
    const int64_t pixels = std::min<int64_t>(kCell, n - i);
    out_t values[kCell] = {};
    if (pixels == kCell) {
      for (int j = 0; j < kCell; ++j) {
        values[j] = static_cast<out_t>(sum[i + j]);
      }
    } else {
      for (int64_t j = 0; j < pixels; ++j) {
        values[j] = static_cast<out_t>(sum[i + j]);
      }
    }
    store.put(values, pixels, image + i);
  }
}

} // namespace originet
