// CUDA backend of the normalised join: two kernels forward, three backward. Each block of the
// first kernel writes the partial results of its channels to a workspace. Each block of the
// second merges the partial results of its channels, in a fixed order and without atomics, and
// computes the activations again: an exponential is cheaper than a round trip to memory. The
// third, of one block for each group of columns, adds up the gradients of the biases.
//
// The first two run on the same grid, described by Mapping of channel_mapping.cuh:
// blockIdx.x is the part of a column, blockIdx.y the group of columns. In this drawing, a column
// has two parts, and a block has 4 threads instead of kThreadsPerBlock. Blocks A, B, C, D are
// (0, 0), (1, 0), (0, 1), (1, 1); the digit is the thread of the block that reads a vector.
//
// Contiguous: a column is a channel, and a block has rows = 4 threads in cols = 1 column. They
// read on from plane to plane of their channel.
//
//                  image 0                         image 1
//     channel 0    A0 A1 A2 A3 B0 B1 B2 B3 A0 A1   A2 A3 B0 B1 B2 B3 A0 A1 A2 A3
//     channel 1    C0 C1 C2 C3 D0 D1 D2 D3 C0 C1   C2 C3 D0 D1 D2 D3 C0 C1 C2 C3
//
// channels_last: a column is kVec neighbouring channels (1 without vectors), and a block has
// rows = 2 threads in each of cols = 2 columns, so that it reads whole cache lines.
//
//       column     0  1  2  3
//     pixel 0      A0 A1 C0 C1
//     pixel 1      A2 A3 C2 C3
//     pixel 2      B0 B1 D0 D1
//     pixel 3      B2 B3 D2 D3
//     pixel 4      A0 A1 C0 C1
//
// The first kernel's block A writes part 0 of its channels, block B part 1:
//
//     partial[quantity][part][channel]
//
// In the second kernel A and B both merge parts 0 and 1, and A alone writes the [C] results.
#include "channel_mapping.cuh"
#include "rrelu_fast.h"

namespace originet {
namespace {

template <typename scalar_t>
struct ForwardArguments {
  using acc_t = typename AccType<scalar_t>::type;
  const scalar_t *a, *b;
  scalar_t* y;
  const acc_t *bias_a, *bias_b, *weight, *bias;
  const acc_t *given_mean, *given_var; // null: batch statistics
  acc_t *mean, *rstd, *var;
  acc_t* partial; // [3, parts, channels]: count, mean, m2
  acc_t eps;
  Join<acc_t, sizeof(scalar_t) == 2> join; // 16 bits: approximate instructions
  CenteredJoin<acc_t, sizeof(scalar_t) == 2> centered;
  Mapping map;
};

// Where the gradient is if not in the layout of a and b, whose channels alternate: contiguous, say, or
// expanded from the mean of an image.
struct GradStrides {
  int64_t channel; // elements
  Walk pixels;     // over images and their pixels
};

template <typename scalar_t>
struct BackwardArguments {
  using acc_t = typename AccType<scalar_t>::type;
  const scalar_t *grad, *a, *b;
  GradStrides strides; // used by kernels with kStrided
  scalar_t *grad_a, *grad_b;
  const acc_t *bias_a, *bias_b, *weight, *mean, *rstd;
  acc_t *grad_bias_a, *grad_bias_b, *grad_weight, *grad_bias;
  acc_t* partial; // [4, parts, channels]: g, g * d, grad_a, grad_b
  Join<acc_t, sizeof(scalar_t) == 2> join;
  bool batch_statistics;
  Mapping map;

  __device__ acc_t* partial_biases() const {
    return partial + 2 * map.parts * map.channels;
  }
};

// Blocks of a kernel of 8 channels a thread. Hopper's code fits in the registers of a third;
// that of other architectures may not (of 12.0 it does not) and would go through local memory.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ == 900
constexpr int kBlocksOf8 = 3;
#else
constexpr int kBlocksOf8 = 2;
#endif

// Blocks of a kernel that a multiprocessor holds. More would leave a thread too few registers.
template <typename scalar_t, bool kAlong, int kMore = 0>
constexpr int kBlocks =
    sizeof(scalar_t) == 8 ? 2 : (kAlong && sizeof(scalar_t) == 2 ? kBlocksOf8 : 4) + kMore;

// Merges the partial results of a column. Every block merges in the same order, so all blocks of a
// channel get the same bits. All threads of a block must call it.
template <typename State, typename acc_t>
__device__ __forceinline__ State merge_parts(
    const acc_t* partial, int64_t channel, State* shared, const Mapping& map, const Place& place) {
  State mine{};
  for (int64_t part = place.row; place.active && part < map.parts; part += map.rows) {
    State other;
    other.load(partial + part * map.channels + channel, map.parts * map.channels);
    mine.merge(other);
  }
  return merge_rows(mine, shared, map);
}

// Merges the rows of a column and writes the result as that of this block's part.
template <typename State, typename acc_t>
__device__ __forceinline__ void store_part(
    const State& mine,
    acc_t* partial,
    int64_t channel,
    State* shared,
    const Mapping& map,
    const Place& place) {
  const State merged = merge_rows(mine, shared, map);
  if (place.active && place.row == 0) {
    merged.store(partial + blockIdx.x * map.channels + channel, map.parts * map.channels);
  }
}

// What a loop needs to know of a thread's channels. If they are several, it stays in shared memory,
// where it costs few instructions; in registers it would cost a block of the multiprocessor. Then only
// the first thread of each column calls fill(parameters).
template <typename Parameters, int kChannels>
struct Keep {
  static constexpr bool kShared = kChannels > 1;
  // An odd number of 16 bytes, so that the loads of neighbouring columns are spread over the banks.
  struct Padded : Parameters {
    uint4 padding;
  };
  using Row = std::conditional_t<sizeof(Parameters) % 32 == 0, Padded, Parameters>;

  Parameters mine;
  const Parameters* shared;

  // All threads of a block must call it.
  template <typename Fill>
  __device__ Keep(Row* table, const Mapping& map, const Fill& fill)
      : shared(&table[threadIdx.x % map.cols]) {
    if constexpr (kShared) {
      __syncthreads(); // before the writes, the reads for the last columns
      if (threadIdx.x < map.cols) {
        fill(table[threadIdx.x]);
      }
      __syncthreads();
    } else {
      fill(mine);
    }
  }
  __device__ const Parameters& get() const {
    if constexpr (kShared) {
      return *shared;
    } else {
      return mine;
    }
  }
};

template <typename acc_t, int kChannels>
struct alignas(16) ApplyParameters {
  acc_t bias_a[kChannels], bias_b[kChannels];
  acc_t mean[kChannels], scale[kChannels], shift[kChannels];
};

template <typename acc_t, int kChannels>
struct alignas(16) SumsParameters {
  acc_t bias_a[kChannels], bias_b[kChannels], mean[kChannels];
};

template <typename acc_t, int kChannels>
struct GradParameters : SumsParameters<acc_t, kChannels> {
  GradCoefficients<acc_t> coefficients[kChannels];
};

// The gradient at a thread's vectors, one after the other.
template <typename scalar_t, int kVec, bool kStrided>
class GradReader {
 public:
  __device__ __forceinline__
  GradReader(const BackwardArguments<scalar_t>& args, const Place& place, int64_t channel)
      : args_(args),
        walker_(args.strides.pixels, place.first_item(args.map), channel * args.strides.channel) {}

  __device__ __forceinline__ Vector<scalar_t, kVec> next(int64_t vector) {
    if constexpr (kStrided) {
      const scalar_t* first = args_.grad + walker_.next();
      Vector<scalar_t, kVec> grad;
#pragma unroll
      for (int j = 0; j < kVec; ++j) {
        grad.values[j] = first[j * args_.strides.channel];
      }
      return grad;
    } else {
      return vector_at<scalar_t, kVec>(args_.grad, vector);
    }
  }

 private:
  const BackwardArguments<scalar_t>& args_;
  Walker<true> walker_;
};

// Moments of each channel's part. The arguments are a __grid_constant__ here and below because a
// reference to them, such as `map`, would otherwise make the compiler copy them to local memory.
template <typename scalar_t, int kVec, bool kAlong>
__global__ void __launch_bounds__(kThreadsPerBlock, kBlocks<scalar_t, kAlong>)
    norm_moments_kernel(const __grid_constant__ ForwardArguments<scalar_t> args) {
  using acc_t = typename AccType<scalar_t>::type;
  constexpr int kChannels = kAlong ? kVec : 1; // of a thread
  using State = ChannelMoments<acc_t, kChannels>;
  constexpr int kInFlight = kVec == 8 ? 2 : 1;
  __shared__ State shared[kWarps * kMostCols<scalar_t, kVec>];
  const Mapping& map = args.map;
  for_each_column<kChannels>(map, [&](const Place& place, int64_t channel) {
    acc_t bias_a[kChannels], bias_b[kChannels];
    load_channels(bias_a, args.bias_a, channel, place);
    load_channels(bias_b, args.bias_b, channel, place);
#pragma unroll
    for (int j = 0; j < kChannels; ++j) {
      bias_a[j] = args.centered.prepared(bias_a[j]);
      bias_b[j] = args.centered.prepared(bias_b[j]);
    }
    // Welford's method for each lane.
    ChannelMoments<acc_t, kVec> lanes{};
    if (place.active) {
      for_each_vectors<kAlong, kInFlight>(map, place, [&]<int kCount>(const int64_t (&at)[kCount]) {
        Vector<scalar_t, kVec> a[kCount], b[kCount];
#pragma unroll
        for (int k = 0; k < kCount; ++k) {
          a[k] = vector_at<scalar_t, kVec>(args.a, at[k]);
          b[k] = vector_at<scalar_t, kVec>(args.b, at[k]);
        }
#pragma unroll
        for (int k = 0; k < kCount; ++k) {
          lanes.count += acc_t(1);
          const acc_t share =
              sizeof(scalar_t) == 2 ? rough_reciprocal(lanes.count) : divide(acc_t(1), lanes.count);
          const acc_t rest = acc_t(1) - share;
#pragma unroll
          for (int j = 0; j < kVec; ++j) {
            const int c = kAlong ? j : 0;
            const acc_t delta = args.centered(
                wide<acc_t>(a[k].values, j), bias_a[c], wide<acc_t>(b[k].values, j), bias_b[c],
                lanes.mean[j]);
            lanes.mean[j] += delta * share;
            lanes.m2[j] += delta * delta * rest;
          }
        }
      });
    }
    if constexpr (kAlong) {
      store_part(lanes, args.partial, channel, shared, map, place);
    } else { // all lanes of a vector belong to one channel
      State mine{lanes.count, {lanes.mean[0]}, {lanes.m2[0]}};
#pragma unroll
      for (int j = 1; j < kVec; ++j) {
        mine.merge({lanes.count, {lanes.mean[j]}, {lanes.m2[j]}});
      }
      store_part(mine, args.partial, channel, shared, map, place);
    }
  });
}

// Writes y; the first block of a column also writes the column's statistics.
template <typename scalar_t, int kVec, bool kAlong>
__global__ void __launch_bounds__(kThreadsPerBlock, kBlocks<scalar_t, kAlong>)
    norm_apply_kernel(const __grid_constant__ ForwardArguments<scalar_t> args) {
  using acc_t = typename AccType<scalar_t>::type;
  constexpr int kChannels = kAlong ? kVec : 1; // of a thread
  using State = ChannelMoments<acc_t, kChannels>;
  __shared__ State shared[kWarps * kMostCols<scalar_t, kVec>];
  using Kept = Keep<ApplyParameters<acc_t, kChannels>, kChannels>;
  __shared__ typename Kept::Row table[kMostCols<scalar_t, kVec>];
  const Mapping& map = args.map;
  for_each_column<kChannels>(map, [&](const Place& place, int64_t channel) {
    State moments;
    if (!args.given_mean) {
      moments = merge_parts<State>(args.partial, channel, shared, map, place);
    }
    const Kept kept(table, map, [&](auto& p) {
      load_channels(p.bias_a, args.bias_a, channel, place);
      load_channels(p.bias_b, args.bias_b, channel, place);
      load_channels(p.shift, args.bias, channel, place);
#pragma unroll
      for (int j = 0; j < kChannels; ++j) {
        acc_t var, unbiased;
        if (args.given_mean) {
          p.mean[j] = value_or(args.given_mean, channel + j, place.active, acc_t(0));
          var = unbiased = value_or(args.given_var, channel + j, place.active, acc_t(0));
        } else {
          p.mean[j] = moments.mean[j];
          var = moments.m2[j] / static_cast<acc_t>(map.count);
          unbiased = moments.m2[j] / static_cast<acc_t>(map.count - 1);
        }
        const acc_t rstd = acc_t(1) / sqrt(var + args.eps);
        p.scale[j] = rstd * value_or(args.weight, channel + j, place.active, acc_t(1));
        if (place.active && place.row == 0 && blockIdx.x == 0) {
          args.mean[channel + j] = p.mean[j];
          args.rstd[channel + j] = rstd;
          args.var[channel + j] = unbiased;
        }
      }
    });
    if (!place.active) { // not before: there were barriers for the whole block
      return;
    }
    for_each_vector<kAlong>(map, place, [&](int64_t vector) {
      const auto a = vector_at<scalar_t, kVec>(args.a, vector);
      const auto b = vector_at<scalar_t, kVec>(args.b, vector);
      const auto& of = kept.get();
      scalar_t y[kVec];
#pragma unroll
      for (int j = 0; j < kVec; ++j) {
        const int c = kAlong ? j : 0;
        const acc_t value = args.join(
            wide<acc_t>(a.values, j) + of.bias_a[c], wide<acc_t>(b.values, j) + of.bias_b[c]);
        y[j] = static_cast<scalar_t>((value - of.mean[c]) * of.scale[c] + of.shift[c]);
      }
      store_vector(args.y + vector * kVec, y);
    });
  });
}

// Sums of g and g * d over each channel's part.
template <typename scalar_t, int kVec, bool kAlong, bool kStrided>
__global__ void __launch_bounds__(
    kThreadsPerBlock, kBlocks<scalar_t, kAlong, sizeof(scalar_t) == 2 && kAlong ? 1 : 0>)
    norm_sums_kernel(const __grid_constant__ BackwardArguments<scalar_t> args) {
  using acc_t = typename AccType<scalar_t>::type;
  constexpr int kChannels = kAlong ? kVec : 1;
  using State = SumPairs<acc_t, kChannels>;
  __shared__ State shared[kWarps * kMostCols<scalar_t, kVec>];
  using Kept = Keep<SumsParameters<acc_t, kChannels>, kChannels>;
  __shared__ typename Kept::Row table[kMostCols<scalar_t, kVec>];
  const Mapping& map = args.map;
  for_each_column<kChannels>(map, [&](const Place& place, int64_t channel) {
    const Kept kept(table, map, [&](auto& p) {
      load_channels(p.bias_a, args.bias_a, channel, place);
      load_channels(p.bias_b, args.bias_b, channel, place);
      load_channels(p.mean, args.mean, channel, place);
    });
    State sums{};
    if (place.active) {
      GradReader<scalar_t, kVec, kStrided> grads(args, place, channel);
      for_each_vector<kAlong>(map, place, [&](int64_t vector) {
        const auto grad = grads.next(vector);
        const auto a = vector_at<scalar_t, kVec>(args.a, vector);
        const auto b = vector_at<scalar_t, kVec>(args.b, vector);
        const auto& of = kept.get();
#pragma unroll
        for (int j = 0; j < kVec; ++j) {
          const int c = kAlong ? j : 0;
          const auto g = wide<acc_t>(grad.values, j);
          const acc_t value = args.join(
              wide<acc_t>(a.values, j) + of.bias_a[c], wide<acc_t>(b.values, j) + of.bias_b[c]);
          sums.first[c] += g;
          sums.second[c] += g * (value - of.mean[c]);
        }
      });
    }
    store_part(sums, args.partial, channel, shared, map, place);
  });
}

// Writes grad_a and grad_b, and their sums over each channel's part; the first block of a column
// also writes the gradients of weight and bias.
template <typename scalar_t, int kVec, bool kAlong, bool kStrided>
__global__ void __launch_bounds__(
    kThreadsPerBlock, kBlocks<scalar_t, kAlong, sizeof(scalar_t) == 4 ? -1 : 0>)
    norm_grad_kernel(const __grid_constant__ BackwardArguments<scalar_t> args) {
  using acc_t = typename AccType<scalar_t>::type;
  constexpr int kChannels = kAlong ? kVec : 1;
  using State = SumPairs<acc_t, kChannels>;
  __shared__ State shared[kWarps * kMostCols<scalar_t, kVec>];
  using Kept = Keep<GradParameters<acc_t, kChannels>, kChannels>;
  __shared__ typename Kept::Row table[kMostCols<scalar_t, kVec>];
  const Mapping& map = args.map;
  for_each_column<kChannels>(map, [&](const Place& place, int64_t channel) {
    const State total = merge_parts<State>(args.partial, channel, shared, map, place);
    const Kept kept(table, map, [&](auto& p) {
      load_channels(p.bias_a, args.bias_a, channel, place);
      load_channels(p.bias_b, args.bias_b, channel, place);
      load_channels(p.mean, args.mean, channel, place);
#pragma unroll
      for (int j = 0; j < kChannels; ++j) {
        const int64_t c = channel + j;
        const acc_t rstd = value_or(args.rstd, c, place.active, acc_t(0));
        const acc_t weight = value_or(args.weight, c, place.active, acc_t(1));
        p.coefficients[j] = GradCoefficients<acc_t>::of(
            total.first[j], total.second[j], rstd, weight, static_cast<acc_t>(map.count),
            args.batch_statistics);
        if (place.active && place.row == 0 && blockIdx.x == 0) {
          args.grad_bias[c] = total.first[j];
          args.grad_weight[c] = total.second[j] * rstd;
        }
      }
    });
    State sums{};
    if (place.active) {
      GradReader<scalar_t, kVec, kStrided> grads(args, place, channel);
      for_each_vector<kAlong>(map, place, [&](int64_t vector) {
        const auto grad = grads.next(vector);
        const auto a = vector_at<scalar_t, kVec>(args.a, vector);
        const auto b = vector_at<scalar_t, kVec>(args.b, vector);
        const auto& of = kept.get();
        scalar_t grad_a[kVec], grad_b[kVec];
#pragma unroll
        for (int j = 0; j < kVec; ++j) {
          const int c = kAlong ? j : 0;
          const auto in_a = args.join.branch(wide<acc_t>(a.values, j) + of.bias_a[c]);
          const auto in_b = args.join.branch(wide<acc_t>(b.values, j) + of.bias_b[c]);
          const acc_t d = in_a.value + in_b.value - of.mean[c];
          const acc_t grad_z = of.coefficients[c].grad_z(wide<acc_t>(grad.values, j), d);
          grad_a[j] = static_cast<scalar_t>(grad_z * in_a.derivative);
          grad_b[j] = static_cast<scalar_t>(grad_z * in_b.derivative);
          sums.first[c] += grad_z * in_a.derivative;
          sums.second[c] += grad_z * in_b.derivative;
        }
        store_vector(args.grad_a + vector * kVec, grad_a);
        store_vector(args.grad_b + vector * kVec, grad_b);
      });
    }
    store_part(sums, args.partial_biases(), channel, shared, map, place);
  });
}

// Writes the gradients of the biases inside psi.
template <typename scalar_t, int kVec, bool kAlong>
__global__ void __launch_bounds__(kThreadsPerBlock)
    norm_biases_kernel(const __grid_constant__ BackwardArguments<scalar_t> args) {
  using acc_t = typename AccType<scalar_t>::type;
  constexpr int kChannels = kAlong ? kVec : 1;
  using State = SumPairs<acc_t, kChannels>;
  __shared__ State shared[kWarps * kMostCols<scalar_t, kVec>];
  const Mapping& map = args.map;
  for_each_column<kChannels>(map, [&](const Place& place, int64_t channel) {
    const State total = merge_parts<State>(args.partial_biases(), channel, shared, map, place);
    if (place.active && place.row == 0) {
#pragma unroll
      for (int j = 0; j < kChannels; ++j) {
        args.grad_bias_a[channel + j] = total.first[j];
        args.grad_bias_b[channel + j] = total.second[j];
      }
    }
  });
}

template <typename value_t>
value_t* data(const Tensor& x) {
  return static_cast<value_t*>(x.mutable_data_ptr());
}

// Room for partial[quantity][part][channel].
inline Tensor make_workspace(const Tensor& like, int64_t quantities, const Mapping& map) {
  return torch::stable::new_empty(
      like, {quantities * map.parts * map.channels}, arithmetic_dtype(like));
}

template <typename scalar_t>
void forward_typed(const NormForward& call) {
  using acc_t = typename AccType<scalar_t>::type;
  const auto* a = static_cast<const scalar_t*>(call.a.const_data_ptr());
  const auto* b = static_cast<const scalar_t*>(call.b.const_data_ptr());
  auto* y = data<scalar_t>(call.y);
  with_vectors<scalar_t>(call.shape, {a, b, y}, [&]<int kVec, bool kAlong>() {
    const Mapping map = make_mapping<scalar_t, kVec, kAlong>(call.shape);
    const Tensor workspace = make_workspace(call.a, 3, map);
    const ForwardArguments<scalar_t> args{
        a,
        b,
        y,
        pointer_or_null<acc_t>(call.bias_a),
        pointer_or_null<acc_t>(call.bias_b),
        pointer_or_null<acc_t>(call.weight),
        pointer_or_null<acc_t>(call.bias),
        pointer_or_null<acc_t>(call.given_mean),
        pointer_or_null<acc_t>(call.given_var),
        data<acc_t>(call.mean),
        data<acc_t>(call.rstd),
        data<acc_t>(call.var),
        data<acc_t>(workspace),
        static_cast<acc_t>(call.eps),
        Join<acc_t, sizeof(scalar_t) == 2>(call.alpha),
        CenteredJoin<acc_t, sizeof(scalar_t) == 2>(call.alpha),
        map};
    const int64_t blocks = ceil_div(map.columns, map.cols);
    if (!call.given_mean) {
      launch(
          "rrelu_add_norm_forward", call.a.get_device_index(), map.parts, blocks,
          norm_moments_kernel<scalar_t, kVec, kAlong>, args);
    }
    launch(
        "rrelu_add_norm_forward", call.a.get_device_index(), map.parts, blocks,
        norm_apply_kernel<scalar_t, kVec, kAlong>, args);
  });
}

// The distance between pixels of one image, if it is constant.
std::optional<int64_t> pixel_stride(const Tensor& x) {
  int64_t step = 0;
  int64_t pixels = 1;
  for (int64_t d = x.dim() - 1; d >= 2; --d) {
    if (x.size(d) == 1) {
      continue;
    }
    if (pixels == 1) {
      step = x.stride(d);
    } else if (x.stride(d) != step * pixels) {
      return std::nullopt;
    }
    pixels *= x.size(d);
  }
  return step;
}

// Where channels alternate, a warp reads neighbouring pixels of the same channels, which makes good
// use of cache lines in most layouts. A copy would read and write the gradient once more.
Tensor readable_gradient(const Tensor& grad, const Tensor& dense) {
  const bool strided = norm_shape(dense).inner == 1 && pixel_stride(grad);
  return strided ? grad : in_layout_of(grad, dense);
}

GradStrides grad_strides(const Tensor& grad, const NormShape& shape, const Mapping& map) {
  const int64_t pixels = shape.outer / grad.size(0);
  return {grad.stride(1), Walk(pixels, grad.stride(0), *pixel_stride(grad), map.parts * map.rows)};
}

template <typename scalar_t>
void backward_typed(const NormBackward& call) {
  using acc_t = typename AccType<scalar_t>::type;
  const auto* grad = static_cast<const scalar_t*>(call.grad.const_data_ptr());
  const auto* a = static_cast<const scalar_t*>(call.a.const_data_ptr());
  const auto* b = static_cast<const scalar_t*>(call.b.const_data_ptr());
  auto* grad_a = data<scalar_t>(call.grad_a);
  auto* grad_b = data<scalar_t>(call.grad_b);
  const auto run = [&]<int kVec, bool kAlong, bool kStrided>() {
    const Mapping map = make_mapping<scalar_t, kVec, kAlong>(call.shape);
    const Tensor workspace = make_workspace(call.a, 4, map);
    const BackwardArguments<scalar_t> args{
        grad,
        a,
        b,
        kStrided ? grad_strides(call.grad, call.shape, map) : GradStrides{},
        grad_a,
        grad_b,
        pointer_or_null<acc_t>(call.bias_a),
        pointer_or_null<acc_t>(call.bias_b),
        pointer_or_null<acc_t>(call.weight),
        data<acc_t>(call.mean),
        data<acc_t>(call.rstd),
        data<acc_t>(call.grad_bias_a),
        data<acc_t>(call.grad_bias_b),
        data<acc_t>(call.grad_weight),
        data<acc_t>(call.grad_bias),
        data<acc_t>(workspace),
        Join<acc_t, sizeof(scalar_t) == 2>(call.alpha),
        call.batch_statistics,
        map};
    const int64_t blocks = ceil_div(map.columns, map.cols);
    launch(
        "rrelu_add_norm_backward", call.a.get_device_index(), map.parts, blocks,
        norm_sums_kernel<scalar_t, kVec, kAlong, kStrided>, args);
    launch(
        "rrelu_add_norm_backward", call.a.get_device_index(), map.parts, blocks,
        norm_grad_kernel<scalar_t, kVec, kAlong, kStrided>, args);
    launch(
        "rrelu_add_norm_backward", call.a.get_device_index(), 1, blocks,
        norm_biases_kernel<scalar_t, kVec, kAlong>, args);
  };
  if (same_layout(call.grad, call.a)) {
    with_vectors<scalar_t>(call.shape, {grad, a, b, grad_a, grad_b}, [&]<int kVec, bool kAlong>() {
      run.template operator()<kVec, kAlong, false>();
    });
  } else {
    with_vectors<scalar_t>(call.shape, {a, b, grad_a, grad_b}, [&]<int kVec, bool kAlong>() {
      if constexpr (kAlong || kVec == 1) { // readable_gradient() sees to it
        run.template operator()<kVec, kAlong, true>();
      }
    });
  }
}

struct Cuda {
  static void forward(const NormForward& call) {
    ORIGINET_DISPATCH_FLOATING(
        call.a.scalar_type(), "rrelu_add_norm_forward", [&] { forward_typed<scalar_t>(call); });
  }
  static void backward(const NormBackward& call) {
    ORIGINET_DISPATCH_FLOATING(
        call.a.scalar_type(), "rrelu_add_norm_backward", [&] { backward_typed<scalar_t>(call); });
  }
};

} // namespace

ORIGINET_KERNELS(ORIGINET_CUDA_KEY, m) {
  RReluNormOps<Cuda, readable_gradient>::register_all(m);
}

} // namespace originet
