// The CPU loops of the temporal pools over the uint8 frames of a tile. No torch here.
//
// Frames are read in cells of 64 pixels, several frames in one sweep, whose sums stay in
// registers. To avoid shuffles, sums are kept in the order in which vectors yield them: as
// pairs (even and odd pixels, in 16 bits) within a sweep, as quads (every fourth pixel)
// between sweeps. At the end of a clip, the quads are put into the order of the pixels.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "cpu_vector.h"
#include "frame_pool_math.h"
#include "frame_shape.h"
#include "image_store.h"

// Functions that pass vectors to one another are inlined, so no call depends on how a
// vector is passed.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace originet {

#define ORIGINET_INLINE inline __attribute__((always_inline))
// Goes after the parameters of a lambda. A call would leave the instruction set for which
// the enclosing function is compiled.
#define ORIGINET_INLINE_LAMBDA __attribute__((always_inline))

inline int64_t cells_of(const Patch& patch) {
  return patch.rows * ((patch.run + kCell - 1) / kCell);
}

// Calls body(cell, offset in the frame, pixel of the patch, pixels) for each cell. If a
// run is not a multiple of 64 pixels, its last cell overlaps the one before, so that all
// cells are full. Only a run that is shorter than a cell is not.
template <typename Body>
ORIGINET_INLINE void for_each_cell(const Patch& patch, const Body& body) {
  int64_t cell = 0;
  if (patch.run < kCell) {
    for (int64_t row = 0; row < patch.rows; ++row) {
      body(row, row * patch.row_stride, row * patch.run, patch.run);
    }
    return;
  }
  // A constant, so that loads do not have to check how many pixels there are.
  constexpr std::integral_constant<int64_t, kCell> kFull;
  for (int64_t row = 0; row < patch.rows; ++row) {
    for (int64_t i = 0; i < patch.run; i += kCell, ++cell) {
      const int64_t start = std::min(i, patch.run - kCell);
      body(cell, row * patch.row_stride + start, row * patch.run + start, kFull);
    }
  }
}

// Calls body with the size of a vector register in bytes, at the level that
// ORIGINET_MULTIVERSION picks. The compiler would keep larger vectors in memory.
template <typename Body>
ORIGINET_INLINE void with_vector_size(const Body& body) {
#ifdef ORIGINET_MULTIVERSION_X86
  if (__builtin_cpu_supports("x86-64-v4")) {
    body(std::integral_constant<int, 64>());
  } else if (__builtin_cpu_supports("x86-64-v3")) {
    body(std::integral_constant<int, 32>());
  } else {
    body(std::integral_constant<int, 16>());
  }
#elif defined(__AVX512BW__)
  body(std::integral_constant<int, 64>());
#elif defined(__AVX2__)
  body(std::integral_constant<int, 32>());
#else
  body(std::integral_constant<int, 16>());
#endif
}

template <typename T, int kBytes>
struct VectorOf {
  typedef T type __attribute__((vector_size(kBytes)));
};
// Sums for every fourth of kSize pixels.
template <typename acc_t, int kSize>
using Quad = typename VectorOf<acc_t, kSize / 4 * sizeof(acc_t)>::type;

// The bytes of a cell in vectors of kSize, as numbers of type T.
template <typename T, int kSize>
struct Cell {
  static constexpr int kParts = kCell / kSize;
  typename VectorOf<T, kSize>::type part[kParts];
};

template <typename T, int kSize, typename Count>
ORIGINET_INLINE Cell<T, kSize> load_cell(const uint8_t* from, Count pixels) {
  Cell<T, kSize> cell = {};
  if constexpr (std::is_same_v<Count, int64_t>) {
    std::memcpy(&cell, from, pixels);
  } else {
    // The processor's own prefetching does not follow this many frames well.
    __builtin_prefetch(from + 4 * kCell);
    // One by one, because the compiler would copy all parts at once in smaller pieces.
    for (int p = 0; p < cell.kParts; ++p) {
      std::memcpy(&cell.part[p], from + p * kSize, kSize);
    }
  }
  return cell;
}

// Sums for any weights: quad[k][j] is the sum of pixel 4 j + k of a cell. In float, it is
// multiplied by kQuadScale[k], because a byte is converted where it is in its lane. That
// saves a shift. So a sum, of bytes times weights, must stay below the largest float by that
// factor: it does where the sizes of all weights add up to kLargestQuadWeights at most.
template <typename acc_t>
struct alignas(kCell / 4 * sizeof(int64_t)) QuadSums { // as the largest Quad
  acc_t quad[4][kCell / 4];

  // Quad k of the pixels in vector `part` of a cell.
  template <int kSize>
  ORIGINET_INLINE Quad<acc_t, kSize>& at(int k, int part) {
    return reinterpret_cast<Quad<acc_t, kSize>&>(quad[k][part * (kSize / 4)]);
  }
};

constexpr float kQuadScale[4] = {1, 0x1p8f, 0x1p16f, 1};
constexpr double kLargestQuadWeights = 0x1p96;
static_assert(kLargestQuadWeights * kMaxPixel * kQuadScale[2] < std::numeric_limits<float>::max());

// The type in which sums of type sum_t are accumulated. Integers are unsigned, because only
// the final result has to fit.
template <typename sum_t>
using Accumulator = typename std::conditional_t<
    std::is_integral_v<sum_t>,
    std::make_unsigned<sum_t>,
    std::type_identity<sum_t>>::type;

// Sums of bytes. With w = even + 256 odd in every word, `all` is the sum of w and `odd`
// the sum of w >> 8, both modulo 2^16. That takes three operations a vector and no shuffle,
// and is exact as long as the sum of every pixel fits in 16 bits.
template <int kSize>
struct PairSums {
  using Words = Cell<uint16_t, kSize>;
  Words all = {};
  Words odd = {};

  ORIGINET_INLINE void add(const Words& cell) {
    for (int p = 0; p < cell.kParts; ++p) {
      all.part[p] += cell.part[p];
      odd.part[p] += cell.part[p] >> 8;
    }
  }
  ORIGINET_INLINE void add(const PairSums& sums) {
    for (int p = 0; p < all.kParts; ++p) {
      all.part[p] += sums.all.part[p];
      odd.part[p] += sums.odd.part[p];
    }
  }
  template <typename acc_t>
  ORIGINET_INLINE void add_to(QuadSums<acc_t>& total, acc_t weight) const {
    using Sums = Quad<acc_t, kSize>;
    for (int p = 0; p < all.kParts; ++p) {
      const auto even = reinterpret_cast<Quad<uint32_t, kSize>>(all.part[p] - (odd.part[p] << 8));
      const auto uneven = reinterpret_cast<Quad<uint32_t, kSize>>(odd.part[p]);
      total.template at<kSize>(0, p) += weight * __builtin_convertvector(even & 0xffffu, Sums);
      total.template at<kSize>(1, p) += weight * __builtin_convertvector(uneven & 0xffffu, Sums);
      total.template at<kSize>(2, p) += weight * __builtin_convertvector(even >> 16, Sums);
      total.template at<kSize>(3, p) += weight * __builtin_convertvector(uneven >> 16, Sums);
    }
  }
};

// Frames in one sweep. With more of them, reading from that many places gets slower.
constexpr int64_t kByteSweep = 16;

// How many frames to read in one sweep: half as many if their pixels fall into the same sets
// of the L1 cache, which has 8 ways or more of 4 KiB. They would evict one another.
constexpr int64_t byte_sweep_of(int64_t frame_stride) {
  return frame_stride % 4096 == 0 ? kByteSweep / 2 : kByteSweep;
}

// Adds `weight` times the sum of `count` <= kByteSweep frames from `frame` on.
template <typename acc_t>
ORIGINET_MULTIVERSION void add_frames(
    const uint8_t* frame,
    int64_t frame_stride,
    int64_t count,
    acc_t weight,
    const Patch& patch,
    QuadSums<acc_t>* total) {
  static_assert(kByteSweep <= kPixelsIn16Bits);
  with_vector_size([&](auto size) ORIGINET_INLINE_LAMBDA {
    for_each_cell(
        patch, [&](int64_t cell, int64_t offset, int64_t, auto pixels) ORIGINET_INLINE_LAMBDA {
          PairSums<size> sum;
          const uint8_t* at = frame + offset;
          for (int64_t t = 0; t < count; ++t, at += frame_stride) {
            sum.add(load_cell<uint16_t, size>(at, pixels));
          }
          sum.add_to(total[cell], weight);
        });
  });
}

// The same with weights that grow by `growth` from frame to frame. `after` is the weight that
// the next frame would have.
template <typename acc_t>
ORIGINET_MULTIVERSION void add_ramp(
    const uint8_t* frame,
    int64_t frame_stride,
    int64_t count,
    acc_t after,
    acc_t growth,
    const Patch& patch,
    QuadSums<acc_t>* total) {
  static_assert(kByteSweep <= kPrefixesIn16Bits);
  with_vector_size([&](auto size) ORIGINET_INLINE_LAMBDA {
    for_each_cell(
        patch, [&](int64_t cell, int64_t offset, int64_t, auto pixels) ORIGINET_INLINE_LAMBDA {
          PairSums<size> sum;  // of the frames so far
          PairSums<size> sums; // of `sum` after each frame: sum (count - t) F_t
          const uint8_t* at = frame + offset;
          for (int64_t t = 0; t < count; ++t, at += frame_stride) {
            sum.add(load_cell<uint16_t, size>(at, pixels));
            sums.add(sum);
          }
          sum.add_to(total[cell], after);
          sums.add_to(total[cell], acc_t(0) - growth);
        });
  });
}

// |current - previous|, or kRectify max(current - previous, 0), as words.
template <bool kRectify, int kSize>
ORIGINET_INLINE Cell<uint16_t, kSize> motion_of(
    const Cell<uint8_t, kSize>& current, const Cell<uint8_t, kSize>& previous) {
  Cell<uint16_t, kSize> cell;
  for (int p = 0; p < cell.kParts; ++p) {
    const auto to = current.part[p], from = previous.part[p];
    const auto darker = to < from ? to : from;
    const auto brighter = to > from ? to : from;
    const auto step = (kRectify ? to : brighter) - darker;
    cell.part[p] = reinterpret_cast<typename VectorOf<uint16_t, kSize>::type>(step);
  }
  return cell;
}

// Adds twice the motion of `steps` <= kByteSweep steps from `frame` on. If the clip `ends` with the
// last step, that one counts only once.
template <bool kRectify, typename acc_t>
ORIGINET_MULTIVERSION void add_steps(
    const uint8_t* frame,
    int64_t frame_stride,
    int64_t steps,
    bool ends,
    const Patch& patch,
    QuadSums<acc_t>* total) {
  static_assert(2 * kByteSweep <= kPixelsIn16Bits);
  with_vector_size([&](auto size) ORIGINET_INLINE_LAMBDA {
    for_each_cell(
        patch, [&](int64_t cell, int64_t offset, int64_t, auto pixels) ORIGINET_INLINE_LAMBDA {
          PairSums<size> sum;
          const uint8_t* at = frame + offset;
          auto previous = load_cell<uint8_t, size>(at, pixels);
          Cell<uint16_t, size> step = {};
          for (int64_t t = 0; t < steps; ++t) {
            sum.add(step);
            at += frame_stride;
            const auto current = load_cell<uint8_t, size>(at, pixels);
            step = motion_of<kRectify, size>(current, previous);
            previous = current;
          }
          PairSums<size> twice = sum;
          twice.add(sum);
          twice.add(step);
          if (!ends) {
            twice.add(step);
          }
          twice.add_to(total[cell], acc_t(1));
        });
  });
}

// Frames with weights.
template <typename acc_t>
struct Terms {
  int64_t count = 0;
  const uint8_t* frames[kByteSweep];
  acc_t weights[kByteSweep];

  void add(const uint8_t* frame, acc_t weight) {
    frames[count] = frame;
    weights[count++] = weight;
  }
};

// Byte k of every lane, scaled as in QuadSums. Converted from signed integers, for which processors
// have an instruction.
template <typename acc_t, int kSize>
ORIGINET_INLINE Quad<acc_t, kSize> byte_of(const Quad<uint32_t, kSize>& cell, int k) {
  const int shift = std::is_same_v<acc_t, float> && k < 3 ? 0 : 8 * k;
  Quad<uint32_t, kSize> lanes = cell >> shift;
  if (k < 3) {
    lanes &= 0xffu << (8 * k - shift);
  }
  return __builtin_convertvector(reinterpret_cast<Quad<int32_t, kSize>>(lanes), Quad<acc_t, kSize>);
}

template <typename acc_t>
ORIGINET_MULTIVERSION void add_weighted_terms(
    const Terms<acc_t>& terms, const Patch& patch, QuadSums<acc_t>* total) {
  with_vector_size([&](auto size) ORIGINET_INLINE_LAMBDA {
    for_each_cell(
        patch, [&](int64_t cell, int64_t offset, int64_t, auto pixels) ORIGINET_INLINE_LAMBDA {
          constexpr int kParts = kCell / size;
          Quad<acc_t, size> sums[kParts][4];
          for (int p = 0; p < kParts; ++p) {
            for (int k = 0; k < 4; ++k) {
              sums[p][k] = total[cell].template at<size>(k, p);
            }
          }
          for (int64_t t = 0; t < terms.count; ++t) {
            const acc_t weight = terms.weights[t];
            const auto frame = load_cell<uint32_t, size>(terms.frames[t] + offset, pixels);
            for (int p = 0; p < kParts; ++p) {
              for (int k = 0; k < 4; ++k) {
                sums[p][k] += weight * byte_of<acc_t, size>(frame.part[p], k);
              }
            }
          }
          for (int p = 0; p < kParts; ++p) {
            for (int k = 0; k < 4; ++k) {
              total[cell].template at<size>(k, p) = sums[p][k];
            }
          }
        });
  });
}

template <typename acc_t>
ORIGINET_MULTIVERSION void flush_quads(
    QuadSums<acc_t>* block, int64_t cells, QuadSums<acc_t>* total) {
  for (int64_t cell = 0; cell < cells; ++cell) {
    for (int k = 0; k < 4; ++k) {
      for (int j = 0; j < kCell / 4; ++j) {
        total[cell].quad[k][j] += block[cell].quad[k][j];
      }
    }
    block[cell] = QuadSums<acc_t>{};
  }
}

template <typename acc_t, typename out_t>
ORIGINET_MULTIVERSION void finish_quads(
    const Patch& patch, const QuadSums<acc_t>* total, ImageStore<out_t>& store, out_t* image) {
  for_each_cell(
      patch, [&](int64_t cell, int64_t, int64_t pixel, auto pixels) ORIGINET_INLINE_LAMBDA {
        const auto& quad = total[cell].quad;
        out_t values[kCell];
#pragma omp simd
        for (int j = 0; j < kCell / 4; ++j) {
          for (int k = 0; k < 4; ++k) {
            if constexpr (std::is_same_v<acc_t, float>) {
              values[4 * j + k] = quad[k][j] / kQuadScale[k];
            } else {
              values[4 * j + k] =
                  static_cast<out_t>(static_cast<std::make_signed_t<acc_t>>(quad[k][j]));
            }
          }
        }
        store.put(values, pixels, image + pixel);
      });
}

} // namespace originet
