// How CUDA kernels find, load and store the pixels of frames.
#pragma once

#include <cstring>

#include "cuda_common.cuh"
#include "frame_shape.h"

namespace originet {

// Where a pixel lies in its frame.
__device__ __forceinline__ int64_t
offset_of(const FrameShape& shape, const FrameStrides& strides, int64_t pixel) {
  if (shape.rows == 1 && shape.planes == 1) {
    return pixel;
  }
  // Frames in several runs are small enough for 32 bits, which divide faster than 64.
  const auto position = static_cast<uint32_t>(pixel);
  const auto run = static_cast<uint32_t>(shape.run);
  const auto rows = static_cast<uint32_t>(shape.rows);
  const uint32_t row = position / run;
  return row / rows * strides.plane + row % rows * strides.row + position % run;
}

// What loads so many bytes with one instruction.
template <size_t kBytes>
using Word = std::conditional_t<
    kBytes == 16,
    uint4,
    std::conditional_t<
        kBytes == 8,
        uint2,
        std::conditional_t<
            kBytes == 4,
            uint32_t,
            std::conditional_t<kBytes == 2, uint16_t, uint8_t>>>>;

// Loads a vector with one instruction; nothing may write to it during the kernel. __ldg
// says that the address is in global memory, which the compiler cannot know because the
// address comes from a table.
template <typename vector_t>
__device__ __forceinline__ vector_t load_vector(const void* from) {
  using word_t = Word<sizeof(vector_t)>;
  static_assert(sizeof(word_t) == sizeof(vector_t));
  const word_t word = __ldg(static_cast<const word_t*>(from));
  vector_t vector;
  std::memcpy(&vector, &word, sizeof vector);
  return vector;
}

// sum += bytes. Of four bytes a word, the dot product with a byte that is 1 takes one out and adds it.
__device__ __forceinline__ void add_four_bytes(uint32_t* sum, uint32_t bytes) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    sum[i] = __dp4a(bytes, 1u << 8 * i, sum[i]);
  }
}

template <int kVec>
__device__ __forceinline__ void add_bytes(uint32_t (&sum)[kVec], const uint8_t (&bytes)[kVec]) {
  if constexpr (kVec == 1) {
    sum[0] += bytes[0];
  } else {
#pragma unroll
    for (int j = 0; j < kVec; j += 4) {
      uint32_t four;
      std::memcpy(&four, bytes + j, sizeof four);
      add_four_bytes(sum + j, four);
    }
  }
}

// sum += |a - b|
template <int kVec>
__device__ __forceinline__ void add_byte_distances(
    uint32_t (&sum)[kVec], const uint8_t (&a)[kVec], const uint8_t (&b)[kVec]) {
  if constexpr (kVec == 1) {
    sum[0] = __usad(a[0], b[0], sum[0]);
  } else {
#pragma unroll
    for (int j = 0; j < kVec; j += 4) {
      uint32_t four_a, four_b;
      std::memcpy(&four_a, a + j, sizeof four_a);
      std::memcpy(&four_b, b + j, sizeof four_b);
      add_four_bytes(sum + j, __vabsdiffu4(four_a, four_b));
    }
  }
}

} // namespace originet
