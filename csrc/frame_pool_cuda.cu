// CUDA kernels of the temporal pools. A thread owns kVec neighbouring pixels of one
// clip, keeps their sums in registers and walks through time; blockIdx.y is the
// clip, blockIdx.x the stretch of pixels. One launch serves a ragged batch. Where the
// pixels of all clips are too few for the chip, time is split as well: each split
// leaves its sums behind, and a second kernel adds them up in order. No atomics, one
// order of additions: results do not vary from run to run.
#include <cstring>

#include "cuda_common.cuh"
#include "frame_pool.h"
#include "frame_pool_math.h"
#include "image_epilogue.cuh"

namespace originet {
namespace {

// Floats are summed in blocks of so many terms, as on the CPU.
constexpr int64_t kBlock = 64;
// Threads on a chip that keep its memory busy, and terms below which a split is not
// worth its sums.
constexpr int64_t kFillingThreads = int64_t(1) << 18;
constexpr int64_t kLeastTerms = 8;

// Where the results of a pool go: finished images, or the sums of splits.
template <typename acc_t, typename out_t>
struct PoolTarget {
  acc_t* partial;            // [splits, B, pixels], or null if there is one split
  out_t* image;              // [B, pixels]
  Extremes<out_t>* extremes; // [B, gridDim.x], or null unless they are asked for
  Normalize normalize;
};

__device__ __forceinline__ int64_t
offset_of(const FrameShape& shape, const FrameStrides& strides, int64_t pixel) {
  if (shape.rows == 1 && shape.planes == 1) {
    return pixel;
  }
  const int64_t row = pixel / shape.run;
  return row / shape.rows * strides.plane + row % shape.rows * strides.row + pixel % shape.run;
}

template <typename T, int kVec>
__device__ __forceinline__ void store_vector(T* target, const T (&values)[kVec]) {
  // 16 values of 4 bytes take several stores.
  constexpr int kStore = kVec * sizeof(T) > kVectorBytes ? kVectorBytes / sizeof(T) : kVec;
#pragma unroll
  for (int j = 0; j < kVec; j += kStore) {
    Vector<T, kStore> out;
#pragma unroll
    for (int i = 0; i < kStore; ++i) {
      out.values[i] = values[j + i];
    }
    *reinterpret_cast<Vector<T, kStore>*>(target + j) = out;
  }
}

// Sums to pixels of an image; adds them to the thread's extremes.
template <int kVec, typename acc_t, typename out_t>
__device__ __forceinline__ void store_image(
    const PoolTarget<acc_t, out_t>& target,
    int64_t position,
    const acc_t (&sum)[kVec],
    Extremes<out_t>& extremes) {
  out_t values[kVec];
#pragma unroll
  for (int j = 0; j < kVec; ++j) {
    values[j] = static_cast<out_t>(sum[j]);
    if (target.normalize == Normalize::kClip) {
      values[j] = saturate(values[j]);
    }
    extremes.add(values[j]);
  }
  store_vector(target.image + position, values);
}

// Calls sums(clip, first term, end, pixel, sum) for the pixels of this thread in
// every clip and split of this block, and stores what it finds.
template <int kVec, typename acc_t, typename out_t, typename Body>
__device__ __forceinline__ void for_each_stretch(
    const Clip* __restrict__ clips,
    int64_t batch,
    int64_t splits,
    int64_t pixels,
    const PoolTarget<acc_t, out_t>& target,
    const Body& body) {
  const int64_t step = int64_t(gridDim.x) * kThreads * kVec;
  for (int64_t item = blockIdx.y; item < batch * splits; item += gridDim.y) {
    const int64_t b = item % batch;
    const int64_t split = item / batch;
    const Clip clip = clips[b];
    const int64_t share = (clip.end - clip.begin + splits - 1) / splits;
    const int64_t begin = ::min(clip.end, clip.begin + split * share);
    const int64_t end = ::min(clip.end, begin + share);
    Extremes<out_t> extremes;
    for (int64_t p = (int64_t(blockIdx.x) * kThreads + threadIdx.x) * kVec; p < pixels; p += step) {
      acc_t sum[kVec] = {};
      body(clip, begin, end, p, sum);
      if (target.partial != nullptr) {
        store_vector(target.partial + item * pixels + p, sum);
      } else {
        store_image<kVec>(target, b * pixels + p, sum, extremes);
      }
    }
    if (target.partial == nullptr && target.extremes != nullptr) {
      const Extremes<out_t> all = block_extremes(extremes);
      if (threadIdx.x == 0) {
        target.extremes[b * gridDim.x + blockIdx.x] = all;
      }
    }
  }
}

// sum += weight * values. A byte becomes a float by standing in the last bits of
// 2^23, which takes full-rate instructions where a conversion does not.
template <typename acc_t, typename stored_t, int kVec>
__device__ __forceinline__ void add_weighted(
    acc_t (&sum)[kVec], acc_t weight, const Vector<stored_t, kVec>& frame) {
#pragma unroll
  for (int j = 0; j < kVec; ++j) {
    acc_t value;
    if constexpr (std::is_same_v<stored_t, uint8_t> && std::is_same_v<acc_t, float>) {
      value = __uint_as_float(0x4b000000u | frame.values[j]) - 0x1p23f;
    } else {
      value = static_cast<acc_t>(frame.values[j]);
    }
    sum[j] += weight * value;
  }
}

template <typename stored_t, typename acc_t, typename out_t, int kVec>
__global__ void __launch_bounds__(kThreads) temporal_pool_kernel(
    const Clip* __restrict__ clips,    // [B]
    const int64_t* __restrict__ index, // [K]
    const acc_t* __restrict__ weights, // [K]
    FrameShape shape,
    int64_t batch,
    int64_t splits,
    PoolTarget<acc_t, out_t> target) {
  for_each_stretch<kVec>(
      clips, batch, splits, shape.pixels(), target,
      [&](const Clip& clip, int64_t begin, int64_t end, int64_t pixel, acc_t(&sum)[kVec]) {
        const auto* frames =
            reinterpret_cast<const stored_t*>(clip.frames) + offset_of(shape, clip.strides, pixel);
        const int64_t block = std::is_integral_v<acc_t> ? end - begin : kBlock;
        for (int64_t k = begin; k < end;) {
          acc_t part[kVec] = {};
          const int64_t stop = ::min(end, k + block);
      // Unrolled, so that several frames are on their way before the first is used.
#pragma unroll 4
          for (; k < stop; ++k) {
            const auto frame = *reinterpret_cast<const Vector<stored_t, kVec>*>(
                frames + index[k] * clip.strides.frame);
            add_weighted(part, weights[k], frame);
          }
#pragma unroll
          for (int j = 0; j < kVec; ++j) {
            sum[j] += part[j];
          }
        }
      });
}

template <typename stored_t, typename acc_t, typename out_t, bool kRectify, int kVec>
__global__ void __launch_bounds__(kThreads) motion_pool_kernel(
    const Clip* __restrict__ clips, // [B]
    FrameShape shape,
    int64_t batch,
    int64_t splits,
    PoolTarget<acc_t, out_t> target) {
  using VectorIn = Vector<stored_t, kVec>;
  for_each_stretch<kVec>(
      clips, batch, splits, shape.pixels(), target,
      [&](const Clip& clip, int64_t begin, int64_t end, int64_t pixel, acc_t(&sum)[kVec]) {
        // Frames [begin, end), and the steps that lead to each of them.
        const auto* frames =
            reinterpret_cast<const stored_t*>(clip.frames) + offset_of(shape, clip.strides, pixel);
        const auto frame = [&](int64_t t) {
          return *reinterpret_cast<const VectorIn*>(frames + t * clip.strides.frame);
        };
        if (begin >= end) {
          return;
        }
        acc_t last[kVec] = {};
        VectorIn previous = frame(::max(begin - 1, int64_t(0)));
        const int64_t block = std::is_integral_v<acc_t> ? end - begin : kBlock;
        for (int64_t t = ::max(begin, int64_t(1)); t < end;) {
          acc_t part[kVec] = {};
          const int64_t stop = ::min(end, t + block);
#pragma unroll 4
          for (; t < stop; ++t) {
            const VectorIn current = frame(t);
#pragma unroll
            for (int j = 0; j < kVec; ++j) {
              last[j] = motion_step<acc_t, kRectify>(
                  static_cast<acc_t>(current.values[j]), static_cast<acc_t>(previous.values[j]));
              part[j] += last[j];
            }
            previous = current;
          }
#pragma unroll
          for (int j = 0; j < kVec; ++j) {
            sum[j] += part[j];
          }
        }
        // Only the clip's last step counts once.
        const bool ends = end == clip.end;
#pragma unroll
        for (int j = 0; j < kVec; ++j) {
          sum[j] = motion_total(sum[j], ends ? last[j] : acc_t(0));
        }
      });
}

// Adds up the splits, in order.
template <typename acc_t, typename out_t>
__global__ void __launch_bounds__(kThreads) finish_pool_kernel(
    int64_t batch, int64_t splits, int64_t pixels, PoolTarget<acc_t, out_t> target) {
  for (int64_t b = blockIdx.y; b < batch; b += gridDim.y) {
    Extremes<out_t> extremes;
    for (int64_t p = int64_t(blockIdx.x) * kThreads + threadIdx.x; p < pixels;
         p += int64_t(gridDim.x) * kThreads) {
      acc_t sum[1] = {};
#pragma unroll 4
      for (int64_t split = 0; split < splits; ++split) {
        sum[0] += target.partial[(split * batch + b) * pixels + p];
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

// Maps each image linearly to 0..255 by the extremes that the blocks found.
template <typename out_t>
__global__ void __launch_bounds__(kThreads) stretch_kernel(
    const Extremes<out_t>* __restrict__ extremes, // [B, parts]
    int64_t parts,
    int64_t batch,
    int64_t pixels,
    out_t* __restrict__ image) {
  for (int64_t b = blockIdx.y; b < batch; b += gridDim.y) {
    Extremes<out_t> mine;
    for (int64_t i = threadIdx.x; i < parts; i += kThreads) {
      mine.add(extremes[b * parts + i]);
    }
    const Extremes<out_t> all = block_extremes(mine);
    for (int64_t p = int64_t(blockIdx.x) * kThreads + threadIdx.x; p < pixels;
         p += int64_t(gridDim.x) * kThreads) {
      image[b * pixels + p] = stretch(image[b * pixels + p], all);
    }
  }
}

// Whether every run of pixels in every frame and image starts on a vector's boundary.
template <typename stored_t>
bool vectors_fit(const PoolPlan& plan) {
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
const T* pointer(const Tensor& tensor) {
  return static_cast<const T*>(tensor.const_data_ptr());
}

Tensor new_bytes(const Tensor& like, int64_t bytes) {
  return torch::stable::new_empty(like, {bytes}, ScalarType::Byte);
}

// Runs a pool: run(vec_constant, blocks_x, rows, clips, splits, target) launches its
// kernel.
template <typename stored_t, typename acc_t, typename out_t, typename Run>
void launch_pool(const char* op, const PoolPlan& plan, const Run& run) {
  const auto batch = static_cast<int64_t>(plan.clips.size());
  const int64_t pixels = plan.pixels();
  const int32_t device = plan.result.get_device_index();
  const bool vectors = vectors_fit<stored_t>(plan);
  const int64_t vec = vectors ? kVectorBytes / sizeof(stored_t) : 1;
  const int64_t blocks = ceil_div(pixels, kThreads * vec);
  if (blocks == 0) {
    return;
  }
  int64_t terms = 0;
  for (const Clip& clip : plan.clips) {
    terms = std::max(terms, clip.end - clip.begin);
  }
  const int64_t splits = std::clamp<int64_t>(
      kFillingThreads / (batch * blocks * kThreads), 1, std::max<int64_t>(1, terms / kLeastTerms));

  const Tensor clips = to_device(plan.clips.data(), plan.clips.size(), plan.result);
  const int64_t finish_blocks = ceil_div(pixels, kThreads);
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
    run(std::integral_constant<int, kVec>(), blocks, batch * splits, pointer<Clip>(clips), splits,
        target);
  } else {
    run(std::integral_constant<int, 1>(), blocks, batch * splits, pointer<Clip>(clips), splits,
        target);
  }
  if (splits > 1) {
    launch(
        op, device, finish_blocks, batch, finish_pool_kernel<acc_t, out_t>, batch, splits, pixels,
        target);
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
    const std::string& normalize) {
  const char* op = "temporal_pool";
  const PoolPlan plan = plan_temporal_pool(frames, clips, index, weights, normalize);
  const auto device = plan.result.device();
  const Tensor converted = torch::stable::contiguous(
      torch::stable::to(torch::stable::to(weights, weight_dtype(plan.accumulate)), device));
  const Tensor index_there = torch::stable::to(index, device);
  dispatch_plan<c10::Half, c10::BFloat16>(
      plan, op, [&]<typename stored_t, typename acc_t, typename out_t>() {
        launch_pool<stored_t, acc_t, out_t>(
            op, plan,
            [&](auto vec, int64_t blocks, int64_t rows, const Clip* table, int64_t splits,
                const PoolTarget<acc_t, out_t>& target) {
              launch(
                  op, plan.result.get_device_index(), blocks, rows,
                  temporal_pool_kernel<stored_t, acc_t, out_t, vec.value>, table,
                  pointer<int64_t>(index_there), pointer<acc_t>(converted), plan.layout.shape,
                  static_cast<int64_t>(plan.clips.size()), splits, target);
            });
      });
  return plan.result;
}

template <typename stored_t, typename acc_t, typename out_t, bool kRectify>
void launch_motion_pool(const char* op, const PoolPlan& plan) {
  launch_pool<stored_t, acc_t, out_t>(
      op, plan,
      [&](auto vec, int64_t blocks, int64_t rows, const Clip* table, int64_t splits,
          const PoolTarget<acc_t, out_t>& target) {
        launch(
            op, plan.result.get_device_index(), blocks, rows,
            motion_pool_kernel<stored_t, acc_t, out_t, kRectify, vec.value>, table,
            plan.layout.shape, static_cast<int64_t>(plan.clips.size()), splits, target);
      });
}

Tensor motion_pool_cuda(
    const std::vector<Tensor>& frames,
    const Tensor& clips,
    bool rectify,
    const std::string& normalize) {
  const char* op = "motion_pool";
  const PoolPlan plan = plan_motion_pool(frames, clips, normalize);
  dispatch_plan<c10::Half, c10::BFloat16>(
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

STABLE_TORCH_LIBRARY_IMPL(originet, CUDA, m) {
  m.impl("temporal_pool", TORCH_BOX(&temporal_pool_cuda));
  m.impl("motion_pool", TORCH_BOX(&motion_pool_cuda));
}

} // namespace originet
