// Where the pixels of frames lie in memory, and how frames are divided into tiles. No
// torch here.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "rrelu_math.h" // ORIGINET_HD

namespace originet {

// The most frames in a clip of a motion pool, or in a sliding window. An expanded tensor can have
// any number of frames in no memory at all, and summing them would never end.
constexpr int64_t kMostFrames = std::numeric_limits<int32_t>::max();

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

  bool operator==(const FrameStrides&) const = default;
};

// The frames of one output, and the terms [begin, end) that it sums. In temporal_pool these
// are terms of index and weights, in motion_pool all frames of the clip.
struct Clip {
  const std::byte* frames; // the first one
  FrameStrides strides;
  int64_t begin;
  int64_t end;
  // The weights sum to 0, so floating frames may be summed as deviations from the frame of
  // the first term. The result is exactly 0 for a pixel at rest, and no large terms cancel.
  bool centered = false;
};

// A part of a frame: `rows` runs of `run` pixels of one plane.
struct Tile {
  int64_t offset; // of its first pixel in the frame, in elements
  int64_t pixel;  // of its first pixel in a dense frame
  int64_t rows;
  int64_t run;
};

// Where the pixels of a tile are, from its first one on.
struct Patch {
  int64_t rows;
  int64_t run;
  int64_t row_stride;
};

// Divides frames into tiles of `most` pixels or fewer: pieces of a run or, if runs are
// short, several whole runs.
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
