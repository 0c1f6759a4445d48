// How the blocks and threads of a per-channel reduction find their values, in
// contiguous and in channels_last memory. rrelu_norm_cuda.cu draws both.
//
// A column is a channel or, where channels alternate in memory (kAlong), kVec neighbouring
// channels. Vector (o, i) of a column is vector (o * columns + column) * inner + i of
// memory. Thread t of a block works on column t % cols, on its rows t / cols,
// t / cols + rows, ... So neighbouring threads read neighbouring vectors in both
// layouts: cols is 1 for planes, and up to a cache line for alternating channels.
#pragma once

#include <initializer_list>

#include "cuda_common.cuh"
#include "rrelu_norm.h"

namespace originet {

struct Mapping {
  int64_t columns, inner, items;  // items: vectors of a column
  int64_t step_outer, step_inner; // what all rows of the grid are in (o, i)
  int64_t parts;                  // blocks a column
  int cols, rows;                 // of a block
  int64_t channels, count;        // count: values of a channel
};

// Where a thread works. Threads without work must still reach the barriers.
struct Place {
  int64_t column;
  int row;
  bool active;

  __device__ Place(const Mapping& map, int64_t column_block)
      : column(column_block * map.cols + threadIdx.x % map.cols),
        row(threadIdx.x / map.cols),
        active(row < map.rows && column < map.columns) {}
};

template <typename Body>
__device__ __forceinline__ void for_each_vector(
    const Mapping& map, const Place& place, const Body& body) {
  // The first item is below kMostBlocks * kThreadsPerBlock, so it fits in 32 bits, which divide
  // faster than 64. The loop carries (o, i) along and divides no more.
  const auto first = static_cast<uint32_t>(blockIdx.x * map.rows + place.row);
  const auto inner = static_cast<uint32_t>(::min(map.inner, int64_t(UINT32_MAX)));
  int64_t o = first / inner;
  int64_t i = first % inner;
  const int64_t step = map.parts * map.rows;
  for (int64_t item = first; item < map.items; item += step) {
    body((o * map.columns + place.column) * map.inner + i);
    o += map.step_outer;
    i += map.step_inner;
    if (i >= map.inner) {
      i -= map.inner;
      ++o;
    }
  }
}

// Merges the states of the threads of a column and returns the result to all of them. All threads
// of a block must call it.
template <typename State>
__device__ __forceinline__ State
merge_rows(const State& mine, State* shared, const Mapping& map, const Place& place) {
  shared[threadIdx.x] = mine;
  __syncthreads();
  int half = 1;
  while (2 * half < map.rows) {
    half *= 2;
  }
  for (; half > 0; half /= 2) {
    if (place.row < half && place.row + half < map.rows) {
      shared[threadIdx.x].merge(shared[threadIdx.x + half * map.cols]);
    }
    __syncthreads();
  }
  const State merged = shared[threadIdx.x % map.cols];
  __syncthreads();
  return merged;
}

template <typename acc_t>
struct Pair {
  acc_t first, second;
  __device__ __forceinline__ void merge(const Pair& other) {
    first += other.first;
    second += other.second;
  }
};

template <typename acc_t>
__device__ __forceinline__ acc_t
value_or(const acc_t* values, int64_t channel, bool active, acc_t otherwise) {
  return values && active ? values[channel] : otherwise;
}

template <typename scalar_t, int kVec>
__device__ __forceinline__ Vector<scalar_t, kVec> vector_at(const scalar_t* base, int64_t vector) {
  return reinterpret_cast<const Vector<scalar_t, kVec>*>(base)[vector];
}

constexpr int64_t kCacheLine = 128;    // bytes
constexpr int64_t kVectorsAThread = 4; // with fewer, a block is not worth starting
// The most blocks of a launch. Where channels alternate, every block reads the partial results of
// all blocks of its channels, so there may be fewer of them.
constexpr int64_t kMostBlocks = 1024, kMostBlocksAlong = 256;

template <int kVec, bool kAlong>
Mapping make_mapping(const NormShape& shape, int64_t bytes) {
  Mapping map;
  map.channels = shape.channels;
  map.count = shape.count();
  map.columns = kAlong ? shape.channels / kVec : shape.channels;
  map.inner = kAlong ? 1 : shape.inner / kVec;
  map.items = shape.outer * map.inner;
  const bool alternating = shape.inner == 1;
  map.cols = alternating ? int(std::min(map.columns, kCacheLine / (kVec * bytes))) : 1;
  map.rows = kThreadsPerBlock / map.cols;
  const int64_t wanted = ceil_div(map.items, map.rows * kVectorsAThread);
  const int64_t most =
      (alternating ? kMostBlocksAlong : kMostBlocks) / ceil_div(map.columns, map.cols);
  map.parts = std::max<int64_t>(1, std::min(wanted, most));
  map.step_outer = map.parts * map.rows / map.inner;
  map.step_inner = map.parts * map.rows % map.inner;
  return map;
}

// Calls body<kVec, kAlong>() for the widest vectors that shape and addresses allow.
template <typename scalar_t, typename Body>
void with_vectors(const NormShape& shape, std::initializer_list<const void*> bases, Body body) {
  constexpr int kVec = kVectorBytes / sizeof(scalar_t);
  const bool aligned = std::all_of(
      bases.begin(), bases.end(), [](const void* base) { return misalignment(base) == 0; });
  if (aligned && shape.inner == 1 && shape.channels % kVec == 0) {
    body.template operator()<kVec, true>();
  } else if (aligned && shape.inner % kVec == 0) {
    body.template operator()<kVec, false>();
  } else {
    body.template operator()<1, false>();
  }
}

} // namespace originet
