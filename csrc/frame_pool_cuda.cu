// CUDA kernels of the temporal pools. A thread owns kVec neighbouring pixels of one clip, keeps
// their sums in registers and walks through time. One launch serves a ragged batch. Where all
// clips together have too few pixels to fill the chip, time is divided as well. The warps of a
// block take slices of it, and add up their sums in shared memory. If that is not enough, because
// clips are long, blocks take splits of time and store their sums, and a second kernel adds them
// up. There are no atomics and only one order of additions, so results do not vary from run to run.
//
// Blocks (blockIdx.x, blockIdx.y) of two clips with two splits each, not divided into slices:
//
//     pixel            0      256 kVec      512 kVec
//     clip 0, term 0   +----------+----------+---
//                      |  (0, 0)  |  (1, 0)  |      thread i of a block starts with pixel i kVec
//             term 5   +----------+----------+---   of the block's stretch and walks down
//                      |  (0, 1)  |  (1, 1)  |
//     clip 1, term 0   +----------+----------+---   a clip may be longer than the others; its
//                      |  (0, 2)  |  (1, 2)  |      splits are longer, too
//             term 9   +----------+----------+---
//                      |  (0, 3)  |  (1, 3)  |
//                      +----------+----------+---
//
// Frames of several runs are numbered as if they were dense; offset_of() finds their pixels.
#include <cstdlib>
#include <optional>

#include "frame_pool_cuda.cuh"

namespace originet {
namespace {

// How many threads keep the memory of a large chip busy, and how many terms a slice or split must
// have to be worth storing its sums.
constexpr int64_t kFillingThreads = int64_t(1) << 18;
constexpr int64_t kLeastTerms = 8;
// To hide the latency of its memory, a multiprocessor must hold so many blocks, and a thread must
// have so many loads in flight before it uses the first. Sums of 128 bytes leave room for two blocks.
template <int kVec, typename acc_t>
constexpr int kLeastBlocks = kVec == 1                   ? 4
                             : kVec * sizeof(acc_t) > 64 ? 2
                                                         : 3;
template <typename stored_t, typename acc_t, int kVec>
constexpr int kLoads = kVec == 1                   ? (sizeof(stored_t) == 1 ? 16 : 8)
                       : kVec * sizeof(acc_t) > 64 ? 8
                                                   : 4;

template <typename stored_t, typename acc_t, typename out_t, int kVec>
__global__ void __launch_bounds__(kThreadsPerBlock, kLeastBlocks<kVec, acc_t>) temporal_pool_kernel(
    const __grid_constant__ ClipTable<WeightedClip> clips,
    const __grid_constant__ TermTable<acc_t> terms,
    FrameShape shape,
    TimeSplit split,
    PoolTarget<acc_t, out_t> target) {
  constexpr bool kLoadWords =
      std::is_same_v<stored_t, uint8_t> && std::is_same_v<acc_t, float> && kVec % 4 == 0;
  constexpr bool kFloating = !std::is_same_v<stored_t, uint8_t>;
  constexpr int kUnroll = kLoads<stored_t, acc_t, kVec>;
  using Loaded =
      std::conditional_t<kLoadWords, Vector<uint32_t, (kVec + 3) / 4>, Vector<stored_t, kVec>>;
  __shared__ StagedTerms<acc_t> staged;
  const int log_room = kLogStagedTerms - split.log_slices;
  const int room = 1 << log_room;
  const int slice = static_cast<int>(threadIdx.x) * (kStagedTerms / kThreadsPerBlock) >> log_room;
  for_each_stretch<kVec>(
      clips, shape.pixels(), split, target,
      [&](const WeightedClip& clip, const Share& share, int64_t pixel, acc_t(&sum)[kVec]) {
        const auto* frames =
            reinterpret_cast<const stored_t*>(clip.frames) + offset_of(shape, clip.strides, pixel);
        // What is subtracted from floating frames: 0, or the frame of the first term (see Clip),
        // whose own deviation is 0 and can be skipped.
        acc_t pivot[kFloating ? kVec : 1] = {};
        if constexpr (kFloating) {
          if (clip.centered && share.begin < share.end) {
            const int64_t first = terms.frame_of(clip, clip.begin) * clip.strides.frame;
            add_weighted_vector(pivot, acc_t(1), load_vector<Loaded>(frames + first), pivot);
          }
        }
        const bool skips = kFloating && clip.centered && share.begin == clip.begin;
        for (int64_t done = 0; done < share.most; done += room) {
          stage_terms(staged, terms, clip, share, log_room, done);
          const int64_t left = ::min(share.end - share.begin - done, int64_t(kStagedTerms));
          const int end = slice * room + ::min(static_cast<int>(left), room);
          int k = slice * room + (skips && done == 0 ? 1 : 0);
          const auto add_terms = [&](acc_t(&to)[kVec], int stop) {
      // Unrolled so that several loads are in flight before the first is used.
#pragma unroll kUnroll
            for (; k < stop; ++k) {
              const auto frame = load_vector<Loaded>(frames + staged.offset[k]);
              if constexpr (kFloating) {
                add_weighted_vector(to, staged.weight[k], frame, pivot);
              } else {
                add_weighted_vector(to, staged.weight[k], frame);
              }
            }
          };
          if constexpr (std::is_integral_v<acc_t>) {
            add_terms(sum, end);
          } else {
            while (k < end) {
              acc_t part[kVec] = {};
              add_terms(part, ::min(end, k + static_cast<int>(kTermsPerBlock)));
#pragma unroll
              for (int j = 0; j < kVec; ++j) {
                sum[j] += part[j];
              }
            }
          }
        }
      });
}

template <typename stored_t, typename acc_t, typename out_t, bool kRectify, int kVec>
__global__ void __launch_bounds__(kThreadsPerBlock, kLeastBlocks<kVec, acc_t>) motion_pool_kernel(
    const __grid_constant__ ClipTable<Clip> clips,
    FrameShape shape,
    TimeSplit split,
    PoolTarget<acc_t, out_t> target) {
  using VectorIn = Vector<stored_t, kVec>;
  constexpr int kUnroll = kLoads<stored_t, acc_t, kVec>;
  // Of bytes, distances are summed, and
  //   2 sum max(F_t - F_(t-1), 0) = sum |F_t - F_(t-1)| + F_last - F_first.
  constexpr bool kDistances = std::is_integral_v<acc_t>;
  using part_t = std::conditional_t<kDistances, uint32_t, acc_t>;
  constexpr int kSteps = kDistances ? UINT32_MAX / kMaxPixel : kTermsPerBlock;
  constexpr bool kOnePart = std::is_same_v<acc_t, int32_t>; // such clips are short enough
  for_each_stretch<kVec>(
      clips, shape.pixels(), split, target,
      [&](const Clip& clip, const Share& share, int64_t pixel, acc_t(&sum)[kVec]) {
        // Sums the steps that lead to the frames of the share.
        if (share.begin >= share.end) {
          return;
        }
        const int64_t stride = clip.strides.frame;
        const int64_t begin = ::max(share.begin, int64_t(1));
        const auto* next = reinterpret_cast<const stored_t*>(clip.frames) +
                           offset_of(shape, clip.strides, pixel) + begin * stride;
        const auto first = load_vector<VectorIn>(next - stride);
        VectorIn previous = first;
        // The clip's last step counts once.
        const bool ends = share.end == clip.end && clip.end > 1;
        auto left = static_cast<int>(share.end - begin) - (ends ? 1 : 0); // see kMostFrames
        do {
          part_t part[kVec] = {};
          const int count = kOnePart ? left : ::min(left, kSteps);
#pragma unroll kUnroll
          for (int k = 0; k < count; ++k) {
            const auto current = load_vector<VectorIn>(next);
            if constexpr (kDistances) {
              add_byte_distances(part, current.values, previous.values);
            } else {
              add_motion_vector<kRectify>(part, current, previous);
            }
            previous = current;
            next += stride;
          }
          left -= count;
#pragma unroll
          for (int j = 0; j < kVec; ++j) {
            sum[j] += static_cast<acc_t>(part[j]);
          }
        } while (!kOnePart && left > 0);
        acc_t last[kVec] = {};
        if (ends) {
          add_motion_vector<kRectify>(last, load_vector<VectorIn>(next), previous);
        }
#pragma unroll
        for (int j = 0; j < kVec; ++j) {
          if constexpr (kDistances && kRectify) {
            sum[j] += static_cast<acc_t>(previous.values[j]) - static_cast<acc_t>(first.values[j]);
            sum[j] /= 2;
          }
          sum[j] = motion_total(sum[j], last[j]);
        }
      });
}

// Adds up the splits, in order.
template <typename acc_t, typename out_t>
__global__ void __launch_bounds__(kThreadsPerBlock) finish_pool_kernel(
    int64_t batch, int log_splits, int64_t pixels, PoolTarget<acc_t, out_t> target) {
  for (int64_t b = blockIdx.y; b < batch; b += gridDim.y) {
    Extremes<out_t> extremes;
    for (int64_t p = int64_t(blockIdx.x) * kThreadsPerBlock + threadIdx.x; p < pixels;
         p += int64_t(gridDim.x) * kThreadsPerBlock) {
      acc_t sum[1] = {};
#pragma unroll 4
      for (int64_t item = b << log_splits; item < (b + 1) << log_splits; ++item) {
        sum[0] += target.partial[item * pixels + p];
      }
      store_image<1>(target, b * pixels + p, sum, extremes);
    }
    if (target.extremes != nullptr) {
      const Extremes<out_t> all = block_extremes(extremes);
      if (threadIdx.x == 0) {
        target.extremes[b * gridDim.x + blockIdx.x] = all;
      }
    }
  }
}

// Whether every run of pixels, in every frame and image, is aligned to vectors.
template <typename stored_t>
bool pool_fits_vectors(const PoolPlan& plan) {
  constexpr int64_t kVec = kVectorBytes / sizeof(stored_t);
  const auto whole = [](int64_t elements) { return elements % kVec == 0; };
  return whole(plan.layout.shape.run) && misalignment(plan.result.const_data_ptr()) == 0 &&
         std::all_of(plan.clips.begin(), plan.clips.end(), [&](const Clip& clip) {
           return misalignment(clip.frames) == 0 && whole(clip.strides.frame) &&
                  whole(clip.strides.plane) && whole(clip.strides.row);
         });
}

template <typename T>
const T* const_data(const Tensor& tensor) {
  return static_cast<const T*>(tensor.const_data_ptr());
}

Tensor new_bytes(const Tensor& like, int64_t bytes) {
  return torch::stable::new_empty(like, {bytes}, ScalarType::Byte);
}

// How many clips, from a number on, differ only in where they begin, by a constant distance.
int64_t evenly_spaced(const std::vector<Clip>& clips, int64_t first) {
  const auto address = [&](int64_t b) { return reinterpret_cast<intptr_t>(clips[b].frames); };
  const auto batch = static_cast<int64_t>(clips.size());
  int64_t b = first + 1;
  for (; b < batch; ++b) {
    const bool alike = clips[b].begin == clips[first].begin && clips[b].end == clips[first].end &&
                       clips[b].strides == clips[first].strides &&
                       clips[b].centered == clips[first].centered;
    if (!alike || address(b) - address(b - 1) != address(first + 1) - address(first)) {
      break;
    }
  }
  return b - first;
}

// How many clips one launch takes from a number on, and how many of them its table lists.
struct LaunchSize {
  int64_t clips;
  int64_t listed;
};

LaunchSize launch_size(const std::vector<Clip>& clips, int64_t first) {
  const int64_t even = evenly_spaced(clips, first);
  if (even > kFewClips) {
    return {even, 1};
  }
  const int64_t few = std::min(kFewClips, static_cast<int64_t>(clips.size()) - first);
  return {few, few};
}

template <typename clip_t>
ClipTable<clip_t> make_table(
    const PoolPlan& plan, int64_t first, int64_t batch, const std::vector<clip_t>& listed) {
  ClipTable<clip_t> table{batch, 0, {}};
  if (batch > kFewClips) {
    table.step = plan.clips[first + 1].frames - plan.clips[first].frames;
  }
  std::copy(listed.begin(), listed.end(), table.few);
  return table;
}

// Runs a pool for the `batch` clips from `first` on: run(vec_constant, blocks_x, rows, split, target)
// launches its kernel.
template <typename stored_t, typename acc_t, typename out_t, typename Run>
void launch_pool(
    const char* op, const PoolPlan& plan, int64_t first, int64_t batch, const Run& run) {
  const int64_t pixels = plan.pixels();
  if (pixels == 0) {
    return;
  }
  const int32_t device = plan.result.get_device_index();
  const bool vectors = pool_fits_vectors<stored_t>(plan);
  const int64_t vec = vectors ? kVectorBytes / sizeof(stored_t) : 1;
  int64_t terms = 0;
  for (int64_t b = first; b < first + batch; ++b) {
    terms = std::max(terms, plan.clips[b].end - plan.clips[b].begin);
  }
  // Slices cost less than splits, whose sums go through memory.
  int log_shares = 0;
  while (batch * ceil_div(pixels, vec) << log_shares < kFillingThreads &&
         terms >> log_shares > kLeastTerms) {
    ++log_shares;
  }
  const int log_slices = std::min(log_shares, kMostLogSlices);
  const TimeSplit split{log_slices, log_shares - log_slices};
  const int64_t splits = int64_t(1) << split.log_splits;

  const int64_t blocks = ceil_div(pixels, (kThreadsPerBlock >> log_slices) * vec);
  const int64_t finish_blocks = ceil_div(pixels, kThreadsPerBlock);
  const int64_t parts = splits > 1 ? finish_blocks : blocks;
  const bool minmax = plan.normalize == Normalize::kMinmax;
  const Tensor partial =
      new_bytes(plan.result, splits > 1 ? splits * batch * pixels * int64_t(sizeof(acc_t)) : 0);
  const Tensor extremes =
      new_bytes(plan.result, minmax ? batch * parts * int64_t(sizeof(Extremes<out_t>)) : 0);
  const PoolTarget<acc_t, out_t> target{
      splits > 1 ? static_cast<acc_t*>(partial.mutable_data_ptr()) : nullptr,
      static_cast<out_t*>(plan.result.mutable_data_ptr()) + first * pixels,
      minmax ? static_cast<Extremes<out_t>*>(extremes.mutable_data_ptr()) : nullptr,
      plan.normalize};
  if (vectors) {
    constexpr int kVec = kVectorBytes / sizeof(stored_t);
    run(std::integral_constant<int, kVec>(), blocks, batch * splits, split, target);
  } else {
    run(std::integral_constant<int, 1>(), blocks, batch * splits, split, target);
  }
  if (splits > 1) {
    launch(
        op, device, finish_blocks, batch, finish_pool_kernel<acc_t, out_t>, batch, split.log_splits,
        pixels, target);
  }
  if (minmax) {
    launch_stretch(op, device, target.extremes, parts, batch, pixels, target.image);
  }
}

ScalarType weight_dtype(Accumulate accumulate) {
  switch (accumulate) {
    case Accumulate::kInt32:
      return ScalarType::Int;
    case Accumulate::kInt64:
      return ScalarType::Long;
    case Accumulate::kFloat32:
      return ScalarType::Float;
    case Accumulate::kFloat64:
      return ScalarType::Double;
  }
  return ScalarType::Undefined;
}

// The clips of one launch of temporal_pool, and the terms that travel with it.
struct WeightedLaunch {
  int64_t first; // clip of the batch
  ClipTable<WeightedClip> clips;
  std::vector<int64_t> few_index;
  std::vector<int64_t> few_weights;
  bool stores_index = false;
  bool stores_weights = false;
};

bool reads_in_order(const int64_t* index, int64_t terms) {
  for (int64_t k = 1; k < terms; ++k) {
    if (index[k] != index[0] + k) {
      return false;
    }
  }
  return true;
}

// The ramp of integer weights, unless they are so large that looking for it could overflow.
std::optional<Ramp<int64_t>> find_integer_ramp(
    const int64_t* index, const int64_t* weights, int64_t terms) {
  constexpr int64_t kLargest = int64_t(1) << 60;
  const bool moderate = std::all_of(
      weights, weights + terms, [](int64_t weight) { return std::abs(weight) <= kLargest; });
  return moderate ? find_ramp(index, weights, terms) : std::nullopt;
}

// Plans the launch that takes the clips from `first` on. `index` and `weights` [K] are on the host;
// floating weights are not, and null here.
WeightedLaunch plan_launch(
    const PoolPlan& plan, int64_t first, const int64_t* index, const int64_t* weights) {
  LaunchSize size = launch_size(plan.clips, first);
  WeightedLaunch planned{};
  std::vector<WeightedClip> listed;
  for (int64_t b = first; b < first + size.listed; ++b) {
    const Clip& clip = plan.clips[b];
    const int64_t terms = clip.end - clip.begin;
    WeightedClip of{clip, TermPlace::kStored, {}};
    // Windows share their terms.
    if (b > first && clip.begin == plan.clips[b - 1].begin && clip.end == plan.clips[b - 1].end) {
      const WeightedClip& before = listed.back();
      of.place = before.place;
      of.ramp = before.ramp;
      of.begin = before.begin;
      of.end = before.end;
      listed.push_back(of);
      continue;
    }
    const auto few = static_cast<int64_t>(planned.few_index.size());
    const auto ramp = weights == nullptr
                          ? std::nullopt
                          : find_integer_ramp(index + clip.begin, weights + clip.begin, terms);
    if (ramp) {
      of.place = TermPlace::kRamp;
      of.ramp = *ramp;
    } else if (weights != nullptr && terms <= kFewTerms) {
      if (terms > kFewTerms - few) { // the next launch has room
        size.clips = b - first;
        break;
      }
      of.place = TermPlace::kListed;
      of.begin = few;
      of.end = few + terms;
      const int64_t begin = clip.begin, end = clip.end;
      planned.few_index.insert(planned.few_index.end(), index + begin, index + end);
      planned.few_weights.insert(planned.few_weights.end(), weights + begin, weights + end);
    } else {
      planned.stores_weights = true;
      planned.stores_index |= !reads_in_order(index + clip.begin, terms);
    }
    listed.push_back(of);
  }
  // Clips whose frames are not listed begin with the frame of their first term.
  const auto item_size = plan.layout.sources.front().frames.element_size();
  for (WeightedClip& of : listed) {
    const bool in_list =
        of.place == TermPlace::kListed || (of.place == TermPlace::kStored && planned.stores_index);
    if (!in_list && of.begin < of.end) {
      of.frames += index[of.begin] * of.strides.frame * item_size;
    }
  }
  planned.first = first;
  planned.clips = make_table(plan, first, size.clips, listed);
  return planned;
}

std::vector<WeightedLaunch> plan_launches(
    const PoolPlan& plan, const int64_t* index, const int64_t* weights) {
  std::vector<WeightedLaunch> launches;
  for (size_t first = 0; first < plan.clips.size(); first += launches.back().clips.batch) {
    launches.push_back(plan_launch(plan, static_cast<int64_t>(first), index, weights));
  }
  return launches;
}

Tensor temporal_pool_cuda(
    const std::vector<Tensor>& frames,
    const Tensor& clips,
    const Tensor& index,
    const Tensor& weights,
    int64_t total,
    const std::string& normalize) {
  const char* op = "temporal_pool";
  const PoolPlan plan = plan_temporal_pool(frames, clips, index, weights, total, normalize);
  const bool integers = weights.scalar_type() == ScalarType::Long;
  const std::vector<WeightedLaunch> launches = plan_launches(
      plan, const_data<int64_t>(index), integers ? const_data<int64_t>(weights) : nullptr);
  const auto any = [&](bool WeightedLaunch::* stores) {
    return std::any_of(
        launches.begin(), launches.end(), [&](const auto& each) { return each.*stores; });
  };
  const auto device = plan.result.device();
  const Tensor index_there =
      any(&WeightedLaunch::stores_index) ? torch::stable::to(index, device) : index;
  const Tensor weights_there =
      any(&WeightedLaunch::stores_weights)
          ? torch::stable::contiguous(
                torch::stable::to(
                    torch::stable::to(weights, weight_dtype(plan.accumulate)), device))
          : weights;
  dispatch_plan<c10::Half, c10::BFloat16, true>(
      plan, op, [&]<typename stored_t, typename acc_t, typename out_t>() {
        for (const WeightedLaunch& each : launches) {
          TermTable<acc_t> terms{
              each.stores_index ? const_data<int64_t>(index_there) : nullptr,
              each.stores_weights ? const_data<acc_t>(weights_there) : nullptr,
              {},
              {}};
          std::copy(each.few_index.begin(), each.few_index.end(), terms.few_index);
          std::copy(each.few_weights.begin(), each.few_weights.end(), terms.few_weights);
          launch_pool<stored_t, acc_t, out_t>(
              op, plan, each.first, each.clips.batch,
              [&](auto vec, int64_t blocks, int64_t rows, const TimeSplit& split,
                  const PoolTarget<acc_t, out_t>& target) {
                launch(
                    op, plan.result.get_device_index(), blocks, rows,
                    temporal_pool_kernel<stored_t, acc_t, out_t, vec.value>, each.clips, terms,
                    plan.layout.shape, split, target);
              });
        }
      });
  return plan.result;
}

template <typename stored_t, typename acc_t, typename out_t, bool kRectify>
void launch_motion_pool(const char* op, const PoolPlan& plan) {
  const auto batch = static_cast<int64_t>(plan.clips.size());
  LaunchSize size{};
  for (int64_t first = 0; first < batch; first += size.clips) {
    size = launch_size(plan.clips, first);
    const auto begin = plan.clips.begin() + first;
    const ClipTable<Clip> clips =
        make_table(plan, first, size.clips, std::vector<Clip>(begin, begin + size.listed));
    launch_pool<stored_t, acc_t, out_t>(
        op, plan, first, size.clips,
        [&](auto vec, int64_t blocks, int64_t rows, const TimeSplit& split,
            const PoolTarget<acc_t, out_t>& target) {
          launch(
              op, plan.result.get_device_index(), blocks, rows,
              motion_pool_kernel<stored_t, acc_t, out_t, kRectify, vec.value>, clips,
              plan.layout.shape, split, target);
        });
  }
}

Tensor motion_pool_cuda(
    const std::vector<Tensor>& frames,
    const Tensor& clips,
    int64_t total,
    bool rectify,
    const std::string& normalize) {
  const char* op = "motion_pool";
  const PoolPlan plan = plan_motion_pool(frames, clips, total, normalize);
  dispatch_plan<c10::Half, c10::BFloat16, false>(
      plan, op, [&]<typename stored_t, typename acc_t, typename out_t>() {
        if (rectify) {
          launch_motion_pool<stored_t, acc_t, out_t, true>(op, plan);
        } else {
          launch_motion_pool<stored_t, acc_t, out_t, false>(op, plan);
        }
      });
  return plan.result;
}

} // namespace

ORIGINET_KERNELS(ORIGINET_CUDA_KEY, m) {
  m.impl("temporal_pool", ORIGINET_BOX(temporal_pool_cuda));
  m.impl("motion_pool", ORIGINET_BOX(motion_pool_cuda));
}

} // namespace originet
