// CPU kernels of the temporal pools. Pixels do not depend on one another, so work is
// divided into pairs of a clip and a tile of pixels. The sums of a tile stay in the cache
// while its frames are read, each once.
#include <functional>
#include <numeric>

#include "frame_pool.h"
#include "frame_pool_tiles.h"

namespace originet {
namespace {

// Large tiles read longer stretches of memory, small tiles keep more threads busy.
int64_t tile_size(int64_t pixels) {
  const int64_t eighth = (pixels / 8 + kCell - 1) / kCell * kCell;
  return std::clamp<int64_t>(eighth, 2048, 16384);
}

// The tasks (clip, tile), in an order that suits the cache, and their costs.
class Tasks {
 public:
  Tasks(const char* op, const PoolPlan& plan, int64_t tiles)
      : batch_(static_cast<int64_t>(plan.clips.size())), tiles_(tiles), tile_major_(plan.overlap) {
    starts_.push_back(0);
    for (const Clip& clip : plan.clips) {
      // Writing a pixel costs as much as reading it in some frames.
      starts_.push_back(checked_sum(op, kWork, starts_.back(), clip.end - clip.begin + 4));
    }
    cost_ = checked_product(op, kWork, starts_.back(), tiles_);
  }

  // In frames times tiles.
  int64_t cost() const {
    return cost_;
  }
  int64_t clip(int64_t task) const {
    return tile_major_ ? task % batch_ : task / tiles_;
  }
  int64_t tile(int64_t task) const {
    return tile_major_ ? task / batch_ : task % tiles_;
  }
  // The first task before which all tasks together cost `cost` or more. So threads get
  // equal shares of work, no matter how much the clips differ in length.
  int64_t at(int64_t cost) const {
    if (tile_major_) {
      const int64_t within = cost % starts_.back();
      const auto clip = std::lower_bound(starts_.begin(), starts_.end(), within);
      return cost / starts_.back() * batch_ + (clip - starts_.begin());
    }
    // The last clip that begins at or before `cost`, where clip b begins at starts_[b] * tiles_.
    const auto after = std::upper_bound(starts_.begin(), starts_.end() - 1, cost / tiles_);
    const int64_t b = after - starts_.begin() - 1;
    const int64_t each = starts_[b + 1] - starts_[b];
    return b * tiles_ + (cost - starts_[b] * tiles_ + each - 1) / each;
  }

 private:
  static constexpr char kWork[] = "the number of pixels to read";

  int64_t batch_;
  int64_t tiles_;
  int64_t cost_;
  bool tile_major_; // overlapping clips find shared frames in the cache
  std::vector<int64_t> starts_;
};

// Runs body(clip, tile, the tile's pixels in the clip's image, store) for all tiles of all
// clips on torch's threads, then stretches the images if asked. make_body() makes one body
// with its own memory for each thread.
template <typename out_t, typename MakeBody>
void for_each_tile(const char* op, const PoolPlan& plan, const MakeBody& make_body) {
  const Tiles tiles(plan.layout.shape, tile_size(plan.pixels()));
  const int64_t count = tiles.count();
  const int64_t pixels = plan.pixels();
  if (count == 0) {
    return;
  }
  const auto batch = static_cast<int64_t>(plan.clips.size());
  const Tasks tasks(op, plan, count);
  auto* result = static_cast<out_t*>(plan.result.mutable_data_ptr());
  const bool minmax = plan.normalize == Normalize::kMinmax;
  std::vector<Extremes<out_t>> extremes(minmax ? batch * count : 0);
  const int64_t grain = std::max<int64_t>(1, kPixelGrain * count / pixels);
  torch::stable::parallel_for(0, tasks.cost(), grain, [&](int64_t begin, int64_t end) {
    auto body = make_body();
    for (int64_t task = tasks.at(begin), stop = tasks.at(end); task < stop; ++task) {
      const int64_t b = tasks.clip(task);
      const int64_t t = tasks.tile(task);
      const Clip& clip = plan.clips[b];
      const Tile tile = tiles.get(t, clip.strides);
      ImageStore<out_t> store(plan.normalize);
      body(clip, tile, result + b * pixels + tile.pixel, store);
      if (minmax) {
        extremes[b * count + t] = store.extremes();
      }
    }
  });
  if (!minmax) {
    return;
  }
  std::vector<Extremes<out_t>> whole(batch);
  for (int64_t i = 0; i < batch * count; ++i) {
    whole[i / count].add(extremes[i]);
  }
  torch::stable::parallel_for(0, batch * pixels, kPixelGrain, [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t b = begin / pixels;
      const int64_t stop = std::min(end, (b + 1) * pixels);
      stretch_pixels(result + begin, stop - begin, whole[b]);
      begin = stop;
    }
  });
}

template <typename stored_t, typename acc_t, typename out_t>
void temporal_pool_tiles(const PoolPlan& plan, const int64_t* index, const Tensor& weights) {
  // Weights in the type of the sums; at most a few thousand of them.
  constexpr bool kExact = std::is_integral_v<acc_t>;
  const Tensor wide = torch::stable::contiguous(
      torch::stable::to(weights, kExact ? ScalarType::Long : ScalarType::Double));
  using wide_t = std::conditional_t<kExact, int64_t, double>;
  const auto* from = static_cast<const wide_t*>(wide.const_data_ptr());
  const std::vector<acc_t> converted(from, from + wide.numel());
  const double total = std::transform_reduce(
      from, from + wide.numel(), 0.0, std::plus<>(),
      [](wide_t weight) { return std::abs(static_cast<double>(weight)); });
  const bool large = !(total <= kLargestQuadWeights); // NaN is large too
  for_each_tile<out_t>("temporal_pool", plan, [&] {
    return [sums = WeightedTile<stored_t, acc_t, out_t>(index, converted.data(), large)](
               const Clip& clip, const Tile& tile, out_t* image, auto& store) mutable {
      sums.run(clip, tile, image, store);
    };
  });
}

template <typename stored_t, typename acc_t, typename out_t, bool kRectify>
void motion_pool_tiles(const PoolPlan& plan) {
  using tile_t = std::conditional_t<
      std::is_same_v<stored_t, uint8_t>, ByteMotionTile<acc_t, kRectify>,
      MotionTile<stored_t, acc_t, kRectify>>;
  for_each_tile<out_t>("motion_pool", plan, [] {
    return
        [sums = tile_t()](const Clip& clip, const Tile& tile, out_t* image, auto& store) mutable {
          sums.run(clip, tile, image, store);
        };
  });
}

Tensor temporal_pool_cpu(
    const std::vector<Tensor>& frames,
    const Tensor& clips,
    const Tensor& index,
    const Tensor& weights,
    int64_t total,
    const std::string& normalize) {
  const PoolPlan plan = plan_temporal_pool(frames, clips, index, weights, total, normalize);
  dispatch_plan<HalfBits, BFloat16Bits, true>(
      plan, "temporal_pool", [&]<typename stored_t, typename acc_t, typename out_t>() {
        temporal_pool_tiles<stored_t, acc_t, out_t>(
            plan, static_cast<const int64_t*>(index.const_data_ptr()), weights);
      });
  return plan.result;
}

Tensor motion_pool_cpu(
    const std::vector<Tensor>& frames,
    const Tensor& clips,
    int64_t total,
    bool rectify,
    const std::string& normalize) {
  const PoolPlan plan = plan_motion_pool(frames, clips, total, normalize);
  dispatch_plan<HalfBits, BFloat16Bits, false>(
      plan, "motion_pool", [&]<typename stored_t, typename acc_t, typename out_t>() {
        if (rectify) {
          motion_pool_tiles<stored_t, acc_t, out_t, true>(plan);
        } else {
          motion_pool_tiles<stored_t, acc_t, out_t, false>(plan);
        }
      });
  return plan.result;
}

} // namespace

ORIGINET_KERNELS(CPU, m) {
  m.impl("temporal_pool", ORIGINET_BOX(temporal_pool_cpu));
  m.impl("motion_pool", ORIGINET_BOX(motion_pool_cpu));
}

} // namespace originet
