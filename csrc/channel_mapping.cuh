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

constexpr int kCacheLine = 128; // bytes

// The most columns of a block.
template <typename scalar_t, int kVec>
constexpr int kMostCols = std::min<int>(kWarp, kCacheLine / (kVec * sizeof(scalar_t)));

// Where the items of a column are in memory: item i of row o at o * outer + i * step, with `inner`
// items a row. A thread moves on in its row and in memory by a constant distance and, where the row
// ends, in memory by `wrap` as well.
struct Walk {
  int64_t inner, outer, step;
  int64_t next_inner, next, wrap;

  Walk() = default;
  // `items`: from each item of a thread to its next
  Walk(int64_t inner, int64_t outer, int64_t step, int64_t items)
      : inner(inner),
        outer(outer),
        step(step),
        next_inner(items % inner),
        next(items / inner * outer + next_inner * step),
        wrap(outer - inner * step) {}
};

// A thread on its walk. Without kRows, a row has one item.
template <bool kRows>
class Walker {
 public:
  // The first item is below kMostBlocks * kThreadsPerBlock, so it fits in 32 bits, which divide
  // faster than 64. The walk carries its place along and divides no more.
  __device__ __forceinline__ Walker(const Walk& walk, int64_t item, int64_t start) : walk_(walk) {
    const auto first = static_cast<uint32_t>(item);
    const auto inner = static_cast<uint32_t>(::min(walk.inner, int64_t(UINT32_MAX)));
    i_ = kRows ? first % inner : 0;
    place_ = start + (kRows ? first / inner : first) * walk.outer + i_ * walk.step;
  }

  // Returns the place of the item and moves on to the next.
  __device__ __forceinline__ int64_t next() {
    const int64_t place = place_;
    place_ += walk_.next;
    if constexpr (kRows) {
      i_ += walk_.next_inner;
      if (i_ >= walk_.inner) {
        i_ -= walk_.inner;
        place_ += walk_.wrap;
      }
    }
    return place;
  }

 private:
  const Walk& walk_;
  int64_t i_, place_;
};

struct Mapping {
  int64_t columns, items;  // items: vectors of a column
  Walk vectors;            // in vectors; a row is a plane or, along channels, a pixel
  int64_t parts;           // blocks a column
  int cols, rows;          // of a block
  int64_t channels, count; // count: values of a channel
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

  __device__ int64_t first_item(const Mapping& map) const {
    return blockIdx.x * map.rows + row;
  }
};

// Calls body(place, channel) for all columns of the thread's blocks, with the column's first channel.
template <int kChannels, typename Body>
__device__ __forceinline__ void for_each_column(const Mapping& map, const Body& body) {
  for (int64_t block = blockIdx.y; block * map.cols < map.columns; block += gridDim.y) {
    const Place place(map, block);
    body(place, place.column * kChannels);
  }
}

// Calls body(vectors) for the numbers of the thread's vectors, kMost at a time. In the end, they come
// one by one.
template <bool kAlong, int kMost, typename Body>
__device__ __forceinline__ void for_each_vectors(
    const Mapping& map, const Place& place, const Body& body) {
  int64_t item = place.first_item(map);
  const int64_t step = map.parts * map.rows;
  Walker<!kAlong> walker(map.vectors, item, place.column * map.vectors.inner);
  const auto next = [&] {
    item += step;
    return walker.next();
  };
  if constexpr (kMost > 1) {
    while (item + (kMost - 1) * step < map.items) {
      int64_t vectors[kMost];
#pragma unroll
      for (int64_t& each : vectors) {
        each = next();
      }
      body(vectors);
    }
  }
  while (item < map.items) {
    const int64_t vectors[] = {next()};
    body(vectors);
  }
}

template <bool kAlong, typename Body>
__device__ __forceinline__ void for_each_vector(
    const Mapping& map, const Place& place, const Body& body) {
  for_each_vectors<kAlong, 1>(map, place, [&](const int64_t (&vectors)[1]) { body(vectors[0]); });
}

// Two sums of each of kChannels neighbouring channels. load() and store() are for a workspace in
// which quantities lie `stride` apart.
template <typename acc_t, int kChannels>
struct SumPairs {
  using value_t = acc_t;
  acc_t first[kChannels], second[kChannels];

  __device__ __forceinline__ void merge(const SumPairs& other) {
#pragma unroll
    for (int j = 0; j < kChannels; ++j) {
      first[j] += other.first[j];
      second[j] += other.second[j];
    }
  }
  __device__ __forceinline__ void load(const acc_t* from, int64_t stride) {
#pragma unroll
    for (int j = 0; j < kChannels; ++j) {
      first[j] = from[j];
      second[j] = from[stride + j];
    }
  }
  __device__ __forceinline__ void store(acc_t* to, int64_t stride) const {
#pragma unroll
    for (int j = 0; j < kChannels; ++j) {
      to[j] = first[j];
      to[stride + j] = second[j];
    }
  }
};

// Moments of kChannels neighbouring channels with one count; merged as in rrelu_norm_math.h, but
// with one division for all.
template <typename acc_t, int kChannels>
struct ChannelMoments {
  using value_t = acc_t;
  acc_t count;
  acc_t mean[kChannels], m2[kChannels];

  __device__ __forceinline__ void merge(const ChannelMoments& other) {
    const acc_t total = count + other.count;
    const acc_t share = other.count == acc_t(0) ? acc_t(0) : other.count / total;
#pragma unroll
    for (int j = 0; j < kChannels; ++j) {
      const acc_t delta = other.mean[j] - mean[j];
      mean[j] += delta * share;
      m2[j] += other.m2[j] + delta * delta * count * share;
    }
    count = total;
  }
  __device__ __forceinline__ void load(const acc_t* from, int64_t stride) {
    count = from[0];
#pragma unroll
    for (int j = 0; j < kChannels; ++j) {
      mean[j] = from[stride + j];
      m2[j] = from[2 * stride + j];
    }
  }
  __device__ __forceinline__ void store(acc_t* to, int64_t stride) const {
    to[0] = count; // that of the first channel stands for all
#pragma unroll
    for (int j = 0; j < kChannels; ++j) {
      to[stride + j] = mean[j];
      to[2 * stride + j] = m2[j];
    }
  }
};

// The state of the thread `distance` lanes further on in the warp.
template <typename State>
__device__ __forceinline__ State state_of(const State& mine, int distance) {
  using value_t = typename State::value_t;
  value_t values[sizeof(State) / sizeof(value_t)];
  static_assert(sizeof values == sizeof(State));
  std::memcpy(values, &mine, sizeof values);
#pragma unroll
  for (value_t& value : values) {
    value = __shfl_down_sync(0xffffffff, value, distance);
  }
  State other;
  std::memcpy(&other, values, sizeof values);
  return other;
}

// Merges the states of the threads of a column and returns the result to all of them, in one order
// for all. All threads of a block must call it. Lane c < cols of a warp merges the rows of column c
// in its warp; shared memory takes one state a warp and column.
template <typename State>
__device__ __forceinline__ State merge_rows(State mine, State* shared, const Mapping& map) {
  for (int distance = kWarp / 2; distance >= map.cols; distance /= 2) {
    mine.merge(state_of(mine, distance));
  }
  const int lane = threadIdx.x % kWarp;
  if (lane < map.cols) {
    shared[threadIdx.x / kWarp * map.cols + lane] = mine;
  }
  __syncthreads();
  State merged = shared[threadIdx.x % map.cols];
  for (int warp = 1; warp < kWarps; ++warp) {
    merged.merge(shared[warp * map.cols + threadIdx.x % map.cols]);
  }
  __syncthreads(); // before the next call writes
  return merged;
}

template <typename acc_t>
__device__ __forceinline__ acc_t
value_or(const acc_t* values, int64_t channel, bool active, acc_t otherwise) {
  return values && active ? values[channel] : otherwise;
}

// Zeros if there are none.
template <typename acc_t, int kChannels>
__device__ __forceinline__ void load_channels(
    acc_t (&to)[kChannels], const acc_t* values, int64_t channel, const Place& place) {
#pragma unroll
  for (int j = 0; j < kChannels; ++j) {
    to[j] = value_or(values, channel + j, place.active, acc_t(0));
  }
}

template <typename scalar_t, int kVec>
__device__ __forceinline__ Vector<scalar_t, kVec> vector_at(const scalar_t* base, int64_t vector) {
  return reinterpret_cast<const Vector<scalar_t, kVec>*>(base)[vector];
}

constexpr int64_t kVectorsAThread = 4; // with fewer, a block is not worth starting
// The most blocks of a launch. Where channels alternate, every block reads the partial results of
// all blocks of its channels, so there may be fewer of them.
constexpr int64_t kMostBlocks = 1024, kMostBlocksAlong = 256;

template <typename scalar_t, int kVec, bool kAlong>
Mapping make_mapping(const NormShape& shape) {
  Mapping map;
  map.channels = shape.channels;
  map.count = shape.count();
  map.columns = kAlong ? shape.channels / kVec : shape.channels;
  const int64_t inner = kAlong ? 1 : shape.inner / kVec;
  map.items = shape.outer * inner;
  const bool alternating = shape.inner == 1;
  map.cols = 1; // a power of two, so that every warp has whole rows
  while (alternating && map.cols < std::min<int64_t>(map.columns, kMostCols<scalar_t, kVec>)) {
    map.cols *= 2;
  }
  map.rows = kThreadsPerBlock / map.cols;
  const int64_t wanted = ceil_div(map.items, map.rows * kVectorsAThread);
  const int64_t most =
      (alternating ? kMostBlocksAlong : kMostBlocks) / ceil_div(map.columns, map.cols);
  map.parts = std::max<int64_t>(1, std::min(wanted, most));
  map.vectors = Walk(inner, map.columns * inner, 1, map.parts * map.rows);
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
