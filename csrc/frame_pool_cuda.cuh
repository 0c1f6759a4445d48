// How the kernels of the temporal pools sum and store the pixels of a thread.
#pragma once

#include "frame_access.cuh"
#include "frame_pool.h"
#include "frame_pool_math.h"
#include "image_epilogue.cuh"

namespace originet {

// Where a pool writes its results: finished images, or the sums of splits.
template <typename acc_t, typename out_t>
struct PoolTarget {
  acc_t* partial;            // [B, splits, pixels], or null if there is one split
  out_t* image;              // [B, pixels]
  Extremes<out_t>* extremes; // [B, gridDim.x], or null if not needed
  Normalize normalize;
};

// Stores sums as pixels of an image, and adds them to the thread's extremes.
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

// Calls body(clip, first term, end, pixel, sum) for the pixels of this thread in every clip
// and split of this block, and stores the sums.
template <int kVec, typename acc_t, typename out_t, typename Body>
__device__ __forceinline__ void for_each_stretch(
    const Clip* __restrict__ clips,
    int64_t batch,
    int log_splits, // there are 2^log_splits splits, because divisions are slow
    int64_t pixels,
    const PoolTarget<acc_t, out_t>& target,
    const Body& body) {
  const int64_t step = int64_t(gridDim.x) * kThreadsPerBlock * kVec;
  for (int64_t item = blockIdx.y; item < batch << log_splits; item += gridDim.y) {
    const int64_t b = item >> log_splits;
    const int64_t split = item - (b << log_splits);
    const Clip clip = clips[b];
    const int64_t share = (clip.end - clip.begin + (1LL << log_splits) - 1) >> log_splits;
    const int64_t begin = ::min(clip.end, clip.begin + split * share);
    const int64_t end = ::min(clip.end, begin + share);
    Extremes<out_t> extremes;
    for (int64_t p = (int64_t(blockIdx.x) * kThreadsPerBlock + threadIdx.x) * kVec; p < pixels;
         p += step) {
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

// sum += weight * values
template <typename acc_t, typename stored_t, int kVec>
__device__ __forceinline__ void add_weighted_vector(
    acc_t (&sum)[kVec], acc_t weight, const Vector<stored_t, kVec>& frame) {
#pragma unroll
  for (int j = 0; j < kVec; ++j) {
    sum[j] += weight * static_cast<acc_t>(frame.values[j]);
  }
}

// sum += weight * (values - pivot)
template <typename acc_t, typename stored_t, int kVec>
__device__ __forceinline__ void add_weighted_vector(
    acc_t (&sum)[kVec],
    acc_t weight,
    const Vector<stored_t, kVec>& frame,
    const acc_t (&pivot)[kVec]) {
#pragma unroll
  for (int j = 0; j < kVec; ++j) {
    sum[j] += weight * (static_cast<acc_t>(frame.values[j]) - pivot[j]);
  }
}

// sum += weight * values for four bytes a word. Placing a byte in the last bits of 2^23 makes it a
// float with instructions that run at full rate, unlike a conversion.
template <int kWords>
__device__ __forceinline__ void add_weighted_vector(
    float (&sum)[4 * kWords], float weight, const Vector<uint32_t, kWords>& frame) {
#pragma unroll
  for (int j = 0; j < 4 * kWords; ++j) {
    const uint32_t bits = __byte_perm(frame.values[j / 4], 0x4b000000, 0x7440 + j % 4);
    sum[j] += weight * (__uint_as_float(bits) - 0x1p23f);
  }
}

// sum += g(current - previous)
template <bool kRectify, typename acc_t, typename stored_t, int kVec>
__device__ __forceinline__ void add_motion_vector(
    acc_t (&sum)[kVec],
    const Vector<stored_t, kVec>& current,
    const Vector<stored_t, kVec>& previous) {
#pragma unroll
  for (int j = 0; j < kVec; ++j) {
    if constexpr (std::is_same_v<acc_t, int32_t> && !kRectify) {
      // |a - b| + c is one instruction.
      sum[j] = __usad(current.values[j], previous.values[j], sum[j]);
    } else {
      sum[j] += motion_step<acc_t, kRectify>(
          static_cast<acc_t>(current.values[j]), static_cast<acc_t>(previous.values[j]));
    }
  }
}

} // namespace originet
