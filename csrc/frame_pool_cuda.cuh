// How the kernels of the temporal pools find their clips, and sum and store the pixels of a block.
#pragma once

#include "frame_access.cuh"
#include "frame_pool.h"
#include "frame_pool_math.h"
#include "image_epilogue.cuh"

namespace originet {

// The tables of clips and terms travel with a launch, as parameters of the kernel: a copy to the
// device would wait for the stream, and a graph could not record it. More clips take more launches,
// except those that are alike and evenly spaced in memory, such as sliding windows.
constexpr int64_t kFewClips = 32;
constexpr int64_t kFewTerms = 48;

template <typename clip_t>
struct ClipTable {
  int64_t batch;
  int64_t step; // bytes from each clip to the next, if there are more than `few` can list
  clip_t few[kFewClips];

  __device__ __forceinline__ clip_t get(int64_t b) const {
    if (batch <= kFewClips) {
      return few[b];
    }
    clip_t clip = few[0];
    clip.frames += b * step;
    return clip;
  }
};

// Where the terms of a clip are: integer weights that form a ramp are computed; other integers are
// listed in the parameters if they are few. A clip with a ramp reads its frames in order.
enum class TermPlace : int32_t { kRamp, kListed, kStored };

// A clip of temporal_pool.
struct WeightedClip : Clip {
  TermPlace place;
  Ramp<int64_t> ramp;
};

template <typename acc_t>
struct TermTable {
  const int64_t* index; // [K] on the device, or null if all clips read their frames in order
  const acc_t* weights; // [K] on the device
  int64_t few_index[kFewTerms];
  int64_t few_weights[kFewTerms];

  // The frame that term k reads, counted from the first of the clip.
  __device__ __forceinline__ int64_t frame_of(const WeightedClip& of, int64_t k) const {
    if (of.place == TermPlace::kListed) {
      return few_index[k];
    }
    return of.place == TermPlace::kRamp || index == nullptr ? k - of.begin : index[k];
  }

  __device__ __forceinline__ acc_t weight_of(const WeightedClip& of, int64_t k) const {
    if (of.place == TermPlace::kStored) {
      return weights[k];
    }
    if (of.place == TermPlace::kListed) {
      return static_cast<acc_t>(few_weights[k]);
    }
    const int64_t at = k - of.begin;
    int64_t weight = of.ramp.first + of.ramp.step * at;
    weight += at == 0 ? of.ramp.extra_first : 0;
    weight += k == of.end - 1 ? of.ramp.extra_last : 0;
    return static_cast<acc_t>(weight);
  }
};

static_assert(
    sizeof(ClipTable<WeightedClip>) + sizeof(TermTable<double>) <= 4096 - 128,
    "all parameters of a kernel must fit in 4096 bytes");

// Where a pool writes its results: finished images, or the sums of splits.
template <typename acc_t, typename out_t>
struct PoolTarget {
  acc_t* partial;            // [B, splits, pixels], or null if there is one split
  out_t* image;              // [B, pixels]
  Extremes<out_t>* extremes; // [B, gridDim.x], or null if not needed
  Normalize normalize;
};

// How time is divided: into 2^log_splits blocks and, within a block, into 2^log_slices groups of
// whole warps. Powers of two, because divisions are slow.
struct TimeSplit {
  int log_slices;
  int log_splits;
};
constexpr int kMostLogSlices = 3; // a slice has 32 threads

// The terms [begin, end) of a thread, and the number of its clip. Slice s of the block has the terms
// from first + s * most on, at most `most` of them.
struct Share {
  int64_t clip;
  int64_t begin;
  int64_t end;
  int64_t first;
  int64_t most;
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

// The sums of a block's threads. A row holds pixel j of each; its length spreads the threads of
// add_slices() over the banks.
constexpr int kSumRow = kThreadsPerBlock + 2;

// For the pixels of a block, of which a thread takes kOut at a time: adds the slices in order, and
// calls store(pixel, sums). `pixels` are those of the block.
template <int kVec, int kOut, typename acc_t, typename Store>
__device__ __forceinline__ void add_slices(
    const acc_t (&sums)[kVec * kSumRow], int log_slices, int64_t pixels, const Store& store) {
  const int lanes = kThreadsPerBlock >> log_slices;
  for (int p = static_cast<int>(threadIdx.x) * kOut; p < pixels; p += kThreadsPerBlock * kOut) {
    acc_t total[kOut];
#pragma unroll
    for (int i = 0; i < kOut; ++i) {
      const acc_t* row = sums + (p % kVec + i) * kSumRow + p / kVec;
      total[i] = row[0];
#pragma unroll 1
      for (int at = lanes; at < kThreadsPerBlock; at += lanes) {
        total[i] += row[at];
      }
    }
    store(p, total);
  }
}

// Calls body(clip, share, pixel, sum) for the pixels of this thread in every clip and split of this
// block, adds up the slices and stores the sums. All threads call body, which may contain barriers;
// those beyond the last pixel have no terms and the pixel 0.
template <int kVec, typename clip_t, typename acc_t, typename out_t, typename Body>
__device__ __forceinline__ void for_each_stretch(
    const ClipTable<clip_t>& clips,
    int64_t pixels,
    const TimeSplit& split,
    const PoolTarget<acc_t, out_t>& target,
    const Body& body) {
  __shared__ acc_t sums[kVec * kSumRow];
  const int lanes = kThreadsPerBlock >> split.log_slices;
  const int slice = static_cast<int>(threadIdx.x) / lanes;
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  const int64_t width = int64_t(lanes) * kVec;
  const int log_shares = split.log_slices + split.log_splits;
  for (int64_t item = blockIdx.y; item < clips.batch << split.log_splits; item += gridDim.y) {
    const int64_t b = item >> split.log_splits;
    const clip_t clip = clips.get(b);
    const int64_t first = clip.begin, last = clip.end;
    const int64_t part = item - (b << split.log_splits);
    const int64_t most = (last - first + (1LL << log_shares) - 1) >> log_shares;
    const int64_t block_first = first + (part << split.log_slices) * most;
    const int64_t begin = ::min(last, block_first + slice * most);
    const int64_t end = ::min(last, begin + most);
    Extremes<out_t> extremes;
    for (int64_t at = blockIdx.x * width; at < pixels; at += gridDim.x * width) {
      const int64_t pixel = at + lane * kVec;
      const bool inside = pixel < pixels;
      acc_t sum[kVec] = {};
      body(clip, Share{b, begin, inside ? end : begin, block_first, most}, inside ? pixel : 0, sum);
#pragma unroll
      for (int j = 0; j < kVec; ++j) {
        sums[j * kSumRow + threadIdx.x] = sum[j];
      }
      __syncthreads();
      const int64_t here = ::min(width, pixels - at);
      if (target.partial != nullptr) {
        constexpr int kOut = kVec == 1 ? 1 : kVectorBytes / sizeof(acc_t);
        add_slices<kVec, kOut>(sums, split.log_slices, here, [&](int p, const acc_t(&total)[kOut]) {
          store_vector(target.partial + item * pixels + at + p, total);
        });
      } else {
        constexpr int kOut = kVec == 1 ? 1 : kVectorBytes / sizeof(out_t);
        add_slices<kVec, kOut>(sums, split.log_slices, here, [&](int p, const acc_t(&total)[kOut]) {
          store_image<kOut>(target, b * pixels + at + p, total, extremes);
        });
      }
      __syncthreads(); // before the next sums are written
    }
    if (target.partial == nullptr && target.extremes != nullptr) {
      const Extremes<out_t> all = block_extremes(extremes);
      if (threadIdx.x == 0) {
        target.extremes[b * gridDim.x + blockIdx.x] = all;
      }
    }
  }
}

// The frame and the weight of each term that a block sums next, staged in shared memory. Each slice
// has its share of the places.
constexpr int kLogStagedTerms = 9;
constexpr int kStagedTerms = 1 << kLogStagedTerms;

template <typename acc_t>
struct StagedTerms {
  int64_t offset[kStagedTerms]; // of the frame, in elements
  acc_t weight[kStagedTerms];
};

// Stages the terms of all slices, for each from its term number `done` on. All threads of the block
// must call it.
template <typename acc_t>
__device__ __forceinline__ void stage_terms(
    StagedTerms<acc_t>& staged,
    const TermTable<acc_t>& terms,
    const WeightedClip& clip,
    const Share& share,
    int log_room,
    int64_t done) {
  __syncthreads(); // before places are filled that other threads still read
#pragma unroll 1
  for (int place = threadIdx.x; place < kStagedTerms; place += kThreadsPerBlock) {
    const int64_t within = done + (place & ((1 << log_room) - 1));
    const int64_t k = share.first + (place >> log_room) * share.most + within;
    if (within < share.most && k < clip.end) {
      staged.offset[place] = terms.frame_of(clip, k) * clip.strides.frame;
      staged.weight[place] = terms.weight_of(clip, k);
    }
  }
  __syncthreads();
}

// sum += weight * values
template <typename acc_t, typename stored_t, int kVec>
__device__ __forceinline__ void add_weighted_vector(
    acc_t (&sum)[kVec], acc_t weight, const Vector<stored_t, kVec>& frame) {
#pragma unroll
  for (int j = 0; j < kVec; ++j) {
    sum[j] += weight * wide<acc_t>(frame.values, j);
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
    sum[j] += weight * (wide<acc_t>(frame.values, j) - pivot[j]);
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
    sum[j] += motion_step<acc_t, kRectify>(
        wide<acc_t>(current.values, j), wide<acc_t>(previous.values, j));
  }
}

} // namespace originet
