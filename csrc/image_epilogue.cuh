// What the CUDA kernels need to normalise images.
#pragma once

#include "cuda_common.cuh"
#include "image_epilogue.h"

namespace originet {

// The extremes of all threads of a block. All threads of the block must call it.
template <typename out_t>
__device__ __forceinline__ Extremes<out_t> block_extremes(Extremes<out_t> mine) {
  __shared__ Extremes<out_t> shared[kThreadsPerBlock];
  shared[threadIdx.x] = mine;
  __syncthreads();
#pragma unroll
  for (int half = kThreadsPerBlock / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) {
      shared[threadIdx.x].add(shared[threadIdx.x + half]);
    }
    __syncthreads();
  }
  const Extremes<out_t> all = shared[0];
  __syncthreads(); // before the next call writes
  return all;
}

} // namespace originet
