// What the CUDA kernels need to normalise images.
#pragma once

#include "cuda_common.cuh"
#include "image_epilogue.h"

namespace originet {

// The extremes of all threads of a block. All threads of the block must call it.
template <typename out_t>
__device__ __forceinline__ Extremes<out_t> block_extremes(Extremes<out_t> mine) {
  __shared__ Extremes<out_t> shared[kWarps];
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    Extremes<out_t> other;
    other.low = __shfl_down_sync(0xffffffff, mine.low, distance);
    other.high = __shfl_down_sync(0xffffffff, mine.high, distance);
    mine.add(other);
  }
  if (threadIdx.x % kWarp == 0) {
    shared[threadIdx.x / kWarp] = mine;
  }
  __syncthreads();
  Extremes<out_t> all;
#pragma unroll
  for (int warp = 0; warp < kWarps; ++warp) {
    all.add(shared[warp]);
  }
  __syncthreads(); // before the next call writes
  return all;
}

// Maps each image linearly to 0..255, given the extremes of its parts. Every block looks at all of
// them, so there are only as many blocks as keep the memory busy.
constexpr int64_t kStretchBlocks = 1024;

template <typename out_t, int kVec>
__global__ void __launch_bounds__(kThreadsPerBlock, 4) stretch_kernel(
    const Extremes<out_t>* __restrict__ extremes, // [B, parts]
    int64_t parts,
    int64_t batch,
    int64_t pixels,
    out_t* __restrict__ images) { // [B, pixels]
  using VectorOut = Vector<out_t, kVec>;
  for (int64_t b = blockIdx.y; b < batch; b += gridDim.y) {
    Extremes<out_t> mine;
    for (int64_t i = threadIdx.x; i < parts; i += kThreadsPerBlock) {
      mine.add(extremes[b * parts + i]);
    }
    const Extremes<out_t> all = block_extremes(mine);
    auto* image = reinterpret_cast<VectorOut*>(images + b * pixels);
    for (int64_t p = int64_t(blockIdx.x) * kThreadsPerBlock + threadIdx.x; p < pixels / kVec;
         p += int64_t(gridDim.x) * kThreadsPerBlock) {
      VectorOut values = image[p];
#pragma unroll
      for (int j = 0; j < kVec; ++j) {
        values.values[j] = stretch(values.values[j], all);
      }
      image[p] = values;
    }
  }
}

template <typename out_t>
void launch_stretch(
    const char* op,
    int32_t device_index,
    const Extremes<out_t>* extremes,
    int64_t parts,
    int64_t batch,
    int64_t pixels,
    out_t* images) {
  constexpr int kVec = kVectorBytes / sizeof(out_t);
  const bool vectors = pixels % kVec == 0 && misalignment(images) == 0;
  const int64_t blocks = std::min(
      ceil_div(pixels, int64_t(kThreadsPerBlock) * (vectors ? kVec : 1)),
      ceil_div(kStretchBlocks, batch));
  if (vectors) {
    launch(
        op, device_index, blocks, batch, stretch_kernel<out_t, kVec>, extremes, parts, batch,
        pixels, images);
  } else {
    launch(
        op, device_index, blocks, batch, stretch_kernel<out_t, 1>, extremes, parts, batch, pixels,
        images);
  }
}

} // namespace originet
