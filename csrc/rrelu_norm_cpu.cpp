// CPU backend of the normalised join: threaded, vectorised, two passes over memory.
//
// Both layouts are blocks of dense memory in which channels alternate: a plane of
// one channel (contiguous), or rows of all C channels (channels_last). Either is
// walked in rows of `width` lanes, a multiple of the number of channels, so that
// lane l belongs to channel l % channels; every lane keeps statistics of its own,
// which are merged seldom. So narrow channels_last tensors use whole vectors too.
#include <algorithm>
#include <memory>
#include <vector>

#include "rrelu_norm.h"
#include "rrelu_norm_loops.h"
#include "stored_types.h"

namespace originet {
namespace {

constexpr int64_t kGrain = 16384;   // elements per thread at least
constexpr int64_t kLanes = 64;      // about so many lanes a row
constexpr int64_t kFlush = 256;     // rows between two merges into double
constexpr int64_t kBlockRows = 256; // channels_last: pixels a block

// How a dense tensor is cut: `groups` of channels that are computed alone, each
// of `blocks` blocks.
struct Blocks {
  int64_t groups, channels, blocks; // channels: of one group
  int64_t block_elements, block_stride, group_stride, group_elements;

  explicit Blocks(const NormShape& shape) {
    if (shape.inner > 1) {
      groups = shape.channels, channels = 1, blocks = shape.outer;
      block_elements = group_stride = shape.inner;
      block_stride = shape.channels * shape.inner;
    } else {
      groups = 1, channels = shape.channels;
      block_elements = block_stride = kBlockRows * channels;
      blocks = (shape.outer + kBlockRows - 1) / kBlockRows;
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
    const int64_t fold = std::max<int64_t>(1, kLanes / channels);
    return std::min(fold * channels, block_elements);
  }
};

// What a thread needs for a group: one value a lane of each of kCount parameters,
// repeated from one a channel, and room that the passes may share.
template <typename acc_t, int kCount>
struct LaneParameters {
  int64_t width, channels;
  std::vector<acc_t> values;
  acc_t* scratch = nullptr; // an element for each of the group

  LaneParameters(int64_t width, int64_t channels)
      : width(width), channels(channels), values(kCount * width) {}

  const acc_t* operator[](int k) const {
    return values.data() + k * width;
  }
  // From source[first], or `otherwise` where there is none.
  void set(int k, const acc_t* source, int64_t first, acc_t otherwise = 0) {
    for (int64_t c = 0; c < channels; ++c) { // l % channels a lane would cost more than the kernel
      const acc_t value = source ? source[first + c] : otherwise;
      for (int64_t l = c; l < width; l += channels) {
        values[k * width + l] = value;
      }
    }
  }
};

// Moments of every lane; merged into a channel's in double.
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

// Calls body(begin, rows, width, tail) for the rows of a block and for what is
// left of it.
template <typename Body>
void for_rows(int64_t begin, int64_t elements, int64_t width, const Body& body) {
  int64_t rows = elements / width;
  for (; rows > 0; rows -= kFlush) {
    const int64_t some = std::min(rows, kFlush);
    body(begin, some, width, false);
    begin += some * width;
    elements -= some * width;
  }
  if (elements > 0) {
    body(begin, int64_t(1), elements, true);
  }
}

template <typename stored_t>
struct ForwardPass {
  using acc_t = Acc<stored_t>;
  using Total = Moments<double>;
  static constexpr bool kNeedsScratch = false;
  enum { kBiasA, kBiasB, kMean, kScale, kShift, kParameters };
  using Lanes = LaneParameters<acc_t, kParameters>;

  const NormForward& call;
  const Blocks blocks{call.shape};
  const stored_t* a = static_cast<const stored_t*>(call.a.const_data_ptr());
  const stored_t* b = static_cast<const stored_t*>(call.b.const_data_ptr());
  stored_t* y = static_cast<stored_t*>(call.y.mutable_data_ptr());
  acc_t* mean = static_cast<acc_t*>(call.mean.mutable_data_ptr());
  acc_t* rstd = static_cast<acc_t*>(call.rstd.mutable_data_ptr());
  acc_t* var = static_cast<acc_t*>(call.var.mutable_data_ptr());
  std::vector<acc_t> scale = std::vector<acc_t>(call.shape.channels);
  Join<acc_t> join{call.alpha};

  void first(int64_t group, int64_t begin, int64_t end, Lanes& lanes, Total* totals) const {
    if (call.given_mean) {
      return;
    }
    const int64_t channel = group * blocks.channels;
    lanes.set(kBiasA, pointer<acc_t>(call.bias_a), channel);
    lanes.set(kBiasB, pointer<acc_t>(call.bias_b), channel);
    LaneMoments<acc_t> whole(lanes.width, blocks.channels);
    LaneMoments<acc_t> rest(blocks.elements(begin) % lanes.width, blocks.channels);
    for (int64_t block = begin; block < end; ++block) {
      if (blocks.elements(block) % lanes.width != rest.width) { // the last one
        rest.flush(totals);
        rest = {blocks.elements(block) % lanes.width, blocks.channels};
      }
      for_rows(
          blocks.offset(group, block), blocks.elements(block), lanes.width,
          [&](int64_t at, int64_t rows, int64_t width, bool tail) {
            auto& state = tail ? rest : whole;
            if (state.rows + rows > kFlush) {
              state.flush(totals);
            }
            moments_rows(
                a + at, b + at, y + at, lanes[kBiasA], lanes[kBiasB], state.mean.data(),
                state.m2.data(), join, rows, width, state.rows);
            state.rows += rows;
          });
    }
    whole.flush(totals);
    rest.flush(totals);
  }

  void finish_first(int64_t group, const Total* totals) {
    const int64_t channel = group * blocks.channels;
    for (int64_t c = 0; c < blocks.channels; ++c) {
      if (call.given_mean) {
        mean[channel + c] = pointer<acc_t>(call.given_mean)[channel + c];
        var[channel + c] = pointer<acc_t>(call.given_var)[channel + c];
        rstd[channel + c] = acc_t(1) / std::sqrt(var[channel + c] + static_cast<acc_t>(call.eps));
      } else {
        const auto& total = totals[c];
        mean[channel + c] = static_cast<acc_t>(total.mean);
        var[channel + c] = static_cast<acc_t>(total.m2 / (total.count - 1));
        rstd[channel + c] = static_cast<acc_t>(1 / std::sqrt(total.m2 / total.count + call.eps));
      }
      const acc_t* weight = pointer<acc_t>(call.weight);
      scale[channel + c] = rstd[channel + c] * (weight ? weight[channel + c] : acc_t(1));
    }
  }

  void second(int64_t group, int64_t begin, int64_t end, Lanes& lanes, Total*) const {
    const int64_t channel = group * blocks.channels;
    lanes.set(kBiasA, pointer<acc_t>(call.bias_a), channel);
    lanes.set(kBiasB, pointer<acc_t>(call.bias_b), channel);
    lanes.set(kMean, mean, channel);
    lanes.set(kScale, scale.data(), channel);
    lanes.set(kShift, pointer<acc_t>(call.bias), channel);
    const bool sum_in_y = !call.given_mean && kKeeps<stored_t>;
    for (int64_t block = begin; block < end; ++block) {
      for_rows(
          blocks.offset(group, block), blocks.elements(block), lanes.width,
          [&](int64_t at, int64_t rows, int64_t width, bool) {
            if (sum_in_y) {
              scale_rows(y + at, lanes[kMean], lanes[kScale], lanes[kShift], rows, width);
            } else {
              join_rows(
                  a + at, b + at, y + at, lanes[kBiasA], lanes[kBiasB], lanes[kMean], lanes[kScale],
                  lanes[kShift], join, rows, width);
            }
          });
    }
  }

  void finish_second(int64_t, const Total*) const {}
};

// Sums over a channel: g and g * d of the first pass, the gradients of a and b of
// the second.
struct SumTotals {
  enum { kG, kGD, kGradA, kGradB, kSums };
  double values[kSums];

  void merge(const SumTotals& other) {
    for (int k = 0; k < kSums; ++k) {
      values[k] += other.values[k];
    }
  }
};

// Two sums of every lane, added to a channel's totals in double.
template <typename acc_t>
struct LaneSums {
  int64_t width, channels, rows = 0;
  std::vector<acc_t> first, second;

  LaneSums(int64_t width, int64_t channels)
      : width(width), channels(channels), first(width), second(width) {}

  // Makes room for some more rows.
  void add_rows(int64_t more, SumTotals* totals, int k) {
    if (rows + more > kFlush) {
      flush(totals, k);
    }
    rows += more;
  }
  // Into values[k] and values[k + 1].
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

template <typename stored_t>
struct BackwardPass {
  using acc_t = Acc<stored_t>;
  using Total = SumTotals;
  static constexpr bool kNeedsScratch = kKeeps<stored_t>;
  enum { kBiasA, kBiasB, kMean, kScale, kOffset, kSlope, kParameters };
  using Lanes = LaneParameters<acc_t, kParameters>;

  const NormBackward& call;
  const Blocks blocks{call.shape};
  const stored_t* grad = static_cast<const stored_t*>(call.grad.const_data_ptr());
  const stored_t* a = static_cast<const stored_t*>(call.a.const_data_ptr());
  const stored_t* b = static_cast<const stored_t*>(call.b.const_data_ptr());
  stored_t* grad_a = static_cast<stored_t*>(call.grad_a.mutable_data_ptr());
  stored_t* grad_b = static_cast<stored_t*>(call.grad_b.mutable_data_ptr());
  const acc_t* mean = static_cast<const acc_t*>(call.mean.const_data_ptr());
  const acc_t* rstd = static_cast<const acc_t*>(call.rstd.const_data_ptr());
  std::vector<acc_t> scale = std::vector<acc_t>(call.shape.channels);
  std::vector<acc_t> offset = scale, slope = scale;
  Join<acc_t> join{call.alpha};

  // Where the deviation from the mean of element `at` is kept between the passes.
  acc_t* deviations(const Lanes& lanes, int64_t group, int64_t block, int64_t at) const {
    const int64_t packed = block * blocks.block_elements + at - blocks.offset(group, block);
    return kNeedsScratch ? lanes.scratch + packed : nullptr;
  }

  void set_common(int64_t channel, Lanes& lanes) const {
    lanes.set(kBiasA, pointer<acc_t>(call.bias_a), channel);
    lanes.set(kBiasB, pointer<acc_t>(call.bias_b), channel);
    lanes.set(kMean, mean, channel);
  }

  void first(int64_t group, int64_t begin, int64_t end, Lanes& lanes, Total* totals) const {
    set_common(group * blocks.channels, lanes);
    LaneSums<acc_t> sums(lanes.width, blocks.channels);
    for (int64_t block = begin; block < end; ++block) {
      for_rows(
          blocks.offset(group, block), blocks.elements(block), lanes.width,
          [&](int64_t at, int64_t rows, int64_t width, bool) {
            sums.add_rows(rows, totals, Total::kG);
            sums_rows(
                grad + at, a + at, b + at, grad_a + at, grad_b + at,
                deviations(lanes, group, block, at), lanes[kBiasA], lanes[kBiasB], lanes[kMean],
                sums.first.data(), sums.second.data(), join, rows, width);
          });
    }
    sums.flush(totals, Total::kG);
  }

  void finish_first(int64_t group, const Total* totals) {
    const acc_t* weight = pointer<acc_t>(call.weight);
    for (int64_t c = 0; c < blocks.channels; ++c) {
      const int64_t at = group * blocks.channels + c;
      const double* sum = totals[c].values;
      const auto coefficients = GradCoefficients<double>::of(
          sum[Total::kG], sum[Total::kGD], rstd[at], weight ? weight[at] : 1,
          static_cast<double>(call.shape.count()), call.batch_statistics);
      scale[at] = static_cast<acc_t>(coefficients.scale);
      offset[at] = static_cast<acc_t>(coefficients.offset);
      slope[at] = static_cast<acc_t>(coefficients.slope);
      store(call.grad_weight, at, sum[Total::kGD] * rstd[at]);
      store(call.grad_bias, at, sum[Total::kG]);
    }
  }

  void second(int64_t group, int64_t begin, int64_t end, Lanes& lanes, Total* totals) const {
    const int64_t channel = group * blocks.channels;
    set_common(channel, lanes);
    lanes.set(kScale, scale.data(), channel);
    lanes.set(kOffset, offset.data(), channel);
    lanes.set(kSlope, slope.data(), channel);
    LaneSums<acc_t> sums(lanes.width, blocks.channels);
    for (int64_t block = begin; block < end; ++block) {
      for_rows(
          blocks.offset(group, block), blocks.elements(block), lanes.width,
          [&](int64_t at, int64_t rows, int64_t width, bool) {
            sums.add_rows(rows, totals, Total::kGradA);
            if constexpr (kKeeps<stored_t>) {
              grad_from_kept_rows(
                  grad + at, deviations(lanes, group, block, at), grad_a + at, grad_b + at,
                  lanes[kScale], lanes[kOffset], lanes[kSlope], sums.first.data(),
                  sums.second.data(), rows, width);
            } else {
              grad_rows(
                  grad + at, a + at, b + at, grad_a + at, grad_b + at, lanes[kBiasA], lanes[kBiasB],
                  lanes[kMean], lanes[kScale], lanes[kOffset], lanes[kSlope], sums.first.data(),
                  sums.second.data(), join, rows, width);
            }
          });
    }
    sums.flush(totals, Total::kGradA);
  }

  void finish_second(int64_t group, const Total* totals) const {
    for (int64_t c = 0; c < blocks.channels; ++c) {
      const int64_t at = group * blocks.channels + c;
      store(call.grad_bias_a, at, totals[c].values[Total::kGradA]);
      store(call.grad_bias_b, at, totals[c].values[Total::kGradB]);
    }
  }

  static void store(const Tensor& x, int64_t at, double value) {
    static_cast<acc_t*>(x.mutable_data_ptr())[at] = static_cast<acc_t>(value);
  }
};

// Enough groups for the threads: each is finished while it is still in the cache.
// Else every group is cut into parts, whose totals are merged in their order, so
// results depend on the number of threads alone.
template <typename Pass>
void run(Pass pass) {
  using Total = typename Pass::Total;
  using Lanes = typename Pass::Lanes;
  using acc_t = typename Pass::acc_t;
  const Blocks& blocks = pass.blocks;
  const int64_t elements = blocks.groups * blocks.group_elements;
  const int64_t threads =
      std::min<int64_t>(torch::stable::get_num_threads(), elements / kGrain + 1);
  const int64_t parts = std::min(blocks.blocks, (threads + blocks.groups - 1) / blocks.groups);
  std::vector<Total> totals(blocks.groups * parts * blocks.channels);
  const auto total = [&](int64_t group, int64_t part) {
    return totals.data() + (group * parts + part) * blocks.channels;
  };
  const auto room = [](int64_t size) {
    return std::make_unique_for_overwrite<acc_t[]>(Pass::kNeedsScratch ? size : 0);
  };
  if (parts == 1) {
    const int64_t grain = kGrain / blocks.group_elements + 1;
    torch::stable::parallel_for(0, blocks.groups, grain, [&](int64_t begin, int64_t end) {
      Lanes lanes(blocks.width(), blocks.channels);
      const auto scratch = room(blocks.group_elements);
      lanes.scratch = scratch.get();
      for (int64_t group = begin; group < end; ++group) {
        pass.first(group, 0, blocks.blocks, lanes, total(group, 0));
        pass.finish_first(group, total(group, 0));
        pass.second(group, 0, blocks.blocks, lanes, total(group, 0));
        pass.finish_second(group, total(group, 0));
      }
    });
    return;
  }
  const auto scratch = room(elements);
  const auto for_parts = [&](const auto& body) {
    torch::stable::parallel_for(0, blocks.groups * parts, 1, [&](int64_t begin, int64_t end) {
      Lanes lanes(blocks.width(), blocks.channels);
      for (int64_t unit = begin; unit < end; ++unit) {
        const int64_t part = unit % parts;
        lanes.scratch = scratch.get() + unit / parts * blocks.group_elements;
        body(
            unit / parts, part, part * blocks.blocks / parts, (part + 1) * blocks.blocks / parts,
            lanes);
      }
    });
  };
  // Into the totals of part 0.
  const auto merge_parts = [&](int64_t group) {
    for (int64_t part = 1; part < parts; ++part) {
      for (int64_t c = 0; c < blocks.channels; ++c) {
        total(group, 0)[c].merge(total(group, part)[c]);
        total(group, part)[c] = {};
      }
    }
    return total(group, 0);
  };
  for_parts([&](int64_t group, int64_t part, int64_t begin, int64_t end, Lanes& lanes) {
    pass.first(group, begin, end, lanes, total(group, part));
  });
  for (int64_t group = 0; group < blocks.groups; ++group) {
    pass.finish_first(group, merge_parts(group));
  }
  for_parts([&](int64_t group, int64_t part, int64_t begin, int64_t end, Lanes& lanes) {
    pass.second(group, begin, end, lanes, total(group, part));
  });
  for (int64_t group = 0; group < blocks.groups; ++group) {
    pass.finish_second(group, merge_parts(group));
  }
}

struct Cpu {
  static void forward(const NormForward& call) {
    ORIGINET_DISPATCH_FLOATING(call.a.scalar_type(), "rrelu_add_norm_forward", [&] {
      run(ForwardPass<typename Stored<scalar_t>::type>{call});
    });
  }
  static void backward(const NormBackward& call) {
    ORIGINET_DISPATCH_FLOATING(call.a.scalar_type(), "rrelu_add_norm_backward", [&] {
      run(BackwardPass<typename Stored<scalar_t>::type>{call});
    });
  }
};

} // namespace

STABLE_TORCH_LIBRARY_IMPL(originet, CPU, m) {
  RReluNormOps<Cpu>::register_all(m);
}

} // namespace originet
