// CUDA kernels of the temporal pools. A thread owns kVec neighbouring pixels of
// one clip, keeps their sums in registers and walks through time; blockIdx.y is
// the clip, blockIdx.x the stretch of pixels. One launch serves a ragged batch.
// No atomics, one order of additions: results do not vary from run to run.
#include "cuda_common.cuh"
#include "frame_pool.h"
#include "frame_pool_math.h"

namespace originet {
namespace {

template <typename out_t, typename acc_t, int kVec>
__device__ __forceinline__ void store(out_t* target, const acc_t (&sum)[kVec]) {
  // A vector of 16 uint8 pixels gives 64 bytes of float: several stores.
  constexpr int kStore = kVec * sizeof(out_t) > kVectorBytes ? kVectorBytes / sizeof(out_t) : kVec;
#pragma unroll
  for (int j = 0; j < kVec; j += kStore) {
    Vector<out_t, kStore> out;
#pragma unroll
    for (int i = 0; i < kStore; ++i) {
      out.values[i] = static_cast<out_t>(sum[j + i]);
    }
    *reinterpret_cast<Vector<out_t, kStore>*>(target + j) = out;
  }
}

template <typename stored_t, typename acc_t, typename out_t, int kVec>
__global__ void __launch_bounds__(kThreads) temporal_pool_kernel(
    const stored_t* __restrict__ frames,  // [T, pixels]
    const int64_t* __restrict__ index,    // [K]
    const acc_t* __restrict__ weights,    // [K]
    const int64_t* __restrict__ segments, // [B + 1]
    out_t* __restrict__ result,           // [B, pixels]
    int64_t batch,
    int64_t pixels) {
  const int64_t step = int64_t(gridDim.x) * kThreads * kVec;
  for (int64_t clip = blockIdx.y; clip < batch; clip += gridDim.y) {
    const int64_t begin = segments[clip];
    const int64_t end = segments[clip + 1];
    for (int64_t p = (int64_t(blockIdx.x) * kThreads + threadIdx.x) * kVec; p < pixels; p += step) {
      acc_t sum[kVec] = {};
      // Unrolled, so that several frames are on their way before the first is used.
#pragma unroll 4
      for (int64_t k = begin; k < end; ++k) {
        const auto frame =
            *reinterpret_cast<const Vector<stored_t, kVec>*>(frames + index[k] * pixels + p);
        const acc_t weight = weights[k];
#pragma unroll
        for (int j = 0; j < kVec; ++j) {
          sum[j] += weight * static_cast<acc_t>(frame.values[j]);
        }
      }
      store<out_t, acc_t, kVec>(result + clip * pixels + p, sum);
    }
  }
}

template <typename stored_t, typename acc_t, typename out_t, bool kRectify, int kVec>
__global__ void __launch_bounds__(kThreads) motion_pool_kernel(
    const stored_t* __restrict__ frames, // [T, pixels]
    const int64_t* __restrict__ offsets, // [B + 1]
    out_t* __restrict__ result,          // [B, pixels]
    int64_t batch,
    int64_t pixels) {
  using VectorIn = Vector<stored_t, kVec>;
  const int64_t step = int64_t(gridDim.x) * kThreads * kVec;
  for (int64_t clip = blockIdx.y; clip < batch; clip += gridDim.y) {
    const int64_t begin = offsets[clip];
    const int64_t end = offsets[clip + 1];
    for (int64_t p = (int64_t(blockIdx.x) * kThreads + threadIdx.x) * kVec; p < pixels; p += step) {
      acc_t sum[kVec] = {};
      acc_t last[kVec] = {};
      VectorIn previous = *reinterpret_cast<const VectorIn*>(frames + begin * pixels + p);
#pragma unroll 4
      for (int64_t t = begin + 1; t < end; ++t) {
        const VectorIn current = *reinterpret_cast<const VectorIn*>(frames + t * pixels + p);
#pragma unroll
        for (int j = 0; j < kVec; ++j) {
          last[j] = motion_step<acc_t, kRectify>(
              static_cast<acc_t>(current.values[j]), static_cast<acc_t>(previous.values[j]));
          sum[j] += last[j];
        }
        previous = current;
      }
#pragma unroll
      for (int j = 0; j < kVec; ++j) {
        sum[j] = motion_total(sum[j], last[j]);
      }
      store<out_t, acc_t, kVec>(result + clip * pixels + p, sum);
    }
  }
}

// Whether every frame and every result starts on a vector's boundary.
template <typename stored_t>
bool vectors_fit(const PoolPlan& plan) {
  constexpr int kVec = kVectorBytes / sizeof(stored_t);
  return plan.pixels % kVec == 0 && misalignment(plan.frames.const_data_ptr()) == 0 &&
         misalignment(plan.result.const_data_ptr()) == 0;
}

template <typename T>
const T* pointer(const Tensor& tensor) {
  return static_cast<const T*>(tensor.const_data_ptr());
}

template <typename stored_t, typename acc_t, typename out_t>
void launch_temporal_pool(
    const PoolPlan& plan, const Tensor& index, const Tensor& weights, const Tensor& segments) {
  auto run = [&](auto kernel, int vec) {
    launch(
        "temporal_pool", plan.frames.get_device_index(),
        ceil_div(plan.pixels, int64_t(kThreads) * vec), plan.batch, kernel,
        pointer<stored_t>(plan.frames), pointer<int64_t>(index), pointer<acc_t>(weights),
        pointer<int64_t>(segments), static_cast<out_t*>(plan.result.mutable_data_ptr()), plan.batch,
        plan.pixels);
  };
  constexpr int kVec = kVectorBytes / sizeof(stored_t);
  if (vectors_fit<stored_t>(plan)) {
    run(temporal_pool_kernel<stored_t, acc_t, out_t, kVec>, kVec);
  } else {
    run(temporal_pool_kernel<stored_t, acc_t, out_t, 1>, 1);
  }
}

template <typename stored_t, typename acc_t, typename out_t, bool kRectify>
void launch_motion_pool(const PoolPlan& plan, const Tensor& offsets) {
  auto run = [&](auto kernel, int vec) {
    launch(
        "motion_pool", plan.frames.get_device_index(),
        ceil_div(plan.pixels, int64_t(kThreads) * vec), plan.batch, kernel,
        pointer<stored_t>(plan.frames), pointer<int64_t>(offsets),
        static_cast<out_t*>(plan.result.mutable_data_ptr()), plan.batch, plan.pixels);
  };
  constexpr int kVec = kVectorBytes / sizeof(stored_t);
  if (vectors_fit<stored_t>(plan)) {
    run(motion_pool_kernel<stored_t, acc_t, out_t, kRectify, kVec>, kVec);
  } else {
    run(motion_pool_kernel<stored_t, acc_t, out_t, kRectify, 1>, 1);
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
    const Tensor& frames, const Tensor& index, const Tensor& weights, const Tensor& segments) {
  const PoolPlan plan = plan_temporal_pool(frames, index, weights, segments);
  const auto device = frames.device();
  const Tensor converted = torch::stable::contiguous(
      torch::stable::to(torch::stable::to(weights, weight_dtype(plan.accumulate)), device));
  const Tensor index_there = torch::stable::to(index, device);
  const Tensor segments_there = torch::stable::to(segments, device);
  dispatch_plan<c10::Half, c10::BFloat16>(
      plan, "temporal_pool", [&]<typename stored_t, typename acc_t, typename out_t>() {
        launch_temporal_pool<stored_t, acc_t, out_t>(plan, index_there, converted, segments_there);
      });
  return plan.result;
}

Tensor motion_pool_cuda(const Tensor& frames, const Tensor& offsets, bool rectify) {
  const PoolPlan plan = plan_motion_pool(frames, offsets);
  const Tensor offsets_there = torch::stable::to(offsets, frames.device());
  dispatch_plan<c10::Half, c10::BFloat16>(
      plan, "motion_pool", [&]<typename stored_t, typename acc_t, typename out_t>() {
        if (rectify) {
          launch_motion_pool<stored_t, acc_t, out_t, true>(plan, offsets_there);
        } else {
          launch_motion_pool<stored_t, acc_t, out_t, false>(plan, offsets_there);
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
