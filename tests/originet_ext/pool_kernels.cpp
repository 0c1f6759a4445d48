// The CPU pools without torch, for tests/originet_ext/test_cpu_levels.py like cpu_kernels.cpp:
// every kind of sums, over clips of many lengths and frames of many shapes, beside
// 64-bit sums computed one pixel at a time. Prints the number of pixels compared;
// complains of the first wrong one and exits with 1.
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "frame_pool_tiles.h"

namespace {

using namespace originet;

constexpr int64_t kPad = 37; // elements between frames, never to be read
int64_t compared = 0;

uint32_t next_random() {
  static uint32_t state = 1;
  state = state * 1664525u + 1013904223u;
  return state >> 8;
}

void compare(
    const char* what, int64_t frames, int64_t pixel, double got, double want, double bound) {
  ++compared;
  if (!(std::fabs(got - want) <= bound)) {
    std::fprintf(
        stderr, "%s of %" PRId64 " frames, pixel %" PRId64 ": %.9g in place of %.9g\n", what,
        frames, pixel, got, want);
    std::exit(1);
  }
}

// A clip of random frames that are `rows` runs of `run` pixels, with gaps between.
template <typename stored_t>
struct TestClip {
  int64_t length;
  FrameShape shape;
  FrameStrides strides;
  std::vector<stored_t> data;

  TestClip(int64_t length, int64_t rows, int64_t run, int64_t gap)
      : length(length), shape{1, rows, run}, strides{rows * (run + gap) + kPad, 0, run + gap} {
    for (int64_t i = 0; i < length * strides.frame; ++i) {
      // Extremes often, because they are what overflows.
      const uint32_t kind = next_random() % 4;
      const double value = kind == 0 ? 0 : kind == 1 ? 255 : next_random() % 256;
      data.push_back(static_cast<stored_t>(value));
    }
  }
  Clip clip() const {
    return {reinterpret_cast<const std::byte*>(data.data()), strides, 0, length};
  }
  Tile tile() const {
    return {0, 0, shape.rows, shape.run};
  }
  double at(int64_t t, int64_t pixel) const {
    return static_cast<double>(
        data[t * strides.frame + pixel / shape.run * strides.row + pixel % shape.run]);
  }
};

template <typename stored_t, typename Sums>
std::vector<std::conditional_t<std::is_same_v<stored_t, double>, double, float>> image_of(
    const TestClip<stored_t>& clip, Sums&& sums, Normalize normalize) {
  using out_t = std::conditional_t<std::is_same_v<stored_t, double>, double, float>;
  std::vector<out_t> image(clip.shape.pixels(), -1);
  ImageStore<out_t> store(normalize);
  sums.run(clip.clip(), clip.tile(), image.data(), store);
  if (normalize == Normalize::kMinmax) {
    stretch_pixels(image.data(), clip.shape.pixels(), store.extremes());
  }
  return image;
}

template <typename stored_t, typename Sums>
void check_motion(const char* what, const TestClip<stored_t>& clip, bool rectify, Sums&& sums) {
  const double eps = std::is_same_v<stored_t, uint8_t> ? 0 : 0x1p-24;
  const auto image = image_of(clip, sums, Normalize::kNone);
  for (int64_t p = 0; p < clip.shape.pixels(); ++p) {
    double want = 0, magnitude = 0;
    for (int64_t t = 1; t < clip.length; ++t) {
      const double step = clip.at(t, p) - clip.at(t - 1, p);
      const double size = rectify ? std::max(step, 0.0) : std::fabs(step);
      want += (t == clip.length - 1 ? 1 : 2) * size;
      magnitude += 4 * std::fabs(step);
    }
    const double bound =
        eps == 0 ? std::fabs(want - static_cast<float>(want)) : eps * (clip.length + 4) * magnitude;
    compare(what, clip.length, p, image[p], want, bound);
  }
}

template <typename stored_t, typename weight_t, typename Sums>
void check_weights(
    const char* what,
    const TestClip<stored_t>& clip,
    const std::vector<weight_t>& weights,
    Sums&& sums) {
  const double eps = std::is_integral_v<weight_t> ? 0 : 0x1p-24;
  for (const Normalize normalize : {Normalize::kNone, Normalize::kClip, Normalize::kMinmax}) {
    const auto image = image_of(clip, sums, normalize);
    std::vector<double> want(clip.shape.pixels()), bound(clip.shape.pixels());
    double low = INFINITY, high = -INFINITY;
    for (int64_t p = 0; p < clip.shape.pixels(); ++p) {
      for (int64_t t = 0; t < clip.length; ++t) {
        const double term = static_cast<double>(weights[t]) * clip.at(t, p);
        want[p] += term;
        bound[p] += eps * (clip.length + 4) * std::fabs(term);
      }
      bound[p] += std::fabs(want[p] - static_cast<float>(want[p]));
      low = std::min(low, want[p]);
      high = std::max(high, want[p]);
    }
    for (int64_t p = 0; p < clip.shape.pixels(); ++p) {
      if (normalize == Normalize::kClip) {
        want[p] = std::clamp(want[p], 0.0, 255.0);
      } else if (normalize == Normalize::kMinmax) {
        want[p] = high > low ? (want[p] - low) / (high - low) * 255 : 0;
        bound[p] = 255 * 1e-4; // the extremes have errors too
      }
      compare(what, clip.length, p, image[p], want[p], bound[p]);
    }
  }
}

template <typename acc_t>
void check_bytes(const TestClip<uint8_t>& clip) {
  const int64_t n = clip.length;
  std::vector<int64_t> index(n);
  std::vector<acc_t> cumulative(n, 2), ramp(n), authors(n), any(n);
  cumulative[n - 1] = 1;
  cumulative[0] = static_cast<acc_t>(n == 1 ? 0 : 3 - 2 * n);
  std::vector<float> floats(n);
  for (int64_t t = 0; t < n; ++t) {
    index[t] = t;
    ramp[t] = static_cast<acc_t>(2 * (t + 1) - n - 1);
    authors[t] = static_cast<acc_t>(std::max<int64_t>(t - 1, 0) - std::max<int64_t>(n - 2 - t, 0));
    any[t] = static_cast<acc_t>(next_random() % 2001) - 1000;
    floats[t] = static_cast<float>(next_random()) / 0x1p24f - 0.5f;
  }
  using Weighted = WeightedTile<uint8_t, acc_t, float>;
  check_weights("cumulative", clip, cumulative, Weighted(index.data(), cumulative.data(), false));
  check_weights("rank-simple", clip, ramp, Weighted(index.data(), ramp.data(), false));
  check_weights("authors", clip, authors, Weighted(index.data(), authors.data(), false));
  check_weights("any integers", clip, any, Weighted(index.data(), any.data(), false));
  using Floats = WeightedTile<uint8_t, float, float>;
  check_weights("floats", clip, floats, Floats(index.data(), floats.data(), false));
  check_weights("large floats", clip, floats, Floats(index.data(), floats.data(), true));
  check_motion("absolute", clip, false, ByteMotionTile<acc_t, false>());
  check_motion("rectified", clip, true, ByteMotionTile<acc_t, true>());
}

template <typename real_t>
void check_floats(const TestClip<real_t>& clip) {
  std::vector<int64_t> index;
  std::vector<real_t> weights;
  for (int64_t t = 0; t < clip.length; ++t) {
    index.push_back(t);
    weights.push_back(static_cast<real_t>(next_random()) / real_t(0x1p24) - real_t(0.5));
  }
  using Weighted = WeightedTile<real_t, real_t, real_t>;
  check_weights("floating", clip, weights, Weighted(index.data(), weights.data(), false));
  check_motion("floating absolute", clip, false, MotionTile<real_t, real_t, false>());
  check_motion("floating rectified", clip, true, MotionTile<real_t, real_t, true>());
}

} // namespace

int main() {
  // rows, run, gap between rows
  constexpr int64_t kShapes[][3] = {
      {1, 1, 0},
      {1, 63, 0},
      {1, 64, 0},
      {1, 65, 0},
      {1, 200, 0},
      {5, 40, 24},
      {3, 100, 28},
      {4, 128, 1},
      {1, 200, 4096 - kPad - 200}}; // the last one is summed in sweeps of half the length
  static_assert(byte_sweep_of(4096) == 8 && byte_sweep_of(4096 + kPad) == 16);
  for (const auto& [rows, run, gap] : kShapes) {
    for (const int64_t length :
         {1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 18, 31, 32, 33, 64, 65, 131, 259}) {
      const TestClip<uint8_t> bytes(length, rows, run, gap);
      check_bytes<int32_t>(bytes);
      check_bytes<int64_t>(bytes);
      check_floats(TestClip<float>(length, rows, run, gap));
      check_floats(TestClip<double>(length, rows, run, gap));
    }
  }
  std::printf("compared %" PRId64 "\n", compared);
  return 0;
}
