// CUDA kernel of sliding windows (sliding_math.h). A thread owns kVec neighbouring pixels of one
// group of windows: blockIdx.y is the group, blockIdx.x the stretch of 256 kVec pixels. All
// windows of a group hold one frame, the pivot c, which is the first of the last window:
//
//     time                 ->
//     window 0             [===============]
//     window 1                 [===============]
//     window 2                     [===============]
//                                  c
//     1. walk backwards    0<--1<--2                     slot k = what frames [start k, c) add
//     2. walk forwards             c------>0-->1-->2     image k = slot k + what [c, end k) add
//
// The slot of a window is the place of its image, so the kernel needs no memory but the result.
// There are no atomics and only one order of additions, so results do not vary from run to run.
#include "frame_access.cuh"
#include "image_epilogue.cuh"
#include "sliding.h"

namespace originet {
namespace {

// Partial sums are stored as bit patterns in the memory of the result or, if they are wider than
// its elements, in memory of their own.
template <typename slot_t, typename part_t>
__device__ __forceinline__ slot_t to_slot(part_t value) {
  static_assert(sizeof(slot_t) == sizeof(part_t));
  slot_t slot;
  memcpy(&slot, &value, sizeof slot);
  return slot;
}

template <typename part_t, typename slot_t>
__device__ __forceinline__ part_t from_slot(slot_t slot) {
  static_assert(sizeof(slot_t) == sizeof(part_t));
  part_t value;
  memcpy(&value, &slot, sizeof value);
  return value;
}

// So many loads are in flight before the first is used. Sums of 16-bit frames leave registers for two
// blocks only, whose threads have to keep memory busy.
template <typename stored_t>
constexpr int kLoads = sizeof(stored_t) == 2 ? 8 : 4;

// Loads kVec values, 16 bytes at a time.
template <typename T, int kVec>
__device__ __forceinline__ void load_values(const T* from, T (&values)[kVec]) {
  constexpr int kPart = kVec * sizeof(T) > kVectorBytes ? kVectorBytes / sizeof(T) : kVec;
#pragma unroll
  for (int j = 0; j < kVec; j += kPart) {
    const auto word = *reinterpret_cast<const Word<kPart * sizeof(T)>*>(from + j);
    std::memcpy(values + j, &word, sizeof word);
  }
}

// The part of a plan that the kernels need.
struct Windows {
  FrameShape shape;
  FrameStrides strides;
  int64_t window;
  int64_t stride;
  int64_t windows;
  int64_t group;
  int64_t groups;
  bool ends; // `authors`: counts the first frame once more, the last once less
  bool clip;
};

// The walks of kVec pixels over a group, for linear methods and for motions. walk() adds frames,
// before() gives what the frames from a window's start to the pivot add to its image, and image()
// adds the rest.
template <typename Weights, typename stored_t, typename acc_t, int kVec>
class LinearPixelWalk {
 public:
  static constexpr int64_t kLag = 0; // the first frame visited from the pivot c is c
  static constexpr bool kBytes = std::is_same_v<acc_t, int32_t>;

  __device__ __forceinline__
  LinearPixelWalk(const stored_t* frames, const Windows& plan, int64_t pivot)
      : frames_(frames),
        frame_stride_(plan.strides.frame),
        window_(static_cast<acc_t>(plan.window)),
        weights_(weights_of(plan)) {
    load_values(frames_ + pivot * frame_stride_, pivot_);
  }

  __device__ __forceinline__ void restart(int64_t) {
#pragma unroll
    for (int j = 0; j < kVec; ++j) {
      sum_[j] = 0;
      moment_[j] = 0;
    }
  }

  // Visits frames first, first + kDirection, ...
  template <int kDirection>
  __device__ __forceinline__ void walk(int64_t first, int64_t count) {
    const stored_t* frame = frames_ + first * frame_stride_;
    const int64_t step = kDirection * frame_stride_;
    constexpr int kUnroll = kLoads<stored_t>;
#pragma unroll kUnroll
    for (int64_t k = 0; k < count; ++k) {
      stored_t values[kVec];
      load_values(frame + k * step, values);
      if constexpr (Weights::kMoment) {
#pragma unroll
        for (int j = 0; j < kVec; ++j) {
          moment_[j] += sum_[j];
        }
      }
      if constexpr (kBytes) {
        add_bytes(sum_, values);
      } else {
#pragma unroll
        for (int j = 0; j < kVec; ++j) {
          sum_[j] += value(values, j);
        }
      }
    }
  }

  __device__ __forceinline__ void before(int64_t start, acc_t (&total)[kVec]) const {
    stored_t first[kVec];
    load_values(frames_ + start * frame_stride_, first);
#pragma unroll
    for (int j = 0; j < kVec; ++j) {
      const auto sum = static_cast<acc_t>(sum_[j]);
      total[j] = weights_.before(sum, moment_[j], value(first, j), window_);
    }
  }

  __device__ __forceinline__ void image(int64_t end, acc_t (&total)[kVec]) const {
    stored_t last[kVec];
    load_values(frames_ + (end - 1) * frame_stride_, last);
#pragma unroll
    for (int j = 0; j < kVec; ++j) {
      const auto sum = static_cast<acc_t>(sum_[j]);
      total[j] += weights_.after(sum, moment_[j], value(last, j), window_);
    }
  }

 private:
  static __device__ __forceinline__ Weights weights_of(const Windows& plan) {
    if constexpr (Weights::kMoment) {
      return {plan.ends};
    } else {
      return {};
    }
  }

  __device__ __forceinline__ acc_t value(const stored_t (&stored)[kVec], int j) const {
    return deviation(wide<acc_t>(stored, j), wide<acc_t>(pivot_, j));
  }

  const stored_t* frames_; // the thread's pixels in frame 0
  int64_t frame_stride_;
  acc_t window_;
  Weights weights_;
  stored_t pivot_[kVec];
  std::conditional_t<kBytes, uint32_t, acc_t> sum_[kVec];
  acc_t moment_[kVec]; // takes no registers where the weights need none
};

// motion_step() of the difference of two frames. Of doubles, |x| costs no instruction, but a choice
// between two of them several.
template <bool kRectify, typename acc_t>
__device__ __forceinline__ acc_t step_of(acc_t difference) {
  if constexpr (kRectify || std::is_integral_v<acc_t>) {
    return motion_step<acc_t, kRectify>(difference, acc_t(0));
  } else {
    return fabs(difference);
  }
}

template <bool kRectify, typename stored_t, typename acc_t, int kVec>
class MotionPixelWalk {
 public:
  static constexpr int64_t kLag = 1; // visiting frame t adds the step from frame t - 1
  // Of bytes, distances are summed, and
  //   2 sum max(F_t - F_(t-1), 0) = sum |F_t - F_(t-1)| + F_last - F_first.
  static constexpr bool kDistances = std::is_same_v<acc_t, int32_t>;

  __device__ __forceinline__ MotionPixelWalk(const stored_t* frames, const Windows& plan, int64_t)
      : frames_(frames), frame_stride_(plan.strides.frame) {}

  __device__ __forceinline__ void restart(int64_t pivot) {
    load_values(frames_ + pivot * frame_stride_, pivot_);
#pragma unroll
    for (int j = 0; j < kVec; ++j) {
      reached_[j] = pivot_[j];
      sum_[j] = 0;
    }
  }

  template <int kDirection>
  __device__ __forceinline__ void walk(int64_t first, int64_t count) {
    // Walking backwards, a visit to frame t continues to frame t - 1.
    const stored_t* frame = frames_ + (kDirection > 0 ? first : first - 1) * frame_stride_;
    const int64_t step = kDirection * frame_stride_;
    constexpr int kUnroll = kLoads<stored_t>;
#pragma unroll kUnroll
    for (int64_t k = 0; k < count; ++k) {
      stored_t values[kVec];
      load_values(frame + k * step, values);
      if constexpr (kDistances) {
        add_byte_distances(sum_, values, reached_);
      }
#pragma unroll
      for (int j = 0; j < kVec; ++j) {
        if constexpr (!kDistances) {
          const auto change = wide<acc_t>(values, j) - wide<acc_t>(reached_, j);
          sum_[j] += step_of<kRectify>(kDirection > 0 ? change : -change);
        }
      }
#pragma unroll
      for (int j = 0; j < kVec; ++j) {
        reached_[j] = values[j];
      }
    }
  }

  __device__ __forceinline__ void before(int64_t, acc_t (&total)[kVec]) const {
#pragma unroll
    for (int j = 0; j < kVec; ++j) {
      total[j] = steps(j, reached_, pivot_);
    }
  }

  __device__ __forceinline__ void image(int64_t end, acc_t (&total)[kVec]) const {
    stored_t before_last[kVec];
    load_values(frames_ + (end - 2) * frame_stride_, before_last);
#pragma unroll
    for (int j = 0; j < kVec; ++j) {
      const acc_t step =
          motion_step<acc_t, kRectify>(wide<acc_t>(reached_, j), wide<acc_t>(before_last, j));
      total[j] = motion_total(total[j] + steps(j, pivot_, reached_) - step, step);
    }
  }

 private:
  // The sum over the steps from the frame `first` to the frame `last`.
  __device__ __forceinline__ acc_t
  steps(int j, const stored_t (&first)[kVec], const stored_t (&last)[kVec]) const {
    const auto sum = static_cast<acc_t>(sum_[j]);
    if constexpr (kDistances && kRectify) {
      return (sum + wide<acc_t>(last, j) - wide<acc_t>(first, j)) / 2;
    } else {
      return sum;
    }
  }

  const stored_t* frames_;
  int64_t frame_stride_;
  stored_t pivot_[kVec];
  stored_t reached_[kVec]; // the frame that the walk has reached
  std::conditional_t<kDistances, uint32_t, acc_t> sum_[kVec];
};

template <
    typename Sums,
    int kVec,
    typename stored_t,
    typename acc_t,
    typename out_t,
    typename slot_t>
__global__ void __launch_bounds__(kThreadsPerBlock, 2) sliding_pool_kernel(
    const stored_t* frames,    // [T, ...]
    slot_t* slots,             // [windows, pixels]; the result itself, or int64
    out_t* result,             // [windows, pixels]
    Extremes<out_t>* extremes, // [windows, parts] for stretches of an image; null if not needed
    Windows plan) {
  using part_t = partial_t<acc_t, out_t>;
  constexpr int64_t kStretch = kThreadsPerBlock * kVec;
  const int64_t pixels = plan.shape.pixels();
  const int64_t parts = (pixels + kStretch - 1) / kStretch;
  for (int64_t group = blockIdx.y; group < plan.groups; group += gridDim.y) {
    const int64_t first = group * plan.group; // window
    const int64_t left = plan.windows - first;
    const int64_t count = plan.group < left ? plan.group : left;
    const int64_t pivot = (first + count - 1) * plan.stride; // frame
    for (int64_t part = blockIdx.x; part < parts; part += gridDim.x) {
      // Threads beyond the last pixel meet the others at barriers. They compute pixel 0.
      const int64_t position = part * kStretch + threadIdx.x * kVec;
      const bool inside = position < pixels;
      const int64_t p = inside ? position : 0;
      Sums sums(frames + offset_of(plan.shape, plan.strides, p), plan, pivot);
      acc_t total[kVec];
      slot_t waiting[kVec] = {};

      sums.restart(pivot);
      for (int64_t k = count - 1; k >= 0; --k) {
        const int64_t start = (first + k) * plan.stride;
        if (start < pivot) {
          sums.template walk<-1>(start + plan.stride - 1 + Sums::kLag, plan.stride);
        }
        sums.before(start, total);
#pragma unroll
        for (int j = 0; j < kVec; ++j) {
          waiting[j] = to_slot<slot_t>(static_cast<part_t>(total[j]));
        }
        if (inside) {
          store_vector(slots + (first + k) * pixels + p, waiting);
        }
      }

      sums.restart(pivot);
      int64_t next = pivot + Sums::kLag;
      for (int64_t k = 0; k < count; ++k) {
        const int64_t end = (first + k) * plan.stride + plan.window;
        sums.template walk<1>(next, end - next);
        next = end;
        if (inside) {
          load_values(slots + (first + k) * pixels + p, waiting);
        }
#pragma unroll
        for (int j = 0; j < kVec; ++j) {
          total[j] = static_cast<acc_t>(from_slot<part_t>(waiting[j]));
        }
        sums.image(end, total);
        out_t image[kVec];
        Extremes<out_t> mine;
#pragma unroll
        for (int j = 0; j < kVec; ++j) {
          const auto value = static_cast<out_t>(total[j]);
          image[j] = plan.clip ? saturate(value) : value;
          mine.add(image[j]);
        }
        if (inside) {
          store_vector(result + (first + k) * pixels + p, image);
        }
        if (extremes != nullptr) {
          const Extremes<out_t> all = block_extremes(inside ? mine : Extremes<out_t>());
          if (threadIdx.x == 0) {
            extremes[(first + k) * parts + part] = all;
          }
        }
      }
    }
  }
}

// Whether every row of every frame, and every image, is aligned to vectors.
bool sliding_fits_vectors(const SlidingPlan& plan, int64_t vec) {
  const FrameStrides& strides = plan.source.strides;
  return plan.shape.run % vec == 0 && strides.frame % vec == 0 && strides.plane % vec == 0 &&
         strides.row % vec == 0 && misalignment(plan.source.frames.const_data_ptr()) == 0 &&
         misalignment(plan.result.const_data_ptr()) == 0;
}

template <typename stored_t, typename acc_t, typename out_t, int kVec>
void launch_sliding_pool(const SlidingPlan& plan) {
  using part_t = partial_t<acc_t, out_t>;
  using slot_t = std::conditional_t<sizeof(part_t) == sizeof(out_t), out_t, part_t>;
  const int64_t pixels = plan.shape.pixels();
  Tensor slots = plan.result;
  if constexpr (!std::is_same_v<slot_t, out_t>) {
    slots = torch::stable::new_empty(plan.result, {plan.windows, pixels}, ScalarType::Long);
  }
  const Windows windows{
      plan.shape,
      plan.source.strides,
      plan.window,
      plan.stride,
      plan.windows,
      plan.group,
      plan.groups,
      plan.method == SlidingMethod::kAuthors,
      plan.normalize == Normalize::kClip};
  const bool minmax = plan.normalize == Normalize::kMinmax;
  const int32_t device = plan.result.get_device_index();
  const int64_t parts = ceil_div(pixels, int64_t(kThreadsPerBlock) * kVec);
  const Tensor memory = torch::stable::new_empty(
      plan.result, {minmax ? plan.windows * parts * int64_t(sizeof(Extremes<out_t>)) : 0},
      ScalarType::Byte);
  auto* result = static_cast<out_t*>(plan.result.mutable_data_ptr());
  auto* extremes = minmax ? static_cast<Extremes<out_t>*>(memory.mutable_data_ptr()) : nullptr;
  const auto run = [&]<typename Sums>() {
    launch(
        "sliding_pool", device, parts, plan.groups,
        sliding_pool_kernel<Sums, kVec, stored_t, acc_t, out_t, slot_t>,
        static_cast<const stored_t*>(plan.source.frames.const_data_ptr()),
        static_cast<slot_t*>(slots.mutable_data_ptr()), result, extremes, windows);
  };
  if (plan.method == SlidingMethod::kCumulative) {
    run.template operator()<LinearPixelWalk<CumulativeWeights, stored_t, acc_t, kVec>>();
  } else if (is_ramp(plan.method)) {
    run.template operator()<LinearPixelWalk<RampWeights<bool>, stored_t, acc_t, kVec>>();
  } else if (plan.method == SlidingMethod::kAbsolute) {
    run.template operator()<MotionPixelWalk<false, stored_t, acc_t, kVec>>();
  } else {
    run.template operator()<MotionPixelWalk<true, stored_t, acc_t, kVec>>();
  }
  if (minmax && pixels > 0) {
    launch_stretch("sliding_pool", device, extremes, parts, plan.windows, pixels, result);
  }
}

Tensor sliding_pool_cuda(
    const Tensor& frames,
    int64_t window,
    int64_t stride,
    std::string method,
    std::string normalize) {
  const SlidingPlan plan = plan_sliding_pool(frames, window, stride, method, normalize);
  if (plan.still) {
    return plan.result;
  }
  dispatch_sliding<c10::Half, c10::BFloat16>(
      plan, [&]<typename stored_t, typename acc_t, typename out_t>() {
        // Windows that need 64 bits are rare, so one pixel a thread is fast enough.
        constexpr bool kWide = std::is_same_v<acc_t, int64_t>;
        constexpr int kVec = kWide ? 1 : kVectorBytes / sizeof(stored_t);
        if (sliding_fits_vectors(plan, kVec)) {
          launch_sliding_pool<stored_t, acc_t, out_t, kVec>(plan);
        } else {
          launch_sliding_pool<stored_t, acc_t, out_t, 1>(plan);
        }
      });
  return plan.result;
}

} // namespace

ORIGINET_KERNELS(ORIGINET_CUDA_KEY, m) {
  m.impl("sliding_pool", ORIGINET_BOX(sliding_pool_cuda));
}

} // namespace originet
