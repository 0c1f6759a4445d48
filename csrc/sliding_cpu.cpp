// CPU kernel of sliding windows (sliding_math.h). Work is divided into pairs of a tile of
// pixels and a group of windows. A thread takes the groups of a tile in temporal order. A
// tile is so small that the frames of a window and the partial sums of the group stay in
// the L2 cache, so frames are read from memory only once.
#include <memory>

#include "image_store.h"
#include "sliding.h"

namespace originet {
namespace {

constexpr int64_t kTileCacheBytes = 512 * 1024; // bytes of the L2 cache that a tile may fill
constexpr int64_t kFewestTilePixels = 256;
constexpr int64_t kMostTilePixels = 4096; // so that the sums stay in the L1 cache
// Frames read in one sweep over the sums, to load and store the sums less often.
constexpr int kWalkSweep = 4;

// Walks over kFrames frames, `step` elements apart.
template <typename stored_t, typename acc_t, int kFrames>
ORIGINET_MULTIVERSION void ramp_sweep(
    const stored_t* frame,
    int64_t step,
    const stored_t* pivot,
    acc_t* sum,
    acc_t* moment,
    int64_t n) {
  using A = Arithmetic<stored_t>;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    acc_t s = sum[i];
    acc_t m = moment[i];
    const auto p = static_cast<acc_t>(A::load(pivot[i]));
#pragma GCC unroll 8
    for (int k = 0; k < kFrames; ++k) {
      ramp_step(deviation(static_cast<acc_t>(A::load(frame[k * step + i])), p), s, m);
    }
    sum[i] = s;
    moment[i] = m;
  }
}

// partial = what the frames from a window's start to the pivot add
template <typename Weights, typename stored_t, typename acc_t, typename part_t>
ORIGINET_MULTIVERSION void linear_before(
    Weights weights,
    const stored_t* first,
    const stored_t* pivot,
    const acc_t* sum,
    const acc_t* moment,
    acc_t window,
    part_t* partial,
    int64_t n) {
  using A = Arithmetic<stored_t>;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const acc_t f =
        deviation(static_cast<acc_t>(A::load(first[i])), static_cast<acc_t>(A::load(pivot[i])));
    partial[i] = static_cast<part_t>(weights.before(sum[i], moment[i], f, window));
  }
}

// image = partial + what the frames from the pivot to the window's end add
template <typename Weights, typename stored_t, typename acc_t, typename part_t, typename out_t>
ORIGINET_MULTIVERSION void linear_image(
    Weights weights,
    const stored_t* last,
    const stored_t* pivot,
    const acc_t* sum,
    const acc_t* moment,
    acc_t window,
    const part_t* partial,
    out_t* image,
    int64_t n) {
  using A = Arithmetic<stored_t>;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const acc_t l =
        deviation(static_cast<acc_t>(A::load(last[i])), static_cast<acc_t>(A::load(pivot[i])));
    const acc_t rest = weights.after(sum[i], moment[i], l, window);
    image[i] = static_cast<out_t>(static_cast<acc_t>(partial[i]) + rest);
  }
}

// sum += kFrames frames, `step` elements apart
template <typename stored_t, typename acc_t, int kFrames>
ORIGINET_MULTIVERSION void sum_sweep(
    const stored_t* frame, int64_t step, const stored_t* pivot, acc_t* sum, int64_t n) {
  using A = Arithmetic<stored_t>;
  constexpr bool kBytes = std::is_same_v<stored_t, uint8_t>;
  static_assert(!kBytes || kFrames <= kPixelsIn16Bits);
  using step_t = std::conditional_t<kBytes, uint16_t, acc_t>;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    step_t part = 0;
    const auto p = static_cast<step_t>(A::load(pivot[i]));
#pragma GCC unroll 8
    for (int k = 0; k < kFrames; ++k) {
      const auto value = static_cast<step_t>(A::load(frame[k * step + i]));
      part = static_cast<step_t>(part + deviation<step_t>(value, p));
    }
    sum[i] += static_cast<acc_t>(part);
  }
}

// Adds the kFrames differences between kFrames + 1 frames, `step` elements apart.
template <typename stored_t, typename acc_t, int kFrames, bool kRectify>
ORIGINET_MULTIVERSION void motion_sweep(
    const stored_t* frame, int64_t step, acc_t* sum, int64_t n) {
  using A = Arithmetic<stored_t>;
  constexpr bool kBytes = std::is_same_v<stored_t, uint8_t>;
  static_assert(!kBytes || kFrames * kMaxPixel <= INT16_MAX);
  using step_t = std::conditional_t<kBytes, int16_t, acc_t>;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    step_t steps = 0;
    auto previous = static_cast<step_t>(A::load(frame[i]));
#pragma GCC unroll 8
    for (int k = 1; k <= kFrames; ++k) {
      const auto current = static_cast<step_t>(A::load(frame[k * step + i]));
      steps = static_cast<step_t>(steps + motion_step<step_t, kRectify>(current, previous));
      previous = current;
    }
    sum[i] += static_cast<acc_t>(steps);
  }
}

template <typename acc_t, typename part_t>
ORIGINET_MULTIVERSION void motion_before(const acc_t* sum, part_t* partial, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    partial[i] = static_cast<part_t>(sum[i]);
  }
}

template <typename stored_t, typename acc_t, typename part_t, typename out_t, bool kRectify>
ORIGINET_MULTIVERSION void motion_image(
    const stored_t* last,
    const stored_t* before_last,
    const acc_t* sum,
    const part_t* partial,
    out_t* image,
    int64_t n) {
  using A = Arithmetic<stored_t>;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const acc_t step = motion_step<acc_t, kRectify>(
        static_cast<acc_t>(A::load(last[i])), static_cast<acc_t>(A::load(before_last[i])));
    image[i] =
        static_cast<out_t>(motion_total(static_cast<acc_t>(partial[i]) + sum[i] - step, step));
  }
}

template <typename out_t>
ORIGINET_MULTIVERSION void saturate_pixels(out_t* image, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    image[i] = saturate(image[i]);
  }
}

template <typename out_t>
ORIGINET_MULTIVERSION Extremes<out_t> find_extremes(const out_t* image, int64_t n) {
  Extremes<out_t> lanes[kCell];
  int64_t i = 0;
  for (; i + kCell <= n; i += kCell) {
#pragma omp simd
    for (int j = 0; j < kCell; ++j) {
      lanes[j].add(image[i + j]);
    }
  }
  Extremes<out_t> all;
  for (; i < n; ++i) {
    all.add(image[i]);
  }
  for (const Extremes<out_t>& lane : lanes) {
    all.add(lane);
  }
  return all;
}

// Where the frames and sums of one row of a tile are.
template <typename stored_t, typename acc_t>
struct Row {
  const stored_t* frames; // its pixels in frame 0
  int64_t frame_stride;
  const stored_t* pivot;
  acc_t* sum;
  acc_t* moment;
  int64_t n;

  const stored_t* frame(int64_t t) const {
    return frames + t * frame_stride;
  }
};

// The methods with linear weights.
template <typename Weights>
struct LinearRowWalk {
  // The first frame visited from the pivot c: c itself forwards, c - 1 backwards.
  static constexpr int64_t kLag = 0;

  template <int kFrames, typename stored_t, typename acc_t>
  static void sweep(const Row<stored_t, acc_t>& row, int64_t t, int64_t direction) {
    const int64_t step = direction * row.frame_stride;
    if constexpr (Weights::kMoment) {
      ramp_sweep<stored_t, acc_t, kFrames>(
          row.frame(t), step, row.pivot, row.sum, row.moment, row.n);
    } else {
      sum_sweep<stored_t, acc_t, kFrames>(row.frame(t), step, row.pivot, row.sum, row.n);
    }
  }

  template <typename stored_t, typename acc_t, typename part_t>
  static void before(
      const Row<stored_t, acc_t>& row, int64_t start, int64_t window, part_t* partial) {
    linear_before<Weights, stored_t, acc_t, part_t>(
        Weights(), row.frame(start), row.pivot, row.sum, row.moment, static_cast<acc_t>(window),
        partial, row.n);
  }

  template <typename stored_t, typename acc_t, typename part_t, typename out_t>
  static void image(
      const Row<stored_t, acc_t>& row,
      int64_t end,
      int64_t window,
      const part_t* partial,
      out_t* out) {
    linear_image<Weights, stored_t, acc_t, part_t, out_t>(
        Weights(), row.frame(end - 1), row.pivot, row.sum, row.moment, static_cast<acc_t>(window),
        partial, out, row.n);
  }
};

// `absolute` and `rectified`; visiting frame t adds the step from frame t - 1.
template <bool kRectify>
struct MotionRowWalk {
  static constexpr int64_t kLag = 1;

  template <int kFrames, typename stored_t, typename acc_t>
  static void sweep(const Row<stored_t, acc_t>& row, int64_t t, int64_t direction) {
    const int64_t earliest = direction > 0 ? t - 1 : t - kFrames;
    motion_sweep<stored_t, acc_t, kFrames, kRectify>(
        row.frame(earliest), row.frame_stride, row.sum, row.n);
  }

  template <typename stored_t, typename acc_t, typename part_t>
  static void before(const Row<stored_t, acc_t>& row, int64_t, int64_t, part_t* partial) {
    motion_before<acc_t, part_t>(row.sum, partial, row.n);
  }

  template <typename stored_t, typename acc_t, typename part_t, typename out_t>
  static void image(
      const Row<stored_t, acc_t>& row, int64_t end, int64_t, const part_t* partial, out_t* out) {
    motion_image<stored_t, acc_t, part_t, out_t, kRectify>(
        row.frame(end - 1), row.frame(end - 2), row.sum, partial, out, row.n);
  }
};

template <typename Method, typename stored_t, typename acc_t, typename out_t>
void slide_on_cpu(const SlidingPlan& plan) {
  using part_t = partial_t<acc_t, out_t>;
  const auto* frames = static_cast<const stored_t*>(plan.source.frames.const_data_ptr());
  const FrameStrides& strides = plan.source.strides;
  auto* result = static_cast<out_t*>(plan.result.mutable_data_ptr());
  const int64_t pixels = plan.shape.pixels();
  if (pixels == 0) { // there may still be any number of images
    return;
  }
  const auto bytes = static_cast<int64_t>(
      plan.group * sizeof(part_t) +
      (plan.window + std::min(plan.stride, plan.window)) * sizeof(stored_t));
  const int64_t most = std::clamp(kTileCacheBytes / bytes, kFewestTilePixels, kMostTilePixels);
  const Tiles tiles(plan.shape, most);

  const int64_t cost = plan.visits() * std::min(most, pixels);
  const int64_t grain = std::max<int64_t>(1, kPixelGrain / cost);
  const int64_t items = tiles.count() * plan.groups;
  torch::stable::parallel_for(0, items, grain, [&](int64_t begin, int64_t end) {
    const int64_t room = std::min(most, pixels);
    const std::unique_ptr<acc_t[]> sums(new acc_t[2 * room]);
    acc_t* const sum = sums.get();
    acc_t* const moment = sum + room;
    const std::unique_ptr<part_t[]> partials(new part_t[plan.group * room]);
    for (int64_t item = begin; item < end; ++item) {
      const Tile tile = tiles.get(item / plan.groups, strides);
      const int64_t first = item % plan.groups * plan.group; // window of the group
      const int64_t count = std::min(plan.group, plan.windows - first);
      const int64_t pivot = (first + count - 1) * plan.stride;
      const auto for_each_row = [&](const auto& body) {
        for (int64_t r = 0; r < tile.rows; ++r) {
          const stored_t* at = frames + tile.offset + r * strides.row;
          const int64_t i = r * tile.run;
          body(
              Row<stored_t, acc_t>{
                  at, strides.frame, at + pivot * strides.frame, sum + i, moment + i, tile.run},
              i);
        }
      };
      const auto walk = [&](int64_t from, int64_t visits, int64_t direction) {
        int64_t k = 0;
        for (; k + kWalkSweep <= visits; k += kWalkSweep) {
          for_each_row([&](const auto& row, int64_t) {
            Method::template sweep<kWalkSweep>(row, from + direction * k, direction);
          });
        }
        for (; k < visits; ++k) {
          for_each_row([&](const auto& row, int64_t) {
            Method::template sweep<1>(row, from + direction * k, direction);
          });
        }
      };

      std::fill_n(sum, 2 * room, acc_t(0));
      for (int64_t k = count - 1; k >= 0; --k) {
        const int64_t start = (first + k) * plan.stride;
        if (start < pivot) {
          walk(start + plan.stride - 1 + Method::kLag, plan.stride, -1);
        }
        for_each_row([&](const auto& row, int64_t i) {
          Method::before(row, start, plan.window, partials.get() + k * room + i);
        });
      }
      std::fill_n(sum, 2 * room, acc_t(0));
      int64_t next = pivot + Method::kLag;
      for (int64_t k = 0; k < count; ++k) {
        const int64_t stop = (first + k) * plan.stride + plan.window;
        walk(next, stop - next, 1);
        next = stop;
        out_t* image = result + (first + k) * pixels + tile.pixel;
        for_each_row([&](const auto& row, int64_t i) {
          Method::image(row, stop, plan.window, partials.get() + k * room + i, image + i);
        });
        if (plan.normalize == Normalize::kClip) {
          saturate_pixels(image, tile.rows * tile.run);
        }
      }
    }
  });
  if (plan.normalize == Normalize::kMinmax) {
    const int64_t images = std::max<int64_t>(1, kPixelGrain / pixels);
    torch::stable::parallel_for(0, plan.windows, images, [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k) {
        out_t* image = result + k * pixels;
        stretch_pixels(image, pixels, find_extremes(image, pixels));
      }
    });
  }
}

Tensor sliding_pool_cpu(
    const Tensor& frames,
    int64_t window,
    int64_t stride,
    std::string method,
    std::string normalize) {
  const SlidingPlan plan = plan_sliding_pool(frames, window, stride, method, normalize);
  if (plan.still) {
    return plan.result;
  }
  dispatch_sliding<HalfBits, BFloat16Bits>(
      plan, [&]<typename stored_t, typename acc_t, typename out_t>() {
        switch (plan.method) {
          case SlidingMethod::kCumulative:
            return slide_on_cpu<LinearRowWalk<CumulativeWeights>, stored_t, acc_t, out_t>(plan);
          case SlidingMethod::kAuthors:
            return slide_on_cpu<LinearRowWalk<RampWeights<std::true_type>>, stored_t, acc_t, out_t>(
                plan);
          case SlidingMethod::kRankSimple:
            return slide_on_cpu<
                LinearRowWalk<RampWeights<std::false_type>>, stored_t, acc_t, out_t>(plan);
          case SlidingMethod::kAbsolute:
            return slide_on_cpu<MotionRowWalk<false>, stored_t, acc_t, out_t>(plan);
          case SlidingMethod::kRectified:
            return slide_on_cpu<MotionRowWalk<true>, stored_t, acc_t, out_t>(plan);
        }
      });
  return plan.result;
}

} // namespace

ORIGINET_KERNELS(CPU, m) {
  m.impl("sliding_pool", ORIGINET_BOX(sliding_pool_cpu));
}

} // namespace originet
