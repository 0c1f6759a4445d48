// CUDA backend of the normalised join: two kernels forward, two backward. Each block of the
// first kernel writes the partial results of its channels to a workspace. Each block of the
// second merges the partial results of its channels, in a fixed order and without atomics, and
// computes the activations again: an exponential is cheaper than a round trip to memory.
//
// Both kernels of a pair run on the same grid, described by Mapping of channel_mapping.cuh:
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
  Mapping map;
};

template <typename scalar_t>
struct BackwardArguments {
  using acc_t = typename AccType<scalar_t>::type;
  const scalar_t *grad, *a, *b;
  scalar_t *grad_a, *grad_b;
  const acc_t *bias_a, *bias_b, *weight, *mean, *rstd;
  acc_t *grad_bias_a, *grad_bias_b, *grad_weight, *grad_bias;
  acc_t* partial; // [kChannelSums, parts, channels]
  Join<acc_t, sizeof(scalar_t) == 2> join;
  bool batch_statistics;
  Mapping map;
};

// Moments of each channel's part. This kernel and the ones below ask for one block a
// multiprocessor, which leaves each thread the registers that its state needs. The arguments are
// a __grid_constant__ because a reference to them, such as `map`, would otherwise make the
// compiler copy them to local memory.
template <typename scalar_t, int kVec, bool kAlong>
__global__ void __launch_bounds__(kThreadsPerBlock, 1)
    norm_moments_kernel(const __grid_constant__ ForwardArguments<scalar_t> args) {
  using acc_t = typename AccType<scalar_t>::type;
  constexpr int kChannels = kAlong ? kVec : 1; // of a thread
  __shared__ Moments<acc_t> shared[kThreadsPerBlock];
  const Mapping& map = args.map;
  for (int64_t block = blockIdx.y; block * map.cols < map.columns; block += gridDim.y) {
    const Place place(map, block);
    const int64_t channel = place.column * kChannels;
    acc_t bias_a[kChannels], bias_b[kChannels];
#pragma unroll
    for (int j = 0; j < kChannels; ++j) {
      bias_a[j] = value_or(args.bias_a, channel + j, place.active, acc_t(0));
      bias_b[j] = value_or(args.bias_b, channel + j, place.active, acc_t(0));
    }
    // Welford's method for each lane; the lanes share the count.
    acc_t count = 0;
    acc_t mean[kVec] = {}, m2[kVec] = {};
    if (place.active) {
      for_each_vector(map, place, [&](int64_t vector) {
        const auto a = vector_at<scalar_t, kVec>(args.a, vector);
        const auto b = vector_at<scalar_t, kVec>(args.b, vector);
        count += acc_t(1);
        const acc_t share = acc_t(1) / count;
#pragma unroll
        for (int j = 0; j < kVec; ++j) {
          const acc_t value = args.join(
              static_cast<acc_t>(a.values[j]) + bias_a[kAlong ? j : 0],
              static_cast<acc_t>(b.values[j]) + bias_b[kAlong ? j : 0]);
          const acc_t delta = value - mean[j];
          mean[j] += delta * share;
          m2[j] += delta * (value - mean[j]);
        }
      });
    }
#pragma unroll
    for (int j = 0; j < kChannels; ++j) {
      Moments<acc_t> mine{count, mean[j], m2[j]};
      if constexpr (!kAlong) { // all lanes of a vector belong to one channel
#pragma unroll
        for (int lane = 1; lane < kVec; ++lane) {
          mine.merge({count, mean[lane], m2[lane]});
        }
      }
      const auto merged = merge_rows(mine, shared, map, place);
      if (place.active && place.row == 0) {
        const int64_t at = blockIdx.x * map.channels + channel + j;
        const int64_t all = map.parts * map.channels;
        args.partial[at] = merged.count;
        args.partial[at + all] = merged.mean;
        args.partial[at + 2 * all] = merged.m2;
      }
    }
  }
}

// Writes y; the first block of a column also writes the column's statistics.
template <typename scalar_t, int kVec, bool kAlong>
__global__ void __launch_bounds__(kThreadsPerBlock, 1)
    norm_apply_kernel(const __grid_constant__ ForwardArguments<scalar_t> args) {
  using acc_t = typename AccType<scalar_t>::type;
  constexpr int kChannels = kAlong ? kVec : 1; // of a thread
  __shared__ Moments<acc_t> shared[kThreadsPerBlock];
  const Mapping& map = args.map;
  for (int64_t block = blockIdx.y; block * map.cols < map.columns; block += gridDim.y) {
    const Place place(map, block);
    const int64_t channel = place.column * kChannels;
    acc_t bias_a[kChannels], bias_b[kChannels];
    acc_t mean[kChannels], scale[kChannels], shift[kChannels];
#pragma unroll
    for (int j = 0; j < kChannels; ++j) {
      acc_t var, unbiased;
      if (args.given_mean) {
        mean[j] = value_or(args.given_mean, channel + j, place.active, acc_t(0));
        var = unbiased = value_or(args.given_var, channel + j, place.active, acc_t(0));
      } else {
        // The threads of a column share its parts. Every block merges in the same order, so all
        // blocks of a channel get the same bits.
        Moments<acc_t> mine{};
        for (int64_t part = place.row; place.active && part < map.parts; part += map.rows) {
          const int64_t at = part * map.channels + channel + j;
          const int64_t all = map.parts * map.channels;
          mine.merge({args.partial[at], args.partial[at + all], args.partial[at + 2 * all]});
        }
        const auto merged = merge_rows(mine, shared, map, place);
        mean[j] = merged.mean;
        var = merged.m2 / static_cast<acc_t>(map.count);
        unbiased = merged.m2 / static_cast<acc_t>(map.count - 1);
      }
      const acc_t rstd = acc_t(1) / sqrt(var + args.eps);
      bias_a[j] = value_or(args.bias_a, channel + j, place.active, acc_t(0));
      bias_b[j] = value_or(args.bias_b, channel + j, place.active, acc_t(0));
      scale[j] = rstd * value_or(args.weight, channel + j, place.active, acc_t(1));
      shift[j] = value_or(args.bias, channel + j, place.active, acc_t(0));
      if (place.active && place.row == 0 && blockIdx.x == 0) {
        args.mean[channel + j] = mean[j];
        args.rstd[channel + j] = rstd;
        args.var[channel + j] = unbiased;
      }
    }
    if (!place.active) { // not before: merge_rows has barriers for the whole block
      continue;
    }
    for_each_vector(map, place, [&](int64_t vector) {
      const auto a = vector_at<scalar_t, kVec>(args.a, vector);
      const auto b = vector_at<scalar_t, kVec>(args.b, vector);
      Vector<scalar_t, kVec> y;
#pragma unroll
      for (int j = 0; j < kVec; ++j) {
        const int c = kAlong ? j : 0;
        const acc_t value = args.join(
            static_cast<acc_t>(a.values[j]) + bias_a[c],
            static_cast<acc_t>(b.values[j]) + bias_b[c]);
        y.values[j] = static_cast<scalar_t>((value - mean[c]) * scale[c] + shift[c]);
      }
      reinterpret_cast<Vector<scalar_t, kVec>*>(args.y)[vector] = y;
    });
  }
}

// The ChannelSums of each channel's part.
template <typename scalar_t, int kVec, bool kAlong>
__global__ void __launch_bounds__(kThreadsPerBlock, 1)
    norm_sums_kernel(const __grid_constant__ BackwardArguments<scalar_t> args) {
  using acc_t = typename AccType<scalar_t>::type;
  constexpr int kChannels = kAlong ? kVec : 1;
  __shared__ Pair<acc_t> shared[kThreadsPerBlock];
  const Mapping& map = args.map;
  for (int64_t block = blockIdx.y; block * map.cols < map.columns; block += gridDim.y) {
    const Place place(map, block);
    const int64_t channel = place.column * kChannels;
    acc_t bias_a[kChannels], bias_b[kChannels], mean[kChannels];
#pragma unroll
    for (int j = 0; j < kChannels; ++j) {
      bias_a[j] = value_or(args.bias_a, channel + j, place.active, acc_t(0));
      bias_b[j] = value_or(args.bias_b, channel + j, place.active, acc_t(0));
      mean[j] = value_or(args.mean, channel + j, place.active, acc_t(0));
    }
    acc_t sums[kChannels][kChannelSums] = {};
    if (place.active) {
      for_each_vector(map, place, [&](int64_t vector) {
        const auto grad = vector_at<scalar_t, kVec>(args.grad, vector);
        const auto a = vector_at<scalar_t, kVec>(args.a, vector);
        const auto b = vector_at<scalar_t, kVec>(args.b, vector);
#pragma unroll
        for (int j = 0; j < kVec; ++j) {
          const int c = kAlong ? j : 0;
          const auto g = static_cast<acc_t>(grad.values[j]);
          const auto in_a = args.join.branch(static_cast<acc_t>(a.values[j]) + bias_a[c]);
          const auto in_b = args.join.branch(static_cast<acc_t>(b.values[j]) + bias_b[c]);
          const acc_t d = in_a.value + in_b.value - mean[c];
          sums[c][kG] += g;
          sums[c][kGD] += g * d;
          sums[c][kPaG] += in_a.derivative * g;
          sums[c][kPbG] += in_b.derivative * g;
          sums[c][kPa] += in_a.derivative;
          sums[c][kPb] += in_b.derivative;
          sums[c][kPaD] += in_a.derivative * d;
          sums[c][kPbD] += in_b.derivative * d;
        }
      });
    }
#pragma unroll
    for (int j = 0; j < kChannels; ++j) {
      // Two sums at a time: half the barriers, and still little shared memory.
      static_assert(kChannelSums % 2 == 0);
#pragma unroll
      for (int k = 0; k < kChannelSums; k += 2) {
        const auto merged = merge_rows(Pair<acc_t>{sums[j][k], sums[j][k + 1]}, shared, map, place);
        if (place.active && place.row == 0) {
          const int64_t at = (k * map.parts + blockIdx.x) * map.channels + channel + j;
          args.partial[at] = merged.first;
          args.partial[at + map.parts * map.channels] = merged.second;
        }
      }
    }
  }
}

// Adds up sums k and k + 1 of a channel over all parts. All threads of a block must call it.
template <typename acc_t>
__device__ __forceinline__ Pair<acc_t> merge_parts(
    const acc_t* partial,
    int k,
    int64_t channel,
    Pair<acc_t>* shared,
    const Mapping& map,
    const Place& place) {
  Pair<acc_t> mine{};
  for (int64_t part = place.row; place.active && part < map.parts; part += map.rows) {
    const int64_t at = (k * map.parts + part) * map.channels + channel;
    mine.merge({partial[at], partial[at + map.parts * map.channels]});
  }
  return merge_rows(mine, shared, map, place);
}

// Writes grad_a and grad_b; the first block of a column also writes the [C] gradients.
template <typename scalar_t, int kVec, bool kAlong>
__global__ void __launch_bounds__(kThreadsPerBlock, 1)
    norm_grad_kernel(const __grid_constant__ BackwardArguments<scalar_t> args) {
  using acc_t = typename AccType<scalar_t>::type;
  constexpr int kChannels = kAlong ? kVec : 1;
  __shared__ Pair<acc_t> shared[kThreadsPerBlock];
  const Mapping& map = args.map;
  for (int64_t block = blockIdx.y; block * map.cols < map.columns; block += gridDim.y) {
    const Place place(map, block);
    const int64_t channel = place.column * kChannels;
    acc_t bias_a[kChannels], bias_b[kChannels], mean[kChannels];
    GradCoefficients<acc_t> coefficients[kChannels];
#pragma unroll
    for (int j = 0; j < kChannels; ++j) {
      const int64_t c = channel + j;
      bias_a[j] = value_or(args.bias_a, c, place.active, acc_t(0));
      bias_b[j] = value_or(args.bias_b, c, place.active, acc_t(0));
      mean[j] = value_or(args.mean, c, place.active, acc_t(0));
      const acc_t rstd = value_or(args.rstd, c, place.active, acc_t(0));
      const acc_t weight = value_or(args.weight, c, place.active, acc_t(1));
      // Every block needs sum(g) and sum(g * d) for grad_z.
      const auto g = merge_parts(args.partial, kG, c, shared, map, place);
      coefficients[j] = GradCoefficients<acc_t>::of(
          g.first, g.second, rstd, weight, static_cast<acc_t>(map.count), args.batch_statistics);
      // The other six sums are for the biases inside psi. The condition is the same for the whole
      // block, so that all its threads meet at the barriers of merge_parts.
      if (blockIdx.x == 0) {
        const auto pg = merge_parts(args.partial, kPaG, c, shared, map, place);
        const auto p = merge_parts(args.partial, kPa, c, shared, map, place);
        const auto pd = merge_parts(args.partial, kPaD, c, shared, map, place);
        if (place.active && place.row == 0) {
          args.grad_bias[c] = g.first;
          args.grad_weight[c] = g.second * rstd;
          args.grad_bias_a[c] = coefficients[j].grad_bias(pg.first, p.first, pd.first);
          args.grad_bias_b[c] = coefficients[j].grad_bias(pg.second, p.second, pd.second);
        }
      }
    }
    if (!place.active) { // not before: merge_parts has barriers for the whole block
      continue;
    }
    for_each_vector(map, place, [&](int64_t vector) {
      const auto grad = vector_at<scalar_t, kVec>(args.grad, vector);
      const auto a = vector_at<scalar_t, kVec>(args.a, vector);
      const auto b = vector_at<scalar_t, kVec>(args.b, vector);
      Vector<scalar_t, kVec> grad_a, grad_b;
#pragma unroll
      for (int j = 0; j < kVec; ++j) {
        const int c = kAlong ? j : 0;
        const auto in_a = args.join.branch(static_cast<acc_t>(a.values[j]) + bias_a[c]);
        const auto in_b = args.join.branch(static_cast<acc_t>(b.values[j]) + bias_b[c]);
        const acc_t d = in_a.value + in_b.value - mean[c];
        const acc_t grad_z = coefficients[c].grad_z(static_cast<acc_t>(grad.values[j]), d);
        grad_a.values[j] = static_cast<scalar_t>(grad_z * in_a.derivative);
        grad_b.values[j] = static_cast<scalar_t>(grad_z * in_b.derivative);
      }
      reinterpret_cast<Vector<scalar_t, kVec>*>(args.grad_a)[vector] = grad_a;
      reinterpret_cast<Vector<scalar_t, kVec>*>(args.grad_b)[vector] = grad_b;
    });
  }
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
    const Mapping map = make_mapping<kVec, kAlong>(call.shape, sizeof(scalar_t));
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

template <typename scalar_t>
void backward_typed(const NormBackward& call) {
  using acc_t = typename AccType<scalar_t>::type;
  const auto* grad = static_cast<const scalar_t*>(call.grad.const_data_ptr());
  const auto* a = static_cast<const scalar_t*>(call.a.const_data_ptr());
  const auto* b = static_cast<const scalar_t*>(call.b.const_data_ptr());
  auto* grad_a = data<scalar_t>(call.grad_a);
  auto* grad_b = data<scalar_t>(call.grad_b);
  with_vectors<scalar_t>(call.shape, {grad, a, b, grad_a, grad_b}, [&]<int kVec, bool kAlong>() {
    const Mapping map = make_mapping<kVec, kAlong>(call.shape, sizeof(scalar_t));
    const Tensor workspace = make_workspace(call.a, kChannelSums, map);
    const BackwardArguments<scalar_t> args{
        grad,
        a,
        b,
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
        norm_sums_kernel<scalar_t, kVec, kAlong>, args);
    launch(
        "rrelu_add_norm_backward", call.a.get_device_index(), map.parts, blocks,
        norm_grad_kernel<scalar_t, kVec, kAlong>, args);
  });
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

STABLE_TORCH_LIBRARY_IMPL(originet, ORIGINET_CUDA_KEY, m) {
  RReluNormOps<Cuda>::register_all(m);
}

} // namespace originet
