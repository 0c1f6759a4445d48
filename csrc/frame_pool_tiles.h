// How the CPU pools one tile of one clip: a class for each kind of sums, which owns the
// memory that a thread reuses for its next tile. No torch here.
#pragma once

#include <vector>

#include "frame_pool_bytes.h"
#include "frame_pool_loops.h"

namespace originet {

// Zeroed memory for one tile of a thread after the other.
template <typename T>
class Sums {
 public:
  // Sets the first `count` values to zero and returns them.
  T* clear(int64_t count) {
    if (static_cast<int64_t>(values_.size()) < count) {
      values_.resize(count);
    }
    std::fill_n(values_.begin(), count, T{});
    return values_.data();
  }

 private:
  std::vector<T> values_;
};

template <typename stored_t>
const stored_t* frame_of(const Clip& clip, const Tile& tile, int64_t t) {
  return reinterpret_cast<const stored_t*>(clip.frames) + t * clip.strides.frame + tile.offset;
}

inline Patch patch_of(const Clip& clip, const Tile& tile) {
  return {tile.rows, tile.run, clip.strides.row};
}

// uint8 frames with weights that grow by a constant step, which may be 0.
template <typename acc_t>
class RampTile {
 public:
  RampTile(const int64_t* index, const acc_t* weights) : index_(index), weights_(weights) {}

  // Returns false if the clip's weights are not a ramp.
  bool run(const Clip& clip, const Tile& tile, float* image, ImageStore<float>& store) {
    const int64_t terms = clip.end - clip.begin;
    const auto ramp = find_ramp(index_ + clip.begin, weights_ + clip.begin, terms);
    if (!ramp) {
      return false;
    }
    const Patch patch = patch_of(clip, tile);
    QuadSums<wrap_t>* total = total_.clear(cells_of(patch));
    const uint8_t* first = frame_of<uint8_t>(clip, tile, index_[clip.begin]);
    const int64_t stride = clip.strides.frame;
    const int64_t sweep = byte_sweep_of(stride);
    for (int64_t k = 0; k < terms; k += sweep) {
      const int64_t count = std::min(sweep, terms - k);
      const uint8_t* frame = first + k * stride;
      if (ramp->step == 0) {
        add_frames<wrap_t>(frame, stride, count, ramp->first, patch, total);
      } else {
        const wrap_t after = ramp->first + (k + count) * ramp->step;
        add_ramp<wrap_t>(frame, stride, count, after, ramp->step, patch, total);
      }
    }
    Terms<wrap_t> ends;
    ends.add(first, ramp->extra_first);
    ends.add(first + (terms - 1) * stride, ramp->extra_last);
    add_weighted_terms(ends, patch, total);
    finish_quads(patch, total, store, image);
    return true;
  }

 private:
  using wrap_t = Accumulator<acc_t>;

  const int64_t* index_;
  const acc_t* weights_;
  Sums<QuadSums<wrap_t>> total_;
};

// uint8 frames with any weights whose sums 32 bits can hold.
template <typename acc_t>
class QuadTile {
 public:
  QuadTile(const int64_t* index, const acc_t* weights) : index_(index), weights_(weights) {}

  void run(const Clip& clip, const Tile& tile, float* image, ImageStore<float>& store) {
    const Patch patch = patch_of(clip, tile);
    QuadSums<wrap_t>* total = total_.clear(cells_of(patch));
    QuadSums<wrap_t>* block =
        clip.end - clip.begin > kTermsPerBlock ? block_.clear(cells_of(patch)) : total;
    static_assert(kTermsPerBlock % kByteSweep == 0, "a block must end with a sweep");
    const int64_t sweep = byte_sweep_of(clip.strides.frame);
    Terms<wrap_t> terms; // not yet summed
    for (int64_t k = clip.begin; k < clip.end; ++k) {
      if (terms.count == sweep) {
        add_weighted_terms(terms, patch, block);
        terms.count = 0;
        if ((k - clip.begin) % kTermsPerBlock == 0) {
          flush_quads(block, cells_of(patch), total);
        }
      }
      terms.add(frame_of<uint8_t>(clip, tile, index_[k]), static_cast<wrap_t>(weights_[k]));
    }
    add_weighted_terms(terms, patch, block);
    if (block != total) {
      flush_quads(block, cells_of(patch), total);
    }
    finish_quads(patch, total, store, image);
  }

 private:
  using wrap_t = Accumulator<acc_t>;

  const int64_t* index_;
  const acc_t* weights_;
  Sums<QuadSums<wrap_t>> total_;
  Sums<QuadSums<wrap_t>> block_;
};

// Everything else, pixel by pixel.
template <typename stored_t, typename acc_t, typename out_t>
class PixelTile {
 public:
  PixelTile(const int64_t* index, const acc_t* weights) : index_(index), weights_(weights) {}

  void run(const Clip& clip, const Tile& tile, out_t* image, ImageStore<out_t>& store) {
    // Integer sums are exact anyway.
    if (std::is_floating_point_v<acc_t> && clip.centered && clip.begin < clip.end) {
      run<true>(clip, tile, image, store);
    } else {
      run<false>(clip, tile, image, store);
    }
  }

 private:
  template <bool kCentered>
  void run(const Clip& clip, const Tile& tile, out_t* image, ImageStore<out_t>& store) {
    const Patch patch = patch_of(clip, tile);
    const int64_t n = patch.rows * patch.run;
    acc_t* total = total_.clear(n);
    acc_t* block = clip.end - clip.begin > kTermsPerBlock ? block_.clear(n) : total;
    int64_t k = clip.begin;
    const stored_t* pivot = k < clip.end ? frame_of<stored_t>(clip, tile, index_[k]) : nullptr;
    k += kCentered ? 1 : 0; // the pivot does not deviate from itself
    while (k < clip.end) {
      const int64_t end = std::min(clip.end, k + kTermsPerBlock);
      for (; k + 4 <= end; k += 4) {
        const stored_t* frames[4];
        for (int i = 0; i < 4; ++i) {
          frames[i] = frame_of<stored_t>(clip, tile, index_[k + i]);
        }
        add_four_weighted_frames<kCentered, stored_t, acc_t>(
            frames, pivot, weights_ + k, patch, block);
      }
      for (; k < end; ++k) {
        const stored_t* frame = frame_of<stored_t>(clip, tile, index_[k]);
        add_weighted_frame<kCentered, stored_t, acc_t>(frame, pivot, weights_[k], patch, block);
      }
      if (block != total) {
        flush_sums(block, n, total);
      }
    }
    store_sums<acc_t, out_t>(total, n, store, image);
  }

  const int64_t* index_;
  const acc_t* weights_;
  Sums<acc_t> total_;
  Sums<acc_t> block_;
};

// Picks the fastest of the above that can sum a clip.
template <typename stored_t, typename acc_t, typename out_t>
class WeightedTile {
 public:
  WeightedTile(const int64_t* index, const acc_t* weights, bool large_weights)
      : large_weights_(large_weights),
        ramp_(index, weights),
        quads_(index, weights),
        pixels_(index, weights) {}

  void run(const Clip& clip, const Tile& tile, out_t* image, ImageStore<out_t>& store) {
    if constexpr (kExact) {
      if (ramp_.run(clip, tile, image, store)) {
        return;
      }
    }
    if (kQuads && !large_weights_) {
      quads_.run(clip, tile, image, store);
    } else {
      pixels_.run(clip, tile, image, store);
    }
  }

 private:
  using Pixels = PixelTile<stored_t, acc_t, out_t>;
  static constexpr bool kExact = std::is_integral_v<acc_t>;
  static constexpr bool kQuads =
      std::is_same_v<stored_t, uint8_t> && !std::is_same_v<acc_t, int64_t>;

  bool large_weights_;
  std::conditional_t<kExact, RampTile<acc_t>, Pixels> ramp_;
  std::conditional_t<kQuads, QuadTile<acc_t>, Pixels> quads_;
  Pixels pixels_;
};

// Differences of uint8 frames.
template <typename acc_t, bool kRectify>
class ByteMotionTile {
 public:
  void run(const Clip& clip, const Tile& tile, float* image, ImageStore<float>& store) {
    const Patch patch = patch_of(clip, tile);
    const int64_t stride = clip.strides.frame;
    const int64_t sweep = byte_sweep_of(stride);
    const int64_t last = clip.end - 1;
    auto* total = total_.clear(cells_of(patch));
    for (int64_t t = 0; t < last; t += sweep) {
      const int64_t steps = std::min(sweep, last - t);
      add_steps<kRectify>(
          frame_of<uint8_t>(clip, tile, t), stride, steps, t + steps == last, patch, total);
    }
    finish_quads(patch, total, store, image);
  }

 private:
  Sums<QuadSums<Accumulator<acc_t>>> total_;
};

// Differences of floating frames.
template <typename stored_t, typename acc_t, bool kRectify>
class MotionTile {
 public:
  void run(const Clip& clip, const Tile& tile, acc_t* image, ImageStore<acc_t>& store) {
    const Patch patch = patch_of(clip, tile);
    const int64_t n = patch.rows * patch.run;
    acc_t* total = total_.clear(n);
    acc_t* block = block_.clear(n);
    const auto add = [&](int64_t t, acc_t* sums) {
      add_motion_patch<stored_t, acc_t, kRectify>(
          frame_of<stored_t>(clip, tile, t), frame_of<stored_t>(clip, tile, t - 1), patch, sums);
    };
    const int64_t last = clip.end - 1; // its step counts once
    for (int64_t t = 1; t < last;) {
      for (const int64_t end = std::min(last, t + kTermsPerBlock); t < end; ++t) {
        add(t, block);
      }
      flush_sums(block, n, total);
    }
    if (last > 0) {
      add(last, block);
    }
    finish_float_motion(total, block, n);
    store_sums<acc_t, acc_t>(total, n, store, image);
  }

 private:
  Sums<acc_t> total_;
  Sums<acc_t> block_;
};

} // namespace originet
