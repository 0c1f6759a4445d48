// Finds out where the pixels of tensors [T, ...] lie, so that a view of larger frames,
// such as a crop, is read in place.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "arguments.h"
#include "frame_shape.h"

namespace originet {

// A tensor of frames and its strides.
struct FrameSource {
  Tensor frames; // [T, ...]
  FrameStrides strides;
};

struct FrameLayout {
  FrameShape shape;
  std::vector<FrameSource> sources;
};

// The most pixels of a frame in several runs. Kernels find a pixel's run in 32 bits.
constexpr int64_t kMostPixels = std::numeric_limits<int32_t>::max();

// Describes tensors [T_i, ...] with frames of one shape and dtype that have passed
// check_memory(). Copies what cannot be described by planes, rows and runs: neighbouring
// pixels that are apart in memory, a fourth level of strides, or too many pixels.
inline FrameLayout frame_layout(const char* op, const std::vector<Tensor>& tensors) {
  const Tensor& first = tensors.front();
  const int64_t dims = first.dim();
  const int64_t pixels = checked_numel(op, "the number of pixels of a frame", first, 1);
  FrameLayout layout;
  // Without elements, strides mean nothing.
  const auto is_empty = [](const Tensor& tensor) { return tensor.numel() == 0; };
  if (std::all_of(tensors.begin(), tensors.end(), is_empty)) {
    layout.shape = {1, 1, pixels};
    for (const Tensor& tensor : tensors) {
      layout.sources.push_back({tensor, {0, 0, 0}});
    }
    return layout;
  }
  // Levels from the innermost outwards. Neighbouring dimensions form one level if they
  // are one run of evenly spaced elements in every tensor.
  struct Level {
    int64_t size;
    int64_t dim; // the innermost dimension of the level, whose stride is the level's
  };
  std::vector<Level> levels;
  for (int64_t d = dims - 1; d >= 1; --d) {
    if (first.size(d) == 1) {
      continue;
    }
    const bool joins =
        !levels.empty() && std::all_of(tensors.begin(), tensors.end(), [&](const Tensor& tensor) {
          const Level& inner = levels.back();
          return is_empty(tensor) || tensor.stride(d) == inner.size * tensor.stride(inner.dim);
        });
    if (joins) {
      levels.back().size *= first.size(d);
    } else {
      levels.push_back({first.size(d), d});
    }
  }
  const bool neighbours =
      levels.empty() || std::all_of(tensors.begin(), tensors.end(), [&](const Tensor& tensor) {
        return is_empty(tensor) || tensor.stride(levels[0].dim) == 1;
      });
  const bool in_place =
      neighbours && (levels.size() <= 1 || (levels.size() <= 3 && pixels <= kMostPixels));
  if (!in_place) {
    layout.shape = {1, 1, pixels};
    for (const Tensor& tensor : tensors) {
      layout.sources.push_back({torch::stable::contiguous(tensor), {pixels, 0, 0}});
    }
    return layout;
  }
  // If there is no level for runs, rows or planes, there is one of them.
  const auto size = [&](size_t level) { return level < levels.size() ? levels[level].size : 1; };
  layout.shape = {size(2), size(1), size(0)};
  for (const Tensor& tensor : tensors) {
    const auto stride = [&](size_t level) {
      return level < levels.size() ? tensor.stride(levels[level].dim) : 0;
    };
    // With a single frame, the distance to the next means nothing, either.
    const int64_t frame = tensor.size(0) > 1 ? tensor.stride(0) : 0;
    layout.sources.push_back(
        {tensor,
         is_empty(tensor) ? FrameStrides{0, 0, 0} : FrameStrides{frame, stride(2), stride(1)}});
  }
  return layout;
}

} // namespace originet
