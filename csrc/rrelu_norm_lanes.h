// How the CPU walks the normalised join, and what it keeps for every lane.
//
// Both layouts are blocks of dense memory in which channels alternate: a plane of
// one channel (contiguous), or pixels of all C channels (channels_last). A block is
// walked in rows of `width` lanes. The width is a multiple of the number of channels, so
// lane l belongs to channel l % channels. Every lane keeps its own statistics, which are
// seldom merged. So narrow channels_last tensors fill whole vectors, too:
//
//     lane     0  1  2  3  4  5  6  7  8       channels_last, C = 3, width = 9:
//     row 0    c0 c1 c2 c0 c1 c2 c0 c1 c2      pixels 0, 1 and 2
//     row 1    c0 c1 c2 c0 c1 c2 c0 c1 c2      pixels 3, 4 and 5
//     tail     c0 c1 c2                        pixel 6
#pragma once

#include <algorithm>
#include <vector>

#include "rrelu_norm.h"

namespace originet {

constexpr int64_t kLanesPerRow = 256;    // about as many in a row
constexpr int64_t kRowsPerFlush = 256;   // rows between two merges into double
constexpr int64_t kPixelsPerBlock = 256; // channels_last: pixels in a block

// How a dense tensor is divided: into `groups` of channels that are computed independently, and
// each group into `blocks`.
struct Blocks {
  int64_t groups, channels, blocks; // channels: of a group
  int64_t block_elements, block_stride, group_stride, group_elements;

  explicit Blocks(const NormShape& shape) {
    if (shape.inner > 1) {
      groups = shape.channels, channels = 1, blocks = shape.outer;
      block_elements = group_stride = shape.inner;
      block_stride = shape.channels * shape.inner;
    } else {
      groups = 1, channels = shape.channels;
      block_elements = block_stride = kPixelsPerBlock * channels;
      blocks = (shape.outer + kPixelsPerBlock - 1) / kPixelsPerBlock;
      group_stride = 0;
    }
    group_elements = shape.count() * channels;
  }
  int64_t offset(int64_t group, int64_t block) const {
    return group * group_stride + block * block_stride;
  }
  int64_t elements(int64_t block) const {
    return std::min(block_elements, group_elements - block * block_elements);
  }
  int64_t width() const {
    const int64_t fold = std::max<int64_t>(1, kLanesPerRow / channels);
    return std::min(fold * channels, block_elements);
  }
};

// What a thread needs for a group: each of kCount parameters, repeated from one value a channel to
// one value a lane, and room that the passes may share.
template <typename acc_t, int kCount>
struct LaneParameters {
  int64_t width, channels;
  std::vector<acc_t> values;
  acc_t* scratch = nullptr; // one element for each of the group's, or null

  LaneParameters(int64_t width, int64_t channels)
      : width(width), channels(channels), values(kCount * width) {}

  const acc_t* operator[](int k) const {
    return values.data() + k * width;
  }
  // Sets parameter k to source[first], source[first + 1], ..., or to `otherwise` without a source.
  void set(int k, const acc_t* source, int64_t first, acc_t otherwise = 0) {
    for (int64_t c = 0; c < channels; ++c) { // l % channels would cost more than the kernel
      const acc_t value = source ? source[first + c] : otherwise;
      for (int64_t l = c; l < width; l += channels) {
        values[k * width + l] = value;
      }
    }
  }
};

// The moments of every lane, which are merged into those of the channels in double.
template <typename acc_t>
struct LaneMoments {
  int64_t width, channels, rows = 0;
  std::vector<acc_t> mean, m2;

  LaneMoments(int64_t width, int64_t channels)
      : width(width), channels(channels), mean(width), m2(width) {}

  void flush(Moments<double>* totals) {
    const int64_t fold = width / channels;
    for (int64_t c = 0; rows > 0 && c < channels; ++c) {
      double sum = 0, squares = 0;
      for (int64_t l = c; l < width; l += channels) {
        sum += mean[l];
      }
      const double average = sum / static_cast<double>(fold);
      for (int64_t l = c; l < width; l += channels) {
        const double delta = mean[l] - average;
        squares += m2[l] + static_cast<double>(rows) * delta * delta;
      }
      totals[c].merge({static_cast<double>(fold * rows), average, squares});
    }
    std::fill(mean.begin(), mean.end(), acc_t(0));
    std::fill(m2.begin(), m2.end(), acc_t(0));
    rows = 0;
  }
};

// Calls body(begin, rows, width, tail) for the whole rows of a block, and for the shorter row that
// is left.
template <typename Body>
void for_rows(int64_t begin, int64_t elements, int64_t width, const Body& body) {
  int64_t rows = elements / width;
  for (; rows > 0; rows -= kRowsPerFlush) {
    const int64_t some = std::min(rows, kRowsPerFlush);
    body(begin, some, width, false);
    begin += some * width;
    elements -= some * width;
  }
  if (elements > 0) {
    body(begin, int64_t(1), elements, true);
  }
}

// Sums over a channel: g and g * d from the first pass, the gradients of a and b from the second.
struct SumTotals {
  enum { kG, kGD, kGradA, kGradB, kSums };
  double values[kSums];

  void merge(const SumTotals& other) {
    for (int k = 0; k < kSums; ++k) {
      values[k] += other.values[k];
    }
  }
};

// Two sums of every lane, which are added to the channels' totals in double.
template <typename acc_t>
struct LaneSums {
  int64_t width, channels, rows = 0;
  std::vector<acc_t> first, second;

  LaneSums(int64_t width, int64_t channels)
      : width(width), channels(channels), first(width), second(width) {}

  // Counts rows that are about to be added; flushes first if they would be too many.
  void add_rows(int64_t more, SumTotals* totals, int k) {
    if (rows + more > kRowsPerFlush) {
      flush(totals, k);
    }
    rows += more;
  }
  // Adds to values[k] and values[k + 1] of the totals.
  void flush(SumTotals* totals, int k) {
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t l = c; l < width; l += channels) {
        totals[c].values[k] += first[l];
        totals[c].values[k + 1] += second[l];
      }
    }
    std::fill(first.begin(), first.end(), acc_t(0));
    std::fill(second.begin(), second.end(), acc_t(0));
    rows = 0;
  }
};

} // namespace originet
