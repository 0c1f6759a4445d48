// Host-side checks and plans of the temporal pools, the same for CPU and CUDA.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <vector>

#include "common.h"

namespace originet {

constexpr int64_t kMaxPixel = 255; // of a uint8 frame

// How a pool accumulates: uint8 frames with integer weights exactly in int32 or,
// where int32 could overflow, in int64; float64 frames in float64; all else in
// float32.
enum class Accumulate { kInt32, kInt64, kFloat32, kFloat64 };

inline Accumulate accumulate_integer(int64_t largest_sum) {
  return largest_sum <= std::numeric_limits<int32_t>::max() ? Accumulate::kInt32
                                                            : Accumulate::kInt64;
}

// Pools give float64 for float64 frames and float32 for all others.
inline ScalarType pooled_dtype(const Tensor& frames) {
  return frames.scalar_type() == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
}

inline void check_frames(const char* op, const Tensor& frames) {
  check(
      frames.dim() >= 2, op, ": frames must be [T, ...] with 2 dimensions or more, got ",
      ShapeOf{frames});
}

// The values of `offsets` [B + 1] after checking that they cut [0, total) into B
// ranges, each of `min_length` elements or more.
inline const int64_t* check_offsets(
    const char* op, const char* name, const Tensor& offsets, int64_t total, int64_t min_length) {
  check(
      offsets.is_cpu() && offsets.scalar_type() == ScalarType::Long && offsets.dim() == 1 &&
          offsets.is_contiguous() && offsets.size(0) >= 2,
      op, ": ", name, " must be a contiguous int64 tensor [B + 1] on the CPU with B >= 1");
  const auto* values = static_cast<const int64_t*>(offsets.const_data_ptr());
  const int64_t batch = offsets.size(0) - 1;
  check(values[0] == 0, op, ": ", name, " must start at 0, got ", values[0]);
  for (int64_t b = 0; b < batch; ++b) {
    check(
        values[b + 1] - values[b] >= min_length, op, ": ", name, "[", b + 1, "] = ", values[b + 1],
        " must exceed ", name, "[", b, "] = ", values[b], " by ", min_length, " or more");
  }
  check(values[batch] == total, op, ": ", name, " must end at ", total, ", got ", values[batch]);
  return values;
}

inline std::vector<int64_t> pooled_shape(const Tensor& frames, int64_t batch) {
  std::vector<int64_t> shape{batch};
  for (int64_t d = 1; d < frames.dim(); ++d) {
    shape.push_back(frames.size(d));
  }
  return shape;
}

struct PoolPlan {
  Tensor frames; // contiguous
  Tensor result; // [B, ...]
  int64_t batch;
  int64_t pixels; // per frame, channels included
  Accumulate accumulate;
};

inline PoolPlan make_plan(const Tensor& frames, int64_t batch, Accumulate accumulate) {
  Tensor dense = torch::stable::contiguous(frames);
  Tensor result =
      torch::stable::new_empty(frames, pooled_shape(frames, batch), pooled_dtype(frames));
  const int64_t pixels = result.numel() / batch;
  return {dense, result, batch, pixels, accumulate};
}

// Checks all arguments of temporal_pool.
inline PoolPlan plan_temporal_pool(
    const Tensor& frames,     // [T, ...]
    const Tensor& index,      // [K] int64, CPU
    const Tensor& weights,    // [K]; int64 on the CPU or floating on the frames' device
    const Tensor& segments) { // [B + 1] int64, CPU
  const char* op = "temporal_pool";
  check_frames(op, frames);
  check(
      index.is_cpu() && index.scalar_type() == ScalarType::Long && index.dim() == 1 &&
          index.is_contiguous(),
      op, ": index must be a contiguous int64 tensor [K] on the CPU");
  const int64_t terms = index.size(0);
  check(
      weights.dim() == 1 && weights.size(0) == terms, op, ": weights must be [", terms,
      "] like index, got ", ShapeOf{weights});
  const auto* segment = check_offsets(op, "segments", segments, terms, 0);
  const auto* frame = static_cast<const int64_t*>(index.const_data_ptr());
  for (int64_t k = 0; k < terms; ++k) {
    check(
        frame[k] >= 0 && frame[k] < frames.size(0), op, ": index[", k, "] = ", frame[k],
        " is outside of the ", frames.size(0), " frames");
  }
  const int64_t batch = segments.size(0) - 1;
  const bool integer_weights = weights.scalar_type() == ScalarType::Long;
  check(
      integer_weights ? weights.is_cpu() && weights.is_contiguous()
                      : weights.device() == frames.device(),
      op, ": weights must be contiguous int64 on the CPU or floating on the device of frames");

  auto accumulate =
      pooled_dtype(frames) == ScalarType::Double ? Accumulate::kFloat64 : Accumulate::kFloat32;
  if (integer_weights && frames.scalar_type() == ScalarType::Byte) {
    const auto* weight = static_cast<const int64_t*>(weights.const_data_ptr());
    int64_t largest = 0;
    constexpr int64_t kLimit = std::numeric_limits<int64_t>::max() / kMaxPixel;
    for (int64_t b = 0; b < batch; ++b) {
      int64_t sum = 0;
      for (int64_t k = segment[b]; k < segment[b + 1]; ++k) {
        check(
            weight[k] >= -kLimit && std::abs(weight[k]) <= kLimit - sum, op,
            ": the weights of clip ", b,
            " are so large that a sum over uint8 frames can "
            "overflow 64 bits");
        sum += std::abs(weight[k]);
      }
      largest = std::max(largest, sum);
    }
    accumulate = accumulate_integer(largest * kMaxPixel);
  }
  return make_plan(frames, batch, accumulate);
}

// Checks all arguments of motion_pool.
inline PoolPlan plan_motion_pool(const Tensor& frames, const Tensor& offsets) {
  const char* op = "motion_pool";
  check_frames(op, frames);
  const auto* offset = check_offsets(op, "offsets", offsets, frames.size(0), 1);
  const int64_t batch = offsets.size(0) - 1;
  auto accumulate =
      pooled_dtype(frames) == ScalarType::Double ? Accumulate::kFloat64 : Accumulate::kFloat32;
  if (frames.scalar_type() == ScalarType::Byte) {
    int64_t longest = 0;
    for (int64_t b = 0; b < batch; ++b) {
      longest = std::max(longest, offset[b + 1] - offset[b]);
    }
    accumulate = accumulate_integer(2 * kMaxPixel * longest);
  }
  return make_plan(frames, batch, accumulate);
}

// Runs body<stored_t, acc_t, out_t>() with the C++ types of a plan; half_t and
// bfloat16_t are the backend's types for the 16-bit dtypes.
template <typename half_t, typename bfloat16_t, typename Body>
void dispatch_plan(const PoolPlan& plan, const char* op, const Body& body) {
  switch (plan.frames.scalar_type()) {
    case ScalarType::Byte:
      switch (plan.accumulate) {
        case Accumulate::kInt32:
          return body.template operator()<uint8_t, int32_t, float>();
        case Accumulate::kInt64:
          return body.template operator()<uint8_t, int64_t, float>();
        default:
          return body.template operator()<uint8_t, float, float>();
      }
    case ScalarType::Half:
      return body.template operator()<half_t, float, float>();
    case ScalarType::BFloat16:
      return body.template operator()<bfloat16_t, float, float>();
    case ScalarType::Float:
      return body.template operator()<float, float, float>();
    case ScalarType::Double:
      return body.template operator()<double, double, double>();
    default:
      check(
          false, op, ": frames must be uint8 or floating, got ",
          torch::headeronly::toString(plan.frames.scalar_type()));
  }
}

} // namespace originet
