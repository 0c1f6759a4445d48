// The sums of a stream have 8 bytes a pixel, so reading and writing them for every
// frame would cost far more than reading the frame. Instead, a few frames wait in a
// ring and are summed together, tile by tile: the sums of a tile stay in the L1 cache
// while the tile's pixels of all these frames are read. No torch here: the arrays are
// NumPy's, and originet_ext/_sums.py checks them.
#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "cpu_vector.h"
#include "exported.h"
#include "frame_pool_math.h"

namespace originet {
namespace {

constexpr int64_t kStreamTilePixels = 1024; // at most 24 KB of sums

// Frames added in one sweep over float64 sums, to load and store the sums less often.
constexpr int kStreamSweep = 4;

// Frame t of the stream is row t % rows.
template <typename stored_t>
struct Ring {
  const stored_t* data; // [rows, pixels]
  int64_t rows;
  int64_t pixels;

  const stored_t* frame(int64_t t) const {
    return data + t % rows * pixels;
  }
};

// Adds the next frame to sum[i] = F_1 + ... + F_k, and the new sum to prefix[i], the sum
// of all sums so far. After n frames, prefix = sum over t of (n - t + 1) F_t.
ORIGINET_MULTIVERSION void add_frame(
    const uint8_t* frame, uint16_t* sum, uint16_t* prefix, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const auto grown = static_cast<uint16_t>(sum[i] + frame[i]);
    sum[i] = grown;
    prefix[i] = static_cast<uint16_t>(prefix[i] + grown);
  }
}

// With more frames than Python allows, sums would wrap, which only unsigned integers may.
ORIGINET_HD int64_t plus(int64_t a, uint64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + b);
}

// Appends the sums of the next `count` frames to `total` and `total_prefix`.
ORIGINET_MULTIVERSION void append_sums(
    const uint16_t* sum,
    const uint16_t* prefix,
    int64_t count,
    int64_t* total,
    int64_t* total_prefix,
    int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const auto before = static_cast<uint64_t>(total[i]);
    total_prefix[i] = plus(total_prefix[i], static_cast<uint64_t>(count) * before + prefix[i]);
    total[i] = plus(total[i], sum[i]);
  }
}

// The same in float64 for kFrames frames, and with kMeans also
// means[i] += (F_1 + ... + F_k) / k. Frames are added one at a time, so that results do
// not depend on how many frames are summed together.
template <typename stored_t, bool kMeans, int kFrames>
ORIGINET_MULTIVERSION void add_frames_float(
    const stored_t* const* frames,
    const double* reciprocals,
    double* sum,
    double* prefix,
    double* means,
    int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    double s = sum[i], p = prefix[i], m = kMeans ? means[i] : 0;
#pragma GCC unroll 8
    for (int k = 0; k < kFrames; ++k) {
      s += static_cast<double>(frames[k][i]);
      p += s;
      if constexpr (kMeans) {
        m += s * reciprocals[k];
      }
    }
    sum[i] = s;
    prefix[i] = p;
    if constexpr (kMeans) {
      means[i] = m;
    }
  }
}

// sum[i] += g(current[i] - previous[i])
template <typename stored_t, typename step_t, typename sum_t, bool kRectify>
ORIGINET_MULTIVERSION void add_motion_run(
    const stored_t* current, const stored_t* previous, sum_t* sum, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const auto step = motion_step<step_t, kRectify>(
        static_cast<step_t>(current[i]), static_cast<step_t>(previous[i]));
    sum[i] = static_cast<sum_t>(sum[i] + static_cast<sum_t>(step));
  }
}

ORIGINET_MULTIVERSION void add_bytes(const uint8_t* frame, uint16_t* sum, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    sum[i] = static_cast<uint16_t>(sum[i] + frame[i]);
  }
}

// sum[i] += frame[i] - pivot[i]
template <typename stored_t>
ORIGINET_MULTIVERSION void add_deviation(
    const stored_t* frame, const stored_t* pivot, double* sum, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    sum[i] += static_cast<double>(frame[i]) - static_cast<double>(pivot[i]);
  }
}

// total[i] += the sum of `count` frames, each less pivot[i]
ORIGINET_MULTIVERSION void add_deviations(
    const uint16_t* sum, int64_t count, const uint8_t* pivot, int64_t* total, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    total[i] = plus(total[i], static_cast<uint64_t>(sum[i] - count * pivot[i]));
  }
}

ORIGINET_MULTIVERSION void add_widened(const uint16_t* from, int64_t* to, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    to[i] = plus(to[i], from[i]);
  }
}

// Runs body(first pixel, pixel count) over all tiles of a frame.
template <typename Body>
void for_each_stream_tile(int64_t pixels, const Body& body) {
  for (int64_t pixel = 0; pixel < pixels; pixel += kStreamTilePixels) {
    body(pixel, std::min(kStreamTilePixels, pixels - pixel));
  }
}

void sums_integer(const Ring<uint8_t>& ring, int64_t begin, int64_t end, int64_t* sums) {
  int64_t* prefixes = sums + ring.pixels;
  for_each_stream_tile(ring.pixels, [&](int64_t pixel, int64_t n) {
    for (int64_t t = begin; t < end;) {
      uint16_t sum[kStreamTilePixels] = {};
      uint16_t prefix[kStreamTilePixels] = {};
      const int64_t from = t;
      for (const int64_t stop = std::min(end, t + kPrefixesIn16Bits); t < stop; ++t) {
        add_frame(ring.frame(t) + pixel, sum, prefix, n);
      }
      append_sums(sum, prefix, t - from, sums + pixel, prefixes + pixel, n);
    }
  });
}

template <typename stored_t, bool kMeans>
void sums_float(
    const Ring<stored_t>& ring, int64_t begin, int64_t end, int64_t start, double* sums) {
  double* prefixes = sums + ring.pixels;
  double* means = prefixes + ring.pixels; // only with kMeans
  for_each_stream_tile(ring.pixels, [&](int64_t pixel, int64_t n) {
    const stored_t* frames[kStreamSweep];
    double reciprocals[kStreamSweep];
    const auto add = [&]<int kFrames>(int64_t t) {
      for (int k = 0; k < kFrames; ++k) {
        frames[k] = ring.frame(t + k) + pixel;
        reciprocals[k] = 1.0 / static_cast<double>(start + t + k + 1);
      }
      add_frames_float<stored_t, kMeans, kFrames>(
          frames, reciprocals, sums + pixel, prefixes + pixel, kMeans ? means + pixel : nullptr, n);
    };
    int64_t t = begin;
    for (; t + kStreamSweep <= end; t += kStreamSweep) {
      add.template operator()<kStreamSweep>(t);
    }
    for (; t < end; ++t) {
      add.template operator()<1>(t);
    }
  });
}

template <typename stored_t, typename sum_t>
void sum_frames(
    const Ring<stored_t>& ring, int64_t begin, int64_t end, const stored_t* first, sum_t* sums) {
  for_each_stream_tile(ring.pixels, [&](int64_t pixel, int64_t n) {
    if constexpr (std::is_same_v<stored_t, uint8_t>) {
      for (int64_t t = begin; t < end;) {
        uint16_t part[kStreamTilePixels] = {};
        const int64_t from = t;
        for (const int64_t stop = std::min(end, t + kPixelsIn16Bits); t < stop; ++t) {
          add_bytes(ring.frame(t) + pixel, part, n);
        }
        add_deviations(part, t - from, first + pixel, sums + pixel, n);
      }
    } else {
      for (int64_t t = begin; t < end; ++t) {
        add_deviation(ring.frame(t) + pixel, first + pixel, sums + pixel, n);
      }
    }
  });
}

template <typename stored_t, typename sum_t, bool kRectify>
void sum_motion(const Ring<stored_t>& ring, int64_t begin, int64_t end, sum_t* sums) {
  begin = std::max<int64_t>(begin, 1); // nothing comes before the first frame
  for_each_stream_tile(ring.pixels, [&](int64_t pixel, int64_t n) {
    if constexpr (std::is_same_v<stored_t, uint8_t>) {
      for (int64_t t = begin; t < end;) {
        uint16_t part[kStreamTilePixels] = {};
        for (const int64_t stop = std::min(end, t + kPixelsIn16Bits); t < stop; ++t) {
          add_motion_run<uint8_t, int16_t, uint16_t, kRectify>(
              ring.frame(t) + pixel, ring.frame(t - 1) + pixel, part, n);
        }
        add_widened(part, sums + pixel, n);
      }
    } else {
      for (int64_t t = begin; t < end; ++t) {
        add_motion_run<stored_t, double, double, kRectify>(
            ring.frame(t) + pixel, ring.frame(t - 1) + pixel, sums + pixel, n);
      }
    }
  });
}

// The dtypes of frames, as originet_ext/_sums.py numbers them.
enum class Stored : int32_t { kByte, kFloat, kDouble };

// Calls body(stored_t()) for the dtype of frames.
template <typename Body>
void for_dtype(Stored dtype, const Body& body) {
  switch (dtype) {
    case Stored::kByte:
      return body(uint8_t());
    case Stored::kFloat:
      return body(float());
    case Stored::kDouble:
      return body(double());
  }
}

// One sum a pixel: int64 for uint8 frames, otherwise float64.
template <typename stored_t>
using SingleSum = std::conditional_t<std::is_same_v<stored_t, uint8_t>, int64_t, double>;

} // namespace
} // namespace originet

// All three functions read frames [begin, end) of the stream from `frames` [rows, pixels], where
// frame t is row t % rows, and add to `sums` [S, pixels]. Both are dense and do not overlap.

// sums: int64 [2, ...], which only uint8 frames may have, or float64 [2, ...] or [3, ...]:
// sum over t of F_t, of (n - t + 1) F_t, and of (F_1 + ... + F_t) / (start + t).
ORIGINET_EXPORTED void originet_accumulate_sums(
    originet::Stored dtype,
    const void* frames,
    int64_t rows,
    int64_t pixels,
    int64_t begin,
    int64_t end,
    int64_t start,
    bool integer,
    bool means,
    void* sums) {
  using namespace originet;
  if (integer) {
    sums_integer(
        {static_cast<const uint8_t*>(frames), rows, pixels}, begin, end,
        static_cast<int64_t*>(sums));
    return;
  }
  for_dtype(dtype, [&]<typename stored_t>(stored_t) {
    const Ring<stored_t> ring{static_cast<const stored_t*>(frames), rows, pixels};
    const auto add = means ? &sums_float<stored_t, true> : &sums_float<stored_t, false>;
    add(ring, begin, end, start, static_cast<double*>(sums));
  });
}

// sums [1, ...]: sum over t of F_t - first, which is exactly 0 for a pixel at rest; `first`
// [pixels] is like a frame.
ORIGINET_EXPORTED void originet_accumulate_frames(
    originet::Stored dtype,
    const void* frames,
    int64_t rows,
    int64_t pixels,
    int64_t begin,
    int64_t end,
    const void* first,
    void* sums) {
  using namespace originet;
  for_dtype(dtype, [&]<typename stored_t>(stored_t) {
    using sum_t = SingleSum<stored_t>;
    const Ring<stored_t> ring{static_cast<const stored_t*>(frames), rows, pixels};
    sum_frames<stored_t, sum_t>(
        ring, begin, end, static_cast<const stored_t*>(first), static_cast<sum_t*>(sums));
  });
}

// sums [1, ...]: sum over t >= 2 of |FT(t)|, or of max(FT(t), 0). Frame `begin - 1` is read, too.
ORIGINET_EXPORTED void originet_accumulate_motion(
    originet::Stored dtype,
    const void* frames,
    int64_t rows,
    int64_t pixels,
    int64_t begin,
    int64_t end,
    bool rectify,
    void* sums) {
  using namespace originet;
  for_dtype(dtype, [&]<typename stored_t>(stored_t) {
    using sum_t = SingleSum<stored_t>;
    const Ring<stored_t> ring{static_cast<const stored_t*>(frames), rows, pixels};
    const auto add =
        rectify ? &sum_motion<stored_t, sum_t, true> : &sum_motion<stored_t, sum_t, false>;
    add(ring, begin, end, static_cast<sum_t*>(sums));
  });
}
