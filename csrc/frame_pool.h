// Checks and plans of the temporal pools on the host, shared by CPU and CUDA.
#pragma once

#include <cstdlib>
#include <limits>
#include <string>

#include "frame_layout.h"
#include "frame_pool_math.h" // kMaxPixel
#include "image_epilogue.h"

namespace originet {

// How a pool accumulates. uint8 frames with integer weights are summed exactly, in int32
// or, if that could overflow, in int64. float64 frames are summed in float64, everything
// else in float32.
enum class Accumulate { kInt32, kInt64, kFloat32, kFloat64 };

// `largest_sum` bounds the magnitude of every sum over pixels of 0..255.
inline Accumulate accumulate_integer(int64_t largest_sum) {
  return largest_sum <= std::numeric_limits<int32_t>::max() ? Accumulate::kInt32
                                                            : Accumulate::kInt64;
}

inline Accumulate accumulate_floating(const Tensor& frames) {
  return frames.scalar_type() == ScalarType::Double ? Accumulate::kFloat64 : Accumulate::kFloat32;
}

// Pools return float64 for float64 frames and float32 for all others.
inline ScalarType pooled_dtype(const Tensor& frames) {
  return frames.scalar_type() == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
}

inline Normalize parse_normalize(const char* op, const std::string& name) {
  if (name == "none") {
    return Normalize::kNone;
  }
  if (name == "clip") {
    return Normalize::kClip;
  }
  check(name == "minmax", op, ": normalize must be none, clip or minmax, got ", name);
  return Normalize::kMinmax;
}

struct PoolPlan {
  FrameLayout layout; // keeps alive what the clips point to
  std::vector<Clip> clips;
  Tensor result; // [B, ...], contiguous
  ScalarType stored;
  Accumulate accumulate;
  Normalize normalize;
  bool overlap = false; // whether a clip begins inside the one before

  int64_t pixels() const {
    return layout.shape.pixels();
  }
};

// Frames [T, ...] of one tensor.
inline void check_frames(const char* op, const Tensor& frames) {
  check(
      frames.dim() >= 2, op, ": frames must be [T, ...] with 2 dimensions or more, got ",
      ShapeOf{frames});
  const ScalarType dtype = frames.scalar_type();
  check(
      dtype == ScalarType::Byte || is_floating(dtype), op,
      ": frames must be uint8 or floating, got ", torch::headeronly::toString(dtype));
  check_memory(op, "frames", frames);
}

inline void check_sources(const char* op, const std::vector<Tensor>& frames) {
  check(!frames.empty(), op, ": frames must hold at least one tensor");
  const Tensor& first = frames.front();
  for (const Tensor& tensor : frames) {
    check_frames(op, tensor);
    bool same = tensor.dim() == first.dim();
    for (int64_t d = 1; same && d < first.dim(); ++d) {
      same = tensor.size(d) == first.size(d);
    }
    check(
        same && tensor.scalar_type() == first.scalar_type() && tensor.device() == first.device(),
        op, ": all frames must have one shape, dtype and device, got frames of ", ShapeOf{tensor},
        " and of ", ShapeOf{first});
  }
}

// The rows of a table [B, columns] of int64 on the CPU.
inline const int64_t* check_clips(const char* op, const Tensor& clips, int64_t columns) {
  check(
      clips.is_cpu() && clips.scalar_type() == ScalarType::Long && clips.dim() == 2 &&
          clips.is_contiguous() && clips.size(0) >= 1 && clips.size(1) == columns,
      op, ": clips must be a contiguous int64 tensor [B, ", columns,
      "] on the CPU with B >= 1, got ", ShapeOf{clips});
  check_memory(op, "clips", clips);
  return static_cast<const int64_t*>(clips.const_data_ptr());
}

// Finds frames by their number, counting over all sources in order.
class FrameFinder {
 public:
  FrameFinder(const char* op, const FrameLayout& layout) : op_(op), layout_(layout) {
    starts_.push_back(0);
    for (const FrameSource& source : layout.sources) {
      const int64_t length = source.frames.size(0);
      starts_.push_back(checked_sum(op, "the number of frames", starts_.back(), length));
    }
    item_size_ = layout.sources.front().frames.element_size();
  }

  // Of all sources.
  int64_t frames() const {
    return starts_.back();
  }

  // The clip that begins with frame `first`, after checking that frames `first` to
  // `first + length` exist and lie in one source.
  Clip find(int64_t b, int64_t first, int64_t length, int64_t begin, int64_t end) const {
    check(
        first >= 0 && length >= 0 && first <= frames() - length, op_, ": clips[", b, "] reads ",
        length, " frames from frame ", first, " on, outside of the ", frames(), " frames");
    const auto after = std::upper_bound(starts_.begin(), starts_.end() - 1, first);
    const int64_t s = after - starts_.begin() - 1;
    check(
        first + length <= starts_[s + 1], op_, ": clips[", b, "] begins in frames[", s,
        "] and ends in another tensor");
    const FrameSource& source = layout_.sources[s];
    const auto* data = static_cast<const std::byte*>(source.frames.const_data_ptr());
    // A clip without frames may begin after the last frame, where there is no memory to point to.
    const int64_t elements = length == 0 ? 0 : (first - starts_[s]) * source.strides.frame;
    return {data + elements * item_size_, source.strides, begin, end};
  }

 private:
  const char* op_;
  const FrameLayout& layout_;
  std::vector<int64_t> starts_;
  int64_t item_size_;
};

inline PoolPlan make_plan(
    const char* op,
    const std::vector<Tensor>& frames,
    int64_t batch,
    Accumulate accumulate,
    const std::string& normalize) {
  const Tensor& first = frames.front();
  std::vector<int64_t> shape{batch};
  for (int64_t d = 1; d < first.dim(); ++d) {
    shape.push_back(first.size(d));
  }
  return {
      frame_layout(op, frames),
      {},
      torch::stable::new_empty(first, shape, pooled_dtype(first)),
      first.scalar_type(),
      accumulate,
      parse_normalize(op, normalize),
      false};
}

// The last columns of `clips` [B, columns] are (begin, end) or the length, which have been checked.
inline void check_total(const char* op, const Tensor& clips, int64_t columns, int64_t total) {
  const auto* clip = static_cast<const int64_t*>(clips.const_data_ptr());
  int64_t sum = 0;
  for (int64_t b = 0; b < clips.size(0); ++b, clip += columns) {
    const int64_t length = columns == 3 ? clip[2] - clip[1] : clip[1];
    sum = checked_sum(op, "the length of all clips", sum, length);
  }
  check(sum == total, op, ": total must be the length of all clips, ", sum, ", got ", total);
}

// Checks all arguments of temporal_pool.
inline PoolPlan plan_temporal_pool(
    const std::vector<Tensor>& frames, // [T_i, ...]
    const Tensor& clips,               // [B, 3] int64, CPU
    const Tensor& index,               // [K] int64, CPU
    const Tensor& weights,             // [K]; int64 on the CPU or floating on the frames' device
    int64_t total,
    const std::string& normalize) {
  const char* op = "temporal_pool";
  check_sources(op, frames);
  const int64_t* clip = check_clips(op, clips, 3);
  check(
      index.is_cpu() && index.scalar_type() == ScalarType::Long && index.dim() == 1 &&
          index.is_contiguous(),
      op, ": index must be a contiguous int64 tensor [K] on the CPU");
  check_memory(op, "index", index);
  const int64_t terms = index.size(0);
  check(
      weights.dim() == 1 && weights.size(0) == terms, op, ": weights must be [", terms,
      "] like index, got ", ShapeOf{weights});
  const bool integer_weights = weights.scalar_type() == ScalarType::Long;
  check(
      integer_weights
          ? weights.is_cpu() && weights.is_contiguous()
          : is_floating(weights.scalar_type()) && weights.device() == frames.front().device(),
      op, ": weights must be contiguous int64 on the CPU or floating on the device of frames");
  check_memory(op, "weights", weights);
  const bool exact = integer_weights && frames.front().scalar_type() == ScalarType::Byte;

  const int64_t batch = clips.size(0);
  PoolPlan plan = make_plan(op, frames, batch, accumulate_floating(frames.front()), normalize);
  const FrameFinder finder(op, plan.layout);
  const auto* frame = static_cast<const int64_t*>(index.const_data_ptr());
  const auto* weight =
      integer_weights ? static_cast<const int64_t*>(weights.const_data_ptr()) : nullptr;
  int64_t largest = 0;
  bool centered = false; // whether the weights of the last clip sum to 0
  int64_t length = 0;    // frames that its terms reach
  int64_t reached = 0;   // the frame after its last
  for (int64_t b = 0; b < batch; ++b, clip += 3) {
    const int64_t begin = clip[1], end = clip[2];
    check(
        0 <= begin && begin <= end && end <= terms, op, ": clips[", b, "] has the terms ", begin,
        " to ", end, " of ", terms);
    // Windows share their terms, which are then checked only once.
    if (b == 0 || begin != clip[-2] || end != clip[-1]) {
      constexpr int64_t kLimit = std::numeric_limits<int64_t>::max() / kMaxPixel;
      int64_t sum = 0, net = 0;
      length = 0;
      centered = integer_weights;
      for (int64_t k = begin; k < end; ++k) {
        check(
            frame[k] >= 0 && frame[k] < finder.frames(), op, ": index[", k, "] = ", frame[k],
            " is outside of the ", finder.frames(), " frames");
        length = std::max(length, frame[k] + 1);
        if (exact) {
          check(
              weight[k] >= -kLimit && std::abs(weight[k]) <= kLimit - sum, op,
              ": the weights of clip ", b,
              " are so large that a sum over uint8 frames can overflow 64 bits");
          sum += std::abs(weight[k]);
        }
        // A sum that overflows is not 0.
        centered = centered && !__builtin_add_overflow(net, weight[k], &net);
      }
      centered = centered && net == 0;
      largest = std::max(largest, sum);
    }
    plan.clips.push_back(finder.find(b, clip[0], length, begin, end));
    plan.clips.back().centered = centered;
    plan.overlap |= b > 0 && clip[0] >= clip[-3] && clip[0] < reached;
    reached = clip[0] + length;
  }
  if (exact) {
    plan.accumulate = accumulate_integer(largest * kMaxPixel);
  }
  check_total(op, clips, 3, total);
  return plan;
}

// Checks all arguments of motion_pool.
inline PoolPlan plan_motion_pool(
    const std::vector<Tensor>& frames, // [T_i, ...]
    const Tensor& clips,               // [B, 2] int64, CPU
    int64_t total,
    const std::string& normalize) {
  const char* op = "motion_pool";
  check_sources(op, frames);
  const int64_t* clip = check_clips(op, clips, 2);
  const int64_t batch = clips.size(0);
  PoolPlan plan = make_plan(op, frames, batch, accumulate_floating(frames.front()), normalize);
  const FrameFinder finder(op, plan.layout);
  int64_t longest = 0;
  for (int64_t b = 0; b < batch; ++b, clip += 2) {
    check(
        1 <= clip[1] && clip[1] <= kMostFrames, op, ": clips[", b, "] must have 1 to ", kMostFrames,
        " frames, got ", clip[1]);
    plan.clips.push_back(finder.find(b, clip[0], clip[1], 0, clip[1]));
    plan.overlap |= b > 0 && clip[0] >= clip[-2] && clip[0] < clip[-2] + clip[-1];
    longest = std::max(longest, clip[1]);
  }
  if (plan.stored == ScalarType::Byte) {
    plan.accumulate = accumulate_integer(2 * kMaxPixel * (longest - 1));
  }
  check_total(op, clips, 2, total);
  return plan;
}

// Runs body<stored_t, acc_t, out_t>() with the C++ types of a plan; half_t and
// bfloat16_t are the backend's types for the 16-bit dtypes. Without weights, bytes add up to integers.
template <typename half_t, typename bfloat16_t, bool kWeights, typename Body>
void dispatch_plan(const PoolPlan& plan, const char* op, const Body& body) {
  switch (plan.stored) {
    case ScalarType::Byte:
      if (plan.accumulate == Accumulate::kInt32) {
        return body.template operator()<uint8_t, int32_t, float>();
      }
      if constexpr (kWeights) {
        if (plan.accumulate != Accumulate::kInt64) {
          return body.template operator()<uint8_t, float, float>();
        }
      }
      return body.template operator()<uint8_t, int64_t, float>();
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
          torch::headeronly::toString(plan.stored));
  }
}

} // namespace originet
