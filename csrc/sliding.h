// Checks and the plan of sliding windows on the host, shared by CPU and CUDA.
#pragma once

#include <algorithm>
#include <string>

#include "frame_pool.h"
#include "sliding_math.h"

namespace originet {

enum class SlidingMethod { kCumulative, kAuthors, kRankSimple, kAbsolute, kRectified };

constexpr bool is_ramp(SlidingMethod method) {
  return method == SlidingMethod::kAuthors || method == SlidingMethod::kRankSimple;
}

struct SlidingPlan {
  FrameSource source;
  FrameShape shape;
  Tensor result; // [windows, ...]
  SlidingMethod method;
  Normalize normalize;
  bool still;      // all images are zeros, and already filled in
  bool wide;       // uint8 sums need 64 bits
  int64_t window;  // frames
  int64_t stride;  // frames between the starts of two windows
  int64_t windows; // images
  int64_t group;   // the most windows that hold one frame
  int64_t groups;

  // The most frames that the walks of a group visit.
  int64_t visits() const {
    return window + group * std::min(stride, window);
  }
};

inline SlidingPlan plan_sliding_pool(
    const Tensor& frames, // [T, ...]
    int64_t window,
    int64_t stride,
    const std::string& method,
    const std::string& normalize) {
  const char* op = "sliding_pool";
  check_frames(op, frames);
  const int64_t length = frames.size(0);
  check(window >= 1, op, ": window must be 1 or more, got ", window);
  check(stride >= 1, op, ": stride must be 1 or more, got ", stride);
  check(
      window <= std::min(length, kMostFrames), op, ": window must be at most ",
      std::min(length, kMostFrames), " frames, got ", window);

  SlidingPlan plan{};
  if (method == "cumulative") {
    plan.method = SlidingMethod::kCumulative;
  } else if (method == "authors") {
    plan.method = SlidingMethod::kAuthors;
  } else if (method == "rank-simple") {
    plan.method = SlidingMethod::kRankSimple;
  } else if (method == "absolute") {
    plan.method = SlidingMethod::kAbsolute;
  } else {
    check(
        method == "rectified", op,
        ": method must be cumulative, authors, rank-simple, absolute or rectified, got ", method);
    plan.method = SlidingMethod::kRectified;
  }
  plan.normalize = parse_normalize(op, normalize);
  plan.window = window;
  plan.stride = std::min(stride, length); // still one window, and no overflow
  plan.windows = (length - window) / plan.stride + 1;
  plan.group = std::min((window - 1) / plan.stride + 1, plan.windows);
  plan.groups = (plan.windows + plan.group - 1) / plan.group;
  if (frames.scalar_type() == ScalarType::Byte) {
    const bool ramp = is_ramp(plan.method);
    check(
        window <= kMostByteFrames, op, ": a sum over a window of ", window,
        " uint8 frames can overflow 64 bits");
    // No term of an image and no partial sum is larger.
    const int64_t largest = kMaxPixel * window * (ramp ? window : 2);
    plan.wide = accumulate_integer(largest) == Accumulate::kInt64;
  }
  // One frame alone has no motion, and two have weight 0 under `authors`.
  plan.still = window == 1 || (window == 2 && plan.method == SlidingMethod::kAuthors);
  std::vector<int64_t> shape{plan.windows};
  for (int64_t d = 1; d < frames.dim(); ++d) {
    shape.push_back(frames.size(d));
  }
  if (plan.still) {
    plan.result = torch::stable::new_zeros(frames, shape, pooled_dtype(frames));
    return plan;
  }
  plan.result = torch::stable::new_empty(frames, shape, pooled_dtype(frames));
  FrameLayout layout = frame_layout(op, {frames});
  plan.source = layout.sources.front();
  plan.shape = layout.shape;
  return plan;
}

// Runs body<stored_t, acc_t, out_t>() with the C++ types of a plan. Floating frames are
// summed in double, because over many frames two large sums have to cancel.
template <typename half_t, typename bfloat16_t, typename Body>
void dispatch_sliding(const SlidingPlan& plan, const Body& body) {
  const ScalarType dtype = plan.source.frames.scalar_type();
  switch (dtype) {
    case ScalarType::Byte:
      return plan.wide ? body.template operator()<uint8_t, int64_t, float>()
                       : body.template operator()<uint8_t, int32_t, float>();
    case ScalarType::Half:
      return body.template operator()<half_t, double, float>();
    case ScalarType::BFloat16:
      return body.template operator()<bfloat16_t, double, float>();
    case ScalarType::Float:
      return body.template operator()<float, double, float>();
    case ScalarType::Double:
      return body.template operator()<double, double, double>();
    default:
      check(
          false, "sliding_pool: frames must be uint8 or floating, got ",
          torch::headeronly::toString(dtype));
  }
}

// The type in which sums of the walk backwards are kept for the walk forwards: integers
// exactly, others rounded to the type of the result.
template <typename acc_t, typename out_t>
using partial_t = std::conditional_t<std::is_integral_v<acc_t>, acc_t, out_t>;

} // namespace originet
