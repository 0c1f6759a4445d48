// The CPU loops of the temporal pools over the uint8 frames of a tile. No torch here.
//
// Frames are read in cells of 64 pixels, one vector each. Their sums stay in
// the order in which they fall out of a vector without shuffles: as pairs (even and
// odd pixels, summed in 16 bits) or as quads (every fourth pixel, in 32 bits). What
// ends a clip puts them into the order of the pixels.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cpu_vector.h"
#include "frame_pool_math.h"
#include "frame_shape.h"
#include "image_store.h"

// Vectors are passed between functions that are inlined into one another, so no
// call depends on how a vector is passed.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace originet {

#define ORIGINET_INLINE inline __attribute__((always_inline))

inline int64_t cells_of(const Patch& patch) {
  return patch.rows * ((patch.run + kCell - 1) / kCell);
}

// Calls body(cell, offset in the frame, pixel of the patch, pixels) for each cell.
// Where a run is no multiple of 64, its last cell overlaps the one before, so that
// all of them are full; only runs shorter than a cell are not.
template <typename Body>
ORIGINET_INLINE void for_each_cell(const Patch& patch, const Body& body) {
  int64_t cell = 0;
  if (patch.run < kCell) {
    for (int64_t row = 0; row < patch.rows; ++row) {
      body(row, row * patch.row_stride, row * patch.run, patch.run);
    }
    return;
  }
  // A constant, so that no load need ask how many pixels there are.
  constexpr std::integral_constant<int64_t, kCell> kFull;
  for (int64_t row = 0; row < patch.rows; ++row) {
    for (int64_t i = 0; i < patch.run; i += kCell, ++cell) {
      const int64_t start = std::min(i, patch.run - kCell);
      body(cell, row * patch.row_stride + start, row * patch.run + start, kFull);
    }
  }
}

using Bytes = uint8_t __attribute__((vector_size(kCell)));
using Words = uint16_t __attribute__((vector_size(kCell)));
template <typename acc_t>
using Quads [[gnu::vector_size(kCell)]] = acc_t;

template <typename vector_t, typename Count>
ORIGINET_INLINE vector_t load_cell(const uint8_t* from, Count pixels) {
  vector_t cell = {};
  std::memcpy(&cell, from, pixels);
  return cell;
}

// Sums of bytes. With w = even + 256 odd in every word, `all` adds up w and `odd`
// adds up w >> 8, both modulo 2^16: three operations for 64 pixels and no shuffle.
// Exact while no pixel's sum exceeds 65535.
struct alignas(kCell) PairSums {
  Words all;
  Words odd;

  ORIGINET_INLINE void add(Words cell) {
    all += cell;
    odd += cell >> 8;
  }
  ORIGINET_INLINE Words even() const {
    return all - (odd << 8);
  }
};

// 257 * 255 = 65535: so many bytes fit in 16 bits.
constexpr int64_t kPairTerms = 257;
// Frames in one sweep over the sums, to load and store those less.
constexpr int kSweep = 11;

// Calls step() `count` times; a whole sweep is unrolled.
template <typename Step>
ORIGINET_INLINE void sweep(int64_t count, const Step& step) {
  if (count == kSweep) {
#pragma GCC unroll 16
    for (int t = 0; t < kSweep; ++t) {
      step();
    }
  } else {
    for (int64_t t = 0; t < count; ++t) {
      step();
    }
  }
}

// Adds `count` frames from `frame` on.
ORIGINET_MULTIVERSION inline void add_frames(
    const uint8_t* frame, int64_t frame_stride, int64_t count, const Patch& patch, PairSums* sums) {
  for_each_cell(patch, [&](int64_t cell, int64_t offset, int64_t, auto pixels) {
    PairSums sum = sums[cell];
    const uint8_t* at = frame + offset;
    sweep(count, [&]() __attribute__((always_inline)) {
      sum.add(load_cell<Words>(at, pixels));
      at += frame_stride;
    });
    sums[cell] = sum;
  });
}

// How much brighter a pixel became, max(current - previous, 0).
ORIGINET_INLINE Bytes rise(Bytes current, Bytes previous) {
  return current - (current < previous ? current : previous);
}

// Adds the rises of `steps` steps from `frame` on.
ORIGINET_MULTIVERSION inline void add_rises(
    const uint8_t* frame, int64_t frame_stride, int64_t steps, const Patch& patch, PairSums* sums) {
  for_each_cell(patch, [&](int64_t cell, int64_t offset, int64_t, auto pixels) {
    PairSums sum = sums[cell];
    const uint8_t* at = frame + offset;
    Bytes previous = load_cell<Bytes>(at, pixels);
    sweep(steps, [&]() __attribute__((always_inline)) {
      at += frame_stride;
      const Bytes current = load_cell<Bytes>(at, pixels);
      sum.add(reinterpret_cast<Words>(rise(current, previous)));
      previous = current;
    });
    sums[cell] = sum;
  });
}

// Adds the sums to those of whole clips, in the order of pixels, and clears them.
template <typename acc_t>
ORIGINET_MULTIVERSION void flush_pairs(PairSums* sums, int64_t cells, acc_t* total) {
  for (int64_t cell = 0; cell < cells; ++cell, total += kCell) {
    const Words even = sums[cell].even();
    const Words odd = sums[cell].odd;
    for (int j = 0; j < kCell / 2; ++j) {
      total[2 * j] += even[j];
      total[2 * j + 1] += odd[j];
    }
    sums[cell] = PairSums{};
  }
}

// The image of |FT| or max(FT, 0) from the sum of rises. As FT = rise - fall and the
// FT telescope, sum |FT| = 2 sum rise - (last - first).
template <typename acc_t, typename out_t, bool kRectify>
ORIGINET_MULTIVERSION void finish_motion(
    const uint8_t* first,
    const uint8_t* before_last,
    const uint8_t* last,
    const Patch& patch,
    const acc_t* total,
    ImageStore<out_t>& store,
    out_t* image) {
  for_each_cell(patch, [&](int64_t cell, int64_t offset, int64_t pixel, auto pixels) {
    const Bytes f = load_cell<Bytes>(first + offset, pixels);
    const Bytes b = load_cell<Bytes>(before_last + offset, pixels);
    const Bytes l = load_cell<Bytes>(last + offset, pixels);
    const acc_t* sum = total + cell * kCell;
    out_t values[kCell];
    for (int j = 0; j < kCell; ++j) {
      const acc_t final_step = motion_step<acc_t, kRectify>(l[j], b[j]);
      const acc_t motion = kRectify ? sum[j] : 2 * sum[j] - (acc_t(l[j]) - acc_t(f[j]));
      values[j] = static_cast<out_t>(motion_total<acc_t>(motion - final_step, final_step));
    }
    store.put(values, pixels, image + pixel);
  });
}

// Sums for weights that grow by a constant step, in a block of frames: of the
// frames, and of those sums after each frame.
struct RampSums {
  PairSums frames;
  PairSums sums;
};

// (22 + 21 + ... + 1) * 255 = 64515 fits in 16 bits. Two sweeps.
constexpr int64_t kRampTerms = 22;

ORIGINET_MULTIVERSION inline void add_ramp(
    const uint8_t* frame,
    int64_t frame_stride,
    int64_t count,
    const Patch& patch,
    RampSums* ramps) {
  for_each_cell(patch, [&](int64_t cell, int64_t offset, int64_t, auto pixels) {
    RampSums ramp = ramps[cell];
    const uint8_t* at = frame + offset;
    sweep(count, [&]() __attribute__((always_inline)) {
      ramp.frames.add(load_cell<Words>(at, pixels));
      ramp.sums.all += ramp.frames.all;
      ramp.sums.odd += ramp.frames.odd;
      at += frame_stride;
    });
    ramps[cell] = ramp;
  });
}

// Ends a block. Its frame j of m has the weight `after` - (m - j) * `growth`, and
// the sums after each frame add up to sum (m - j) F_j. Unsigned, because only the
// end result need fit.
template <typename acc_t>
ORIGINET_MULTIVERSION void flush_ramp(
    RampSums* ramps, int64_t cells, acc_t after, acc_t growth, acc_t* total) {
  for (int64_t cell = 0; cell < cells; ++cell, total += kCell) {
    const Words frames[2] = {ramps[cell].frames.even(), ramps[cell].frames.odd};
    const Words sums[2] = {ramps[cell].sums.even(), ramps[cell].sums.odd};
    for (int j = 0; j < kCell / 2; ++j) {
      for (int k = 0; k < 2; ++k) {
        total[2 * j + k] += after * acc_t(frames[k][j]) - growth * acc_t(sums[k][j]);
      }
    }
    ramps[cell] = RampSums{};
  }
}

// factor * total + extra_first * first + extra_last * last
template <typename acc_t, typename out_t>
ORIGINET_MULTIVERSION void finish_ramp(
    const uint8_t* first,
    const uint8_t* last,
    acc_t factor,
    acc_t extra_first,
    acc_t extra_last,
    const Patch& patch,
    const acc_t* total,
    ImageStore<out_t>& store,
    out_t* image) {
  for_each_cell(patch, [&](int64_t cell, int64_t offset, int64_t pixel, auto pixels) {
    const Bytes f = load_cell<Bytes>(first + offset, pixels);
    const Bytes l = load_cell<Bytes>(last + offset, pixels);
    const acc_t* sum = total + cell * kCell;
    out_t values[kCell];
    for (int j = 0; j < kCell; ++j) {
      const acc_t pixel_sum =
          factor * sum[j] + extra_first * acc_t(f[j]) + extra_last * acc_t(l[j]);
      values[j] = static_cast<out_t>(static_cast<std::make_signed_t<acc_t>>(pixel_sum));
    }
    store.put(values, pixels, image + pixel);
  });
}

// Sums for any weights: quad[k][j] is that of pixel 4 j + k of a cell, times
// kQuadScale[k] where floats are summed. There a byte is converted where it stands in
// its lane, which multiplies it by a power of two and saves a shift. So the weights
// must be that much smaller than the largest float.
template <typename acc_t>
struct alignas(kCell) QuadSums {
  Quads<acc_t> quad[4];
};

constexpr float kQuadScale[4] = {1, 0x1p8f, 0x1p16f, 1};
constexpr double kLargestQuadWeight = 0x1p96;

template <typename acc_t, int kCount>
ORIGINET_MULTIVERSION void add_weighted(
    const uint8_t* const* frames, const acc_t* weights, const Patch& patch, QuadSums<acc_t>* sums) {
  using Lanes = Quads<uint32_t>;
  for_each_cell(patch, [&](int64_t cell, int64_t offset, int64_t, auto pixels) {
    QuadSums<acc_t> sum = sums[cell];
#pragma GCC unroll 16
    for (int t = 0; t < kCount; ++t) {
      const Lanes lanes = load_cell<Lanes>(frames[t] + offset, pixels);
      if constexpr (std::is_same_v<acc_t, float>) {
        const auto add = [&](Quads<float>& to, Lanes bytes) __attribute__((always_inline)) {
          to += weights[t] *
                __builtin_convertvector(reinterpret_cast<Quads<int32_t>>(bytes), Quads<float>);
        };
        add(sum.quad[0], lanes & 0xffu);
        add(sum.quad[1], lanes & 0xff00u);
        add(sum.quad[2], lanes & 0xff0000u);
        add(sum.quad[3], lanes >> 24);
      } else {
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) {
          sum.quad[k] += weights[t] * reinterpret_cast<Quads<acc_t>>((lanes >> (8 * k)) & 0xffu);
        }
      }
    }
    sums[cell] = sum;
  });
}

template <typename acc_t>
ORIGINET_MULTIVERSION void flush_quads(
    QuadSums<acc_t>* block, int64_t cells, QuadSums<acc_t>* total) {
  for (int64_t cell = 0; cell < cells; ++cell) {
    for (int k = 0; k < 4; ++k) {
      total[cell].quad[k] += block[cell].quad[k];
    }
    block[cell] = QuadSums<acc_t>{};
  }
}

template <typename acc_t, typename out_t>
ORIGINET_MULTIVERSION void finish_quads(
    const Patch& patch, const QuadSums<acc_t>* total, ImageStore<out_t>& store, out_t* image) {
  for_each_cell(patch, [&](int64_t cell, int64_t, int64_t pixel, auto pixels) {
    out_t values[kCell];
    for (int j = 0; j < kCell / 4; ++j) {
      for (int k = 0; k < 4; ++k) {
        const acc_t sum = total[cell].quad[k][j];
        values[4 * j + k] = std::is_same_v<acc_t, float> ? sum / kQuadScale[k] : out_t(sum);
      }
    }
    store.put(values, pixels, image + pixel);
  });
}

} // namespace originet
