// CPU backend of the normalised join: threaded, vectorised, in two passes over memory. The loops
// of the passes are in rrelu_norm_loops.h, their state in rrelu_norm_lanes.h.
//
// ForwardPass and BackwardPass have the same four steps, which run_passes() calls:
//
//     first(group, blocks)     adds the blocks of a group of channels to its totals
//     finish_first(group)      turns the totals into one factor or more a channel
//     second(group, blocks)    writes the results of the blocks
//     finish_second(group)     writes what the second pass summed, one value a channel
#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "rrelu_norm.h"
#include "rrelu_norm_lanes.h"
#include "rrelu_norm_loops.h"
#include "stored_types.h"

namespace originet {
namespace {

// The least number of elements that a thread should get; with fewer, a second thread costs more
// than it saves.
constexpr int64_t kNormGrain = 16384;

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
  std::vector<acc_t> scale = std::vector<acc_t>(call.shape.channels); // weight * rstd
  Join<acc_t> join{call.alpha};

  void first(int64_t group, int64_t begin, int64_t end, Lanes& lanes, Total* totals) const {
    if (call.given_mean) { // nothing to sum
      return;
    }
    const int64_t channel = group * blocks.channels;
    lanes.set(kBiasA, pointer_or_null<acc_t>(call.bias_a), channel);
    lanes.set(kBiasB, pointer_or_null<acc_t>(call.bias_b), channel);
    // A block ends with a row that may be narrower than the others. Its lanes see fewer rows, and
    // all lanes of a LaneMoments share one count of rows, so these have a state of their own.
    LaneMoments<acc_t> whole(lanes.width, blocks.channels);
    LaneMoments<acc_t> rest(blocks.elements(begin) % lanes.width, blocks.channels);
    for (int64_t block = begin; block < end; ++block) {
      if (blocks.elements(block) % lanes.width != rest.width) { // the last block
        rest.flush(totals);
        rest = {blocks.elements(block) % lanes.width, blocks.channels};
      }
      for_rows(
          blocks.offset(group, block), blocks.elements(block), lanes.width,
          [&](int64_t at, int64_t rows, int64_t width, bool tail) {
            auto& state = tail ? rest : whole;
            if (state.rows + rows > kRowsPerFlush) {
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
        mean[channel + c] = pointer_or_null<acc_t>(call.given_mean)[channel + c];
        var[channel + c] = pointer_or_null<acc_t>(call.given_var)[channel + c];
        rstd[channel + c] = acc_t(1) / std::sqrt(var[channel + c] + static_cast<acc_t>(call.eps));
      } else {
        // As torch.nn.BatchNorm2d: the unbiased variance is reported for the running statistics,
        // the biased one normalises.
        const auto& total = totals[c];
        mean[channel + c] = static_cast<acc_t>(total.mean);
        var[channel + c] = static_cast<acc_t>(total.m2 / (total.count - 1));
        rstd[channel + c] = static_cast<acc_t>(1 / std::sqrt(total.m2 / total.count + call.eps));
      }
      const acc_t* weight = pointer_or_null<acc_t>(call.weight);
      scale[channel + c] = rstd[channel + c] * (weight ? weight[channel + c] : acc_t(1));
    }
  }

  void second(int64_t group, int64_t begin, int64_t end, Lanes& lanes, Total*) const {
    const int64_t channel = group * blocks.channels;
    lanes.set(kBiasA, pointer_or_null<acc_t>(call.bias_a), channel);
    lanes.set(kBiasB, pointer_or_null<acc_t>(call.bias_b), channel);
    lanes.set(kMean, mean, channel);
    lanes.set(kScale, scale.data(), channel);
    lanes.set(kShift, pointer_or_null<acc_t>(call.bias), channel);
    // The first pass left psi(a) + psi(b) in y, unless there was none or y has only 16 bits.
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

// Where results are as wide as sums, the first pass leaves psi'(a) and psi'(b) in grad_a and
// grad_b, and the deviations in scratch memory: the second pass then needs no exponentials. A
// thread that works on part of a group has no scratch and computes them again.
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
  // GradCoefficients, [C] each
  std::vector<acc_t> scale = std::vector<acc_t>(call.shape.channels);
  std::vector<acc_t> offset = scale, slope = scale;
  Join<acc_t> join{call.alpha};

  // Where the first pass keeps the deviation of element `at` from the mean.
  acc_t* kept(const Lanes& lanes, int64_t group, int64_t block, int64_t at) const {
    return lanes.scratch + block * blocks.block_elements + at - blocks.offset(group, block);
  }

  void set_common(int64_t channel, Lanes& lanes) const {
    lanes.set(kBiasA, pointer_or_null<acc_t>(call.bias_a), channel);
    lanes.set(kBiasB, pointer_or_null<acc_t>(call.bias_b), channel);
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
            if constexpr (kKeeps<stored_t>) {
              if (lanes.scratch) {
                return sums_and_keep_rows(
                    grad + at, a + at, b + at, grad_a + at, grad_b + at,
                    kept(lanes, group, block, at), lanes[kBiasA], lanes[kBiasB], lanes[kMean],
                    sums.first.data(), sums.second.data(), join, rows, width);
              }
            }
            sums_rows(
                grad + at, a + at, b + at, lanes[kBiasA], lanes[kBiasB], lanes[kMean],
                sums.first.data(), sums.second.data(), join, rows, width);
          });
    }
    sums.flush(totals, Total::kG);
  }

  void finish_first(int64_t group, const Total* totals) {
    const acc_t* weight = pointer_or_null<acc_t>(call.weight);
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
              if (lanes.scratch) {
                return grad_from_kept_rows(
                    grad + at, kept(lanes, group, block, at), grad_a + at, grad_b + at,
                    lanes[kScale], lanes[kOffset], lanes[kSlope], sums.first.data(),
                    sums.second.data(), rows, width);
              }
            }
            grad_rows(
                grad + at, a + at, b + at, grad_a + at, grad_b + at, lanes[kBiasA], lanes[kBiasB],
                lanes[kMean], lanes[kScale], lanes[kOffset], lanes[kSlope], sums.first.data(),
                sums.second.data(), join, rows, width);
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

// Where there are enough groups for the threads, a thread finishes both passes of a group while
// the group is still in the cache. Otherwise every group is cut into parts for several threads.
// The totals of the parts are merged in order, so that results depend only on the number of
// threads, not on which of them is first.
template <typename Pass>
void run_passes(Pass pass) {
  using Total = typename Pass::Total;
  using Lanes = typename Pass::Lanes;
  using acc_t = typename Pass::acc_t;
  const Blocks& blocks = pass.blocks;
  const int64_t elements = blocks.groups * blocks.group_elements;
  const int64_t threads =
      std::min<int64_t>(torch::stable::get_num_threads(), elements / kNormGrain + 1);
  const int64_t parts = std::min(blocks.blocks, (threads + blocks.groups - 1) / blocks.groups);
  std::vector<Total> totals(blocks.groups * parts * blocks.channels); // [group][part][channel]
  const auto total = [&](int64_t group, int64_t part) {
    return totals.data() + (group * parts + part) * blocks.channels;
  };
  if (parts == 1) {
    const int64_t grain = kNormGrain / blocks.group_elements + 1;
    torch::stable::parallel_for(0, blocks.groups, grain, [&](int64_t begin, int64_t end) {
      Lanes lanes(blocks.width(), blocks.channels);
      std::unique_ptr<acc_t[]> scratch;
      if (Pass::kNeedsScratch) { // one group's worth, which stays in the cache
        scratch = std::make_unique_for_overwrite<acc_t[]>(blocks.group_elements);
        lanes.scratch = scratch.get();
      }
      for (int64_t group = begin; group < end; ++group) {
        pass.first(group, 0, blocks.blocks, lanes, total(group, 0));
        pass.finish_first(group, total(group, 0));
        pass.second(group, 0, blocks.blocks, lanes, total(group, 0));
        pass.finish_second(group, total(group, 0));
      }
    });
    return;
  }
  // Calls body(group, part, first block, end, lanes) for all parts on torch's threads.
  const auto for_parts = [&](const auto& body) {
    torch::stable::parallel_for(0, blocks.groups * parts, 1, [&](int64_t begin, int64_t end) {
      Lanes lanes(blocks.width(), blocks.channels);
      for (int64_t unit = begin; unit < end; ++unit) {
        const int64_t part = unit % parts;
        body(
            unit / parts, part, part * blocks.blocks / parts, (part + 1) * blocks.blocks / parts,
            lanes);
      }
    });
  };
  // Merges into the totals of part 0, and clears the others for the second pass.
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
  // Few numbers, so one thread is enough.
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
      run_passes(ForwardPass<typename Stored<scalar_t>::type>{call});
    });
  }
  static void backward(const NormBackward& call) {
    ORIGINET_DISPATCH_FLOATING(call.a.scalar_type(), "rrelu_add_norm_backward", [&] {
      run_passes(BackwardPass<typename Stored<scalar_t>::type>{call});
    });
  }
};

} // namespace

ORIGINET_KERNELS(CPU, m) {
  RReluNormOps<Cpu>::register_all(m);
}

} // namespace originet
