// CUDA kernels of the temporal pools. A thread owns kVec neighbouring pixels of one clip, keeps
// their sums in registers and walks through time. One launch serves a ragged batch. Where all
// clips together have too few pixels to fill the chip, time is split as well: each split stores
// its sums, and a second kernel adds them up in order. There are no atomics and only one order of
// additions, so results do not vary from run to run.
//
// Blocks (blockIdx.x, blockIdx.y) of two clips with two splits each:
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
#include <cstring>

#include "frame_pool_cuda.cuh"

namespace originet {
namespace {

// How many threads keep the memory of a large chip busy, and how many terms a split must have to be
// worth storing its sums.
constexpr int64_t kFillingThreads = int64_t(1) << 18;
constexpr int64_t kLeastTerms = 8;
// How many blocks must fit on a multiprocessor to hide the latency of its memory.
template <int kVec, typename acc_t>
constexpr int kLeastBlocks = kVec == 1            ? 4
                             : sizeof(acc_t) == 8 ? 1
                                                  : 2;

template <typename stored_t, typename acc_t, typename out_t, int kVec>
__global__ void __launch_bounds__(kThreadsPerBlock, kLeastBlocks<kVec, acc_t>) temporal_pool_kernel(
    const Clip* __restrict__ clips,    // [B]
    const int64_t* __restrict__ index, // [K]
    const acc_t* __restrict__ weights, // [K]
    FrameShape shape,
    int64_t batch,
    int log_splits,
    PoolTarget<acc_t, out_t> target) {
  constexpr bool kLoadWords =
      std::is_same_v<stored_t, uint8_t> && std::is_same_v<acc_t, float> && kVec % 4 == 0;
  constexpr bool kFloating = !std::is_same_v<stored_t, uint8_t>;
  using Loaded =
      std::conditional_t<kLoadWords, Vector<uint32_t, (kVec + 3) / 4>, Vector<stored_t, kVec>>;
  for_each_stretch<kVec>(
      clips, batch, log_splits, shape.pixels(), target,
      [&](const Clip& clip, int64_t begin, int64_t end, int64_t pixel, acc_t(&sum)[kVec]) {
        const auto* frames =
            reinterpret_cast<const stored_t*>(clip.frames) + offset_of(shape, clip.strides, pixel);
        const int64_t block = std::is_integral_v<acc_t> ? end - begin : kTermsPerBlock;
        const auto frame = [&](int64_t k) {
          return load_vector<Loaded>(frames + index[k] * clip.strides.frame);
        };
        // What is subtracted from floating frames: 0, or the frame of the first term (see Clip),
        // whose own deviation is 0 and can be skipped.
        acc_t pivot[kFloating ? kVec : 1] = {};
        int64_t k = begin;
        if constexpr (kFloating) {
          if (clip.centered && begin < end) {
            add_weighted_vector(pivot, acc_t(1), frame(clip.begin), pivot);
            k += begin == clip.begin ? 1 : 0;
          }
        }
        while (k < end) {
          acc_t part[kVec] = {};
          const int64_t stop = ::min(end, k + block);
      // Unrolled so that several loads are in flight before the first is used.
#pragma unroll 4
          for (; k < stop; ++k) {
            if constexpr (kFloating) {
              add_weighted_vector(part, weights[k], frame(k), pivot);
            } else {
              add_weighted_vector(part, weights[k], frame(k));
            }
          }
#pragma unroll
          for (int j = 0; j < kVec; ++j) {
            sum[j] += part[j];
          }
        }
      });
}

template <typename stored_t, typename acc_t, typename out_t, bool kRectify, int kVec>
__global__ void __launch_bounds__(kThreadsPerBlock, kLeastBlocks<kVec, acc_t>) motion_pool_kernel(
    const Clip* __restrict__ clips, // [B]
    FrameShape shape,
    int64_t batch,
    int log_splits,
    PoolTarget<acc_t, out_t> target) {
  using VectorIn = Vector<stored_t, kVec>;
  for_each_stretch<kVec>(
      clips, batch, log_splits, shape.pixels(), target,
      [&](const Clip& clip, int64_t begin, int64_t end, int64_t pixel, acc_t(&sum)[kVec]) {
        // Sums the steps that lead to the frames [begin, end).
        const auto* frames =
            reinterpret_cast<const stored_t*>(clip.frames) + offset_of(shape, clip.strides, pixel);
        const auto frame = [&](int64_t t) {
          return load_vector<VectorIn>(frames + t * clip.strides.frame);
        };
        if (begin >= end) {
          return;
        }
        VectorIn previous = frame(::max(begin - 1, int64_t(0)));
        // The clip's last step counts once.
        const int64_t twice = end == clip.end ? end - 1 : end;
        const int64_t block = std::is_integral_v<acc_t> ? end - begin : kTermsPerBlock;
        for (int64_t t = ::max(begin, int64_t(1)); t < twice;) {
          acc_t part[kVec] = {};
          const int64_t stop = ::min(twice, t + block);
#pragma unroll 4
          for (; t < stop; ++t) {
            const VectorIn current = frame(t);
            add_motion_vector<kRectify>(part, current, previous);
            previous = current;
          }
#pragma unroll
          for (int j = 0; j < kVec; ++j) {
            sum[j] += part[j];
          }
        }
        acc_t last[kVec] = {};
        if (end == clip.end && end > 1) {
          add_motion_vector<kRectify>(last, frame(end - 1), previous);
        }
#pragma unroll
        for (int j = 0; j < kVec; ++j) {
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

// Maps each image linearly to 0..255, given the extremes that each block found.
template <typename out_t>
__global__ void __launch_bounds__(kThreadsPerBlock) stretch_kernel(
    const Extremes<out_t>* __restrict__ extremes, // [B, parts]
    int64_t parts,
    int64_t batch,
    int64_t pixels,
    out_t* __restrict__ image) {
  for (int64_t b = blockIdx.y; b < batch; b += gridDim.y) {
    Extremes<out_t> mine;
    for (int64_t i = threadIdx.x; i < parts; i += kThreadsPerBlock) {
      mine.add(extremes[b * parts + i]);
    }
    const Extremes<out_t> all = block_extremes(mine);
    for (int64_t p = int64_t(blockIdx.x) * kThreadsPerBlock + threadIdx.x; p < pixels;
         p += int64_t(gridDim.x) * kThreadsPerBlock) {
      image[b * pixels + p] = stretch(image[b * pixels + p], all);
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

// Copies a table to the device of a tensor.
template <typename T>
Tensor to_device(const T* values, size_t count, const Tensor& like) {
  static_assert(sizeof(T) % sizeof(int64_t) == 0);
  const auto words = static_cast<int64_t>(count * sizeof(T) / sizeof(int64_t));
  Tensor host = torch::stable::empty(
      {words}, ScalarType::Long, std::nullopt,
      torch::stable::Device(torch::headeronly::DeviceType::CPU));
  std::memcpy(host.mutable_data_ptr(), values, count * sizeof(T));
  return torch::stable::to(host, like.device());
}

template <typename T>
const T* const_data(const Tensor& tensor) {
  return static_cast<const T*>(tensor.const_data_ptr());
}

Tensor new_bytes(const Tensor& like, int64_t bytes) {
  return torch::stable::new_empty(like, {bytes}, ScalarType::Byte);
}

// Runs a pool: run(vec_constant, blocks_x, rows, clips, log_splits, target) launches its
// kernel.
template <typename stored_t, typename acc_t, typename out_t, typename Run>
void launch_pool(const char* op, const PoolPlan& plan, const Run& run) {
  const auto batch = static_cast<int64_t>(plan.clips.size());
  const int64_t pixels = plan.pixels();
  const int32_t device = plan.result.get_device_index();
  const bool vectors = pool_fits_vectors<stored_t>(plan);
  const int64_t vec = vectors ? kVectorBytes / sizeof(stored_t) : 1;
  const int64_t blocks = ceil_div(pixels, kThreadsPerBlock * vec);
  if (blocks == 0) {
    return;
  }
  int64_t terms = 0;
  for (const Clip& clip : plan.clips) {
    terms = std::max(terms, clip.end - clip.begin);
  }
  int log_splits = 0;
  while (batch * blocks * kThreadsPerBlock << log_splits < kFillingThreads &&
         terms >> log_splits > kLeastTerms) {
    ++log_splits;
  }
  const int64_t splits = int64_t(1) << log_splits;

  const Tensor clips = to_device(plan.clips.data(), plan.clips.size(), plan.result);
  const int64_t finish_blocks = ceil_div(pixels, kThreadsPerBlock);
  const int64_t parts = splits > 1 ? finish_blocks : blocks;
  const bool minmax = plan.normalize == Normalize::kMinmax;
  const Tensor partial =
      new_bytes(plan.result, splits > 1 ? splits * batch * pixels * int64_t(sizeof(acc_t)) : 0);
  const Tensor extremes =
      new_bytes(plan.result, minmax ? batch * parts * int64_t(sizeof(Extremes<out_t>)) : 0);
  const PoolTarget<acc_t, out_t> target{
      splits > 1 ? static_cast<acc_t*>(partial.mutable_data_ptr()) : nullptr,
      static_cast<out_t*>(plan.result.mutable_data_ptr()),
      minmax ? static_cast<Extremes<out_t>*>(extremes.mutable_data_ptr()) : nullptr,
      plan.normalize};
  if (vectors) {
    constexpr int kVec = kVectorBytes / sizeof(stored_t);
    run(std::integral_constant<int, kVec>(), blocks, batch * splits, const_data<Clip>(clips),
        log_splits, target);
  } else {
    run(std::integral_constant<int, 1>(), blocks, batch * splits, const_data<Clip>(clips),
        log_splits, target);
  }
  if (splits > 1) {
    launch(
        op, device, finish_blocks, batch, finish_pool_kernel<acc_t, out_t>, batch, log_splits,
        pixels, target);
  }
  if (minmax) {
    launch(
        op, device, finish_blocks, batch, stretch_kernel<out_t>, target.extremes, parts, batch,
        pixels, target.image);
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

Tensor temporal_pool_cuda(
    const std::vector<Tensor>& frames,
    const Tensor& clips,
    const Tensor& index,
    const Tensor& weights,
    int64_t total,
    const std::string& normalize) {
  const char* op = "temporal_pool";
  const PoolPlan plan = plan_temporal_pool(frames, clips, index, weights, total, normalize);
  const auto device = plan.result.device();
  const Tensor converted = torch::stable::contiguous(
      torch::stable::to(torch::stable::to(weights, weight_dtype(plan.accumulate)), device));
  const Tensor index_there = torch::stable::to(index, device);
  dispatch_plan<c10::Half, c10::BFloat16, true>(
      plan, op, [&]<typename stored_t, typename acc_t, typename out_t>() {
        launch_pool<stored_t, acc_t, out_t>(
            op, plan,
            [&](auto vec, int64_t blocks, int64_t rows, const Clip* table, int log_splits,
                const PoolTarget<acc_t, out_t>& target) {
              launch(
                  op, plan.result.get_device_index(), blocks, rows,
                  temporal_pool_kernel<stored_t, acc_t, out_t, vec.value>, table,
                  const_data<int64_t>(index_there), const_data<acc_t>(converted), plan.layout.shape,
                  static_cast<int64_t>(plan.clips.size()), log_splits, target);
            });
      });
  return plan.result;
}

template <typename stored_t, typename acc_t, typename out_t, bool kRectify>
void launch_motion_pool(const char* op, const PoolPlan& plan) {
  launch_pool<stored_t, acc_t, out_t>(
      op, plan,
      [&](auto vec, int64_t blocks, int64_t rows, const Clip* table, int log_splits,
          const PoolTarget<acc_t, out_t>& target) {
        launch(
            op, plan.result.get_device_index(), blocks, rows,
            motion_pool_kernel<stored_t, acc_t, out_t, kRectify, vec.value>, table,
            plan.layout.shape, static_cast<int64_t>(plan.clips.size()), log_splits, target);
      });
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

STABLE_TORCH_LIBRARY_IMPL(originet, ORIGINET_CUDA_KEY, m) {
  m.impl("temporal_pool", ORIGINET_BOX(temporal_pool_cuda));
  m.impl("motion_pool", ORIGINET_BOX(motion_pool_cuda));
}

} // namespace originet
