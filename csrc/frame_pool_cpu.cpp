// CPU kernels of the temporal pools. A clip is a one-dimensional problem per
// pixel, whatever the frames' layout: work is cut into (clip, tile of pixels),
// and a tile's accumulators stay in the L1 cache while its frames stream by.
#include "cpu_vector.h"
#include "frame_pool.h"
#include "frame_pool_math.h"

namespace originet {
namespace {

constexpr int64_t kTile = 2048; // pixels; at most 16 KB of accumulators
// Frames read in one sweep over the accumulators, to load and store those less.
constexpr int64_t kSweep = 4;
// 257 * 255 = 65535: so many uint8 differences fit in 16 bits.
constexpr int64_t kFlush = 257;
// Pixels read per thread below which a second thread costs more than it gives.
constexpr int64_t kGrain = 65536;

template <typename stored_t>
using loaded_t = typename Arithmetic<stored_t>::type;

// sum[i] += weight * frame[i]
template <typename stored_t, typename acc_t>
ORIGINET_MULTIVERSION void accumulate_frame(
    const stored_t* frame, acc_t weight, acc_t* sum, int64_t n) {
  using A = Arithmetic<stored_t>;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    sum[i] += weight * static_cast<acc_t>(A::load(frame[i]));
  }
}

// The same for kSweep frames, in the same order of additions.
template <typename stored_t, typename acc_t>
ORIGINET_MULTIVERSION void accumulate_sweep(
    const stored_t* f0,
    const stored_t* f1,
    const stored_t* f2,
    const stored_t* f3,
    const acc_t* weight,
    acc_t* sum,
    int64_t n) {
  using A = Arithmetic<stored_t>;
  const acc_t w0 = weight[0], w1 = weight[1], w2 = weight[2], w3 = weight[3];
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    acc_t s = sum[i];
    s += w0 * static_cast<acc_t>(A::load(f0[i]));
    s += w1 * static_cast<acc_t>(A::load(f1[i]));
    s += w2 * static_cast<acc_t>(A::load(f2[i]));
    s += w3 * static_cast<acc_t>(A::load(f3[i]));
    sum[i] = s;
  }
}

// sum[i] += g(current[i] - previous[i])
template <typename stored_t, typename acc_t, bool kRectify>
ORIGINET_MULTIVERSION void accumulate_motion(
    const stored_t* current, const stored_t* previous, acc_t* sum, int64_t n) {
  using A = Arithmetic<stored_t>;
  using step_t = std::conditional_t<std::is_same_v<stored_t, uint8_t>, int16_t, acc_t>;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const auto step = motion_step<step_t, kRectify>(
        static_cast<step_t>(A::load(current[i])), static_cast<step_t>(A::load(previous[i])));
    sum[i] = static_cast<acc_t>(sum[i] + static_cast<acc_t>(step));
  }
}

template <typename from_t, typename to_t>
ORIGINET_MULTIVERSION void add_converted(const from_t* from, to_t* to, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    to[i] += static_cast<to_t>(from[i]);
  }
}

// Runs body(clip, first pixel, pixel count) over all tiles of all clips;
// `frames_per_clip` scales the grain.
template <typename Body>
void for_each_tile(const PoolPlan& plan, int64_t frames_per_clip, const Body& body) {
  const int64_t tiles = (plan.pixels + kTile - 1) / kTile;
  const int64_t cost = std::max<int64_t>(1, frames_per_clip * std::min(kTile, plan.pixels));
  const int64_t grain = std::max<int64_t>(1, kGrain / cost);
  torch::stable::parallel_for(0, plan.batch * tiles, grain, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t pixel = (task % tiles) * kTile;
      body(task / tiles, pixel, std::min(kTile, plan.pixels - pixel));
    }
  });
}

template <typename stored_t, typename acc_t, typename out_t>
void temporal_pool_tiles(
    const PoolPlan& plan, const int64_t* index, const acc_t* weights, const int64_t* segments) {
  const auto* frames = static_cast<const stored_t*>(plan.frames.const_data_ptr());
  auto* result = static_cast<out_t*>(plan.result.mutable_data_ptr());
  const int64_t terms = segments[plan.batch];
  for_each_tile(plan, terms / plan.batch, [&](int64_t clip, int64_t pixel, int64_t n) {
    acc_t sum[kTile] = {};
    auto frame = [&](int64_t k) { return frames + index[k] * plan.pixels + pixel; };
    int64_t k = segments[clip];
    for (; k + kSweep <= segments[clip + 1]; k += kSweep) {
      accumulate_sweep<stored_t, acc_t>(
          frame(k), frame(k + 1), frame(k + 2), frame(k + 3), weights + k, sum, n);
    }
    for (; k < segments[clip + 1]; ++k) {
      accumulate_frame<stored_t, acc_t>(frame(k), weights[k], sum, n);
    }
    std::copy(sum, sum + n, result + clip * plan.pixels + pixel);
  });
}

template <typename stored_t, typename acc_t, typename out_t, bool kRectify>
void motion_pool_tiles(const PoolPlan& plan, const int64_t* offsets) {
  const auto* frames = static_cast<const stored_t*>(plan.frames.const_data_ptr());
  auto* result = static_cast<out_t*>(plan.result.mutable_data_ptr());
  const int64_t frames_per_clip = offsets[plan.batch] / plan.batch;
  for_each_tile(plan, frames_per_clip, [&](int64_t clip, int64_t pixel, int64_t n) {
    auto frame = [&](int64_t t) { return frames + t * plan.pixels + pixel; };
    const int64_t end = offsets[clip + 1];
    acc_t sum[kTile] = {};
    acc_t last[kTile] = {};
    int64_t t = offsets[clip] + 1;
    if constexpr (std::is_same_v<stored_t, uint8_t>) {
      while (t < end) {
        uint16_t part[kTile] = {};
        for (const int64_t stop = std::min(end, t + kFlush); t < stop; ++t) {
          accumulate_motion<stored_t, uint16_t, kRectify>(frame(t), frame(t - 1), part, n);
        }
        add_converted(part, sum, n);
      }
    } else {
      for (; t < end; ++t) {
        accumulate_motion<stored_t, acc_t, kRectify>(frame(t), frame(t - 1), sum, n);
      }
    }
    if (end - offsets[clip] > 1) {
      accumulate_motion<stored_t, acc_t, kRectify>(frame(end - 1), frame(end - 2), last, n);
    }
    out_t* out = result + clip * plan.pixels + pixel;
    for (int64_t i = 0; i < n; ++i) {
      out[i] = static_cast<out_t>(motion_total(sum[i], last[i]));
    }
  });
}

Tensor temporal_pool_cpu(
    const Tensor& frames, const Tensor& index, const Tensor& weights, const Tensor& segments) {
  const PoolPlan plan = plan_temporal_pool(frames, index, weights, segments);
  dispatch_plan<HalfBits, BFloat16Bits>(
      plan, "temporal_pool", [&]<typename stored_t, typename acc_t, typename out_t>() {
        // At most a few thousand numbers: converting them is no cost.
        const Tensor weights64 = torch::stable::to(
            weights, std::is_integral_v<acc_t> ? ScalarType::Long : ScalarType::Double);
        using from_t = std::conditional_t<std::is_integral_v<acc_t>, int64_t, double>;
        const Tensor dense = torch::stable::contiguous(weights64);
        const auto* from = static_cast<const from_t*>(dense.const_data_ptr());
        const std::vector<acc_t> converted(from, from + dense.numel());
        temporal_pool_tiles<stored_t, acc_t, out_t>(
            plan, static_cast<const int64_t*>(index.const_data_ptr()), converted.data(),
            static_cast<const int64_t*>(segments.const_data_ptr()));
      });
  return plan.result;
}

Tensor motion_pool_cpu(const Tensor& frames, const Tensor& offsets, bool rectify) {
  const PoolPlan plan = plan_motion_pool(frames, offsets);
  const auto* offset = static_cast<const int64_t*>(offsets.const_data_ptr());
  dispatch_plan<HalfBits, BFloat16Bits>(
      plan, "motion_pool", [&]<typename stored_t, typename acc_t, typename out_t>() {
        if (rectify) {
          motion_pool_tiles<stored_t, acc_t, out_t, true>(plan, offset);
        } else {
          motion_pool_tiles<stored_t, acc_t, out_t, false>(plan, offset);
        }
      });
  return plan.result;
}

} // namespace

STABLE_TORCH_LIBRARY_IMPL(originet, CPU, m) {
  m.impl("temporal_pool", TORCH_BOX(&temporal_pool_cpu));
  m.impl("motion_pool", TORCH_BOX(&motion_pool_cpu));
}

} // namespace originet
