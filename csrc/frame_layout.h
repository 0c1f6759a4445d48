// Where the pixels of frames [T, ...] lie in memory, so that a view into larger
// frames, such as a crop, is read in place.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "common.h"
#include "rrelu_math.h" // ORIGINET_HD

namespace originet {

// The pixels of a frame, channels among them, in index order: `planes` x `rows`
// runs of `run` neighbouring elements. A dense frame is one run.
struct FrameShape {
  int64_t planes = 1;
  int64_t rows = 1;
  int64_t run = 1;

  ORIGINET_HD int64_t pixels() const {
    return planes * rows * run;
  }
};

// Distances in elements.
struct FrameStrides {
  int64_t frame;
  int64_t plane;
  int64_t row;
};

// A source of frames, and where it lies.
struct FrameSource {
  Tensor frames; // [T, ...]
  FrameStrides strides;
};

struct FrameLayout {
  FrameShape shape;
  std::vector<FrameSource> sources;
};

// Of a frame in several runs, so that kernels find a pixel's run in 32 bits.
constexpr int64_t kMostPixels = std::numeric_limits<int32_t>::max();

// Describes tensors [T_i, ...] with frames of one shape and dtype. What does not
// come down to planes, rows and runs (neighbouring pixels apart in memory, a fourth
// level of strides, or too many pixels) is copied.
inline FrameLayout frame_layout(const std::vector<Tensor>& tensors) {
  const Tensor& first = tensors.front();
  const int64_t dims = first.dim();
  // Levels from the innermost outwards: the dimensions [from, to) are one level if
  // they are one run of evenly spaced elements in every tensor.
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
          return tensor.stride(d) == inner.size * tensor.stride(inner.dim);
        });
    if (joins) {
      levels.back().size *= first.size(d);
    } else {
      levels.push_back({first.size(d), d});
    }
  }
  int64_t pixels = 1;
  for (int64_t d = 1; d < dims; ++d) {
    pixels *= first.size(d);
  }
  const bool neighbours =
      levels.empty() || std::all_of(tensors.begin(), tensors.end(), [&](const Tensor& tensor) {
        return tensor.stride(levels[0].dim) == 1;
      });
  const bool in_place =
      neighbours && (levels.size() <= 1 || (levels.size() <= 3 && pixels <= kMostPixels));
  FrameLayout layout;
  if (!in_place) {
    layout.shape = {1, 1, pixels};
    for (const Tensor& tensor : tensors) {
      layout.sources.push_back({torch::stable::contiguous(tensor), {pixels, 0, 0}});
    }
    return layout;
  }
  // Without a run, rows or planes there is one of them.
  const auto size = [&](size_t level) { return level < levels.size() ? levels[level].size : 1; };
  layout.shape = {size(2), size(1), size(0)};
  for (const Tensor& tensor : tensors) {
    const auto stride = [&](size_t level) {
      return level < levels.size() ? tensor.stride(levels[level].dim) : 0;
    };
    layout.sources.push_back({tensor, {tensor.stride(0), stride(2), stride(1)}});
  }
  return layout;
}

// A part of a frame: `rows` runs of `run` pixels of one plane.
struct Tile {
  int64_t offset; // of its first pixel in the frame, in elements
  int64_t pixel;  // of its first pixel in a dense frame
  int64_t rows;
  int64_t run;
};

// Cuts frames into tiles of `most` pixels or fewer: pieces of a run, or several
// whole runs where runs are short.
class Tiles {
 public:
  Tiles(const FrameShape& shape, int64_t most)
      : shape_(shape),
        run_(std::min(most, shape.run)),
        rows_(std::max<int64_t>(1, std::min(most / std::max<int64_t>(1, shape.run), shape.rows))),
        across_(shape.run == 0 ? 0 : (shape.run + run_ - 1) / run_),
        down_(shape.rows == 0 ? 0 : (shape.rows + rows_ - 1) / rows_) {}

  int64_t count() const {
    return shape_.planes * down_ * across_;
  }

  // Tile 0 <= i < count() of frames with these strides.
  Tile get(int64_t i, const FrameStrides& strides) const {
    const int64_t column = i % across_ * run_;
    const int64_t row = i / across_ % down_ * rows_;
    const int64_t plane = i / across_ / down_;
    return {
        plane * strides.plane + row * strides.row + column,
        (plane * shape_.rows + row) * shape_.run + column, std::min(rows_, shape_.rows - row),
        std::min(run_, shape_.run - column)};
  }

 private:
  FrameShape shape_;
  int64_t run_;    // pixels across a tile
  int64_t rows_;   // rows down a tile
  int64_t across_; // tiles side by side
  int64_t down_;   // tiles one below the other in a plane
};

} // namespace originet
