// Autograd kernels of the temporal pools. Frames seldom need a gradient, so derivatives are made of
// torch's own ops.
#include <string>
#include <string_view>

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <c10/util/safe_numerics.h>

#include "../frame_pool_math.h"
#include "../frame_shape.h"
#include "node.h"

namespace originet::autograd {
namespace {

using at::TensorList;

using TemporalSignature = Tensor(
    TensorList frames,
    const Tensor& clips,
    const Tensor& index,
    const Tensor& weights,
    c10::SymInt total,
    std::string_view normalize);
using MotionSignature = Tensor(
    TensorList frames,
    const Tensor& clips,
    c10::SymInt total,
    bool rectify,
    std::string_view normalize);
using SlidingSignature = Tensor(
    const Tensor& frames,
    int64_t window,
    int64_t stride,
    std::string_view method,
    std::string_view normalize);

const auto& temporal_op() {
  static const auto op = find_op<TemporalSignature>("originet::temporal_pool");
  return op;
}
const auto& motion_op() {
  static const auto op = find_op<MotionSignature>("originet::motion_pool");
  return op;
}

// The same as reference.normalize_images of the Python package.
Tensor normalized(const Tensor& images, std::string_view normalize) {
  if (normalize == "none") {
    return images;
  }
  if (normalize == "clip") {
    return images.clamp(0, kMaxPixel);
  }
  TORCH_CHECK(
      normalize == "minmax", "normalize must be none, clip or minmax, got ",
      std::string(normalize));
  const Tensor flat = images.flatten(1);
  const Tensor low = flat.amin({1}, /*keepdim=*/true);
  const Tensor span = flat.amax({1}, /*keepdim=*/true) - low;
  const Tensor scaled = (flat - low) / at::where(span > 0, span, at::ones_like(span)) * kMaxPixel;
  return scaled.reshape_symint(images.sym_sizes());
}

// [N, ...] as [N, P]. Not flatten(1), which gradcheck's batching does not support.
Tensor rows(const Tensor& x) {
  c10::SymInt pixels = 1;
  for (int64_t d = 1; d < x.dim(); ++d) {
    pixels = pixels * x.sym_size(d);
  }
  return x.reshape_symint({x.sym_size(0), pixels});
}

// For B ranges of numbers: all the numbers [total], and the range to which each belongs.
std::pair<Tensor, Tensor> spread(
    const Tensor& starts, const Tensor& counts, const c10::SymInt& total) {
  const Tensor before = counts.cumsum(0) - counts;
  // A mark where a range begins.
  const Tensor marks = at::zeros_symint({total + 1}, counts.options());
  const Tensor ranges =
      marks.index_add(0, before, at::ones_like(before)).cumsum(0).narrow_symint(0, 0, total).sub(1);
  const Tensor numbers = at::arange(at::Scalar(total), counts.options());
  return {numbers + (starts - before).index_select(0, ranges), ranges};
}

Tensor joined(TensorList frames) {
  return frames.size() == 1 ? frames[0] : at::cat(frames);
}

std::vector<Tensor> unpacked(const std::vector<SavedVariable>& saved) {
  std::vector<Tensor> tensors;
  for (const SavedVariable& x : saved) {
    tensors.push_back(x.unpack());
  }
  return tensors;
}

std::vector<SavedVariable> saved(TensorList tensors) {
  std::vector<SavedVariable> result;
  for (const Tensor& x : tensors) {
    result.emplace_back(x, false);
  }
  return result;
}

// Splits the gradient of all frames, concatenated as [T, P], into one for each tensor.
void put_gradients(
    const Tensor& gradient, const std::vector<Tensor>& frames, variable_list& results) {
  c10::SymInt begin = 0;
  for (size_t k = 0; k < frames.size(); ++k) {
    const Tensor part = gradient.narrow_symint(0, begin, frames[k].sym_size(0));
    results[k] = part.reshape_symint(frames[k].sym_sizes()).to(frames[k].scalar_type());
    begin = begin + frames[k].sym_size(0);
  }
}

std::vector<Tensor> primals(TensorList tensors) {
  std::vector<Tensor> result;
  for (const Tensor& x : tensors) {
    result.push_back(primal(x));
  }
  return result;
}

// The tangents of all tensors, zeros for those that have none.
std::vector<Tensor> tangents(TensorList tensors) {
  std::vector<Tensor> result;
  for (const Tensor& x : tensors) {
    result.push_back(isFwGradDefined(x) ? tangent(x) : at::zeros_like(x));
  }
  return result;
}

struct TemporalPoolNode : SavingNode<TemporalPoolNode> {
  static constexpr char kName[] = "TemporalPoolBackward";
  std::vector<SavedVariable> frames;
  SavedVariable clips, index, weights;
  c10::SymInt total;

  variable_list gradients(const variable_list& grads) {
    const std::vector<Tensor> sources = unpacked(frames);
    variable_list results(sources.size() + 1);
    const Tensor& grad = grads[0];
    if (!grad.defined()) {
      return results;
    }
    const Tensor spans = clips.unpack(); // [B, 3]; clips may share terms
    const Tensor begin = spans.select(1, 1);
    auto [terms, clip_of] = spread(begin, spans.select(1, 2) - begin, total);
    const Tensor frame_of =
        (index.unpack().index_select(0, terms) + spans.select(1, 0).index_select(0, clip_of))
            .to(grad.device());
    const Tensor factors = weights.unpack();
    terms = terms.to(factors.device());
    const Tensor upstream = rows(grad).index_select(0, clip_of.to(grad.device())); // [K, P]
    const bool of_frames = wants_any(sources.size());
    if (of_frames) {
      const Tensor column = factors.index_select(0, terms).to(grad.options()).unsqueeze(1);
      c10::SymInt length = 0;
      for (const Tensor& source : sources) {
        length = length + source.sym_size(0);
      }
      const Tensor zeros = at::zeros_symint({length, upstream.sym_size(1)}, grad.options());
      put_gradients(zeros.index_add(0, frame_of, column * upstream), sources, results);
    }
    if (wants(sources.size())) {
      const Tensor pixels = rows(joined(sources)).index_select(0, frame_of).to(grad.scalar_type());
      const Tensor zeros = at::zeros_symint({factors.sym_size(0)}, grad.options());
      results.back() =
          zeros.index_add(0, terms, (pixels * upstream).sum(1)).to(factors.scalar_type());
    }
    return results;
  }
  template <typename F>
  void visit(const F& f) {
    f(frames);
    f(clips);
    f(index);
    f(weights);
    f(total);
  }
};

Tensor temporal_pool(
    DispatchKeySet keys,
    TensorList frames,
    const Tensor& clips,
    const Tensor& index,
    const Tensor& weights,
    c10::SymInt total,
    std::string_view normalize) {
  const bool reverse = compute_requires_grad(frames, weights);
  const bool forward = isFwGradDefinedTensorList(frames) || isFwGradDefined(weights);
  if ((reverse || forward) && normalize != "none") {
    return normalized(temporal_op().call(frames, clips, index, weights, total, "none"), normalize);
  }
  NodePtr node;
  if (reverse) {
    auto [made, pool] = make_node<TemporalPoolNode>(frames, weights);
    pool->frames = saved(frames);
    pool->clips = SavedVariable(clips, false);
    pool->index = SavedVariable(index, false);
    pool->weights = SavedVariable(weights, false);
    pool->total = total;
    node = std::move(made);
  }
  Tensor images = call_below(temporal_op(), keys, frames, clips, index, weights, total, normalize);
  if (node) {
    set_history(images, node);
  }
  if (forward) {
    Tensor through_frames, through_weights;
    if (isFwGradDefinedTensorList(frames)) {
      through_frames =
          temporal_op().call(tangents(frames), clips, index, primal(weights), total, normalize);
    }
    if (isFwGradDefined(weights)) {
      through_weights =
          temporal_op().call(primals(frames), clips, index, tangent(weights), total, normalize);
    }
    set_tangent(images, sum(through_frames, through_weights));
  }
  return images;
}

// All steps of all clips under a motion pool of |FT| or max(FT, 0). As with abs and relu, the
// derivative at FT = 0 is 0.
struct Steps {
  Tensor later;   // the later frame [K]
  Tensor clip_of; // [K]
  Tensor slopes;  // d(image) / d(FT) [K, P]

  Steps(const Tensor& frames, const Tensor& clips, const c10::SymInt& total, bool rectify) {
    const Tensor first = clips.select(1, 0), length = clips.select(1, 1);
    std::tie(later, clip_of) = spread(first + 1, length - 1, total - clips.sym_size(0));
    // Every difference counts twice except the last of a clip, which counts once.
    const Tensor last = later == (first + length - 1).index_select(0, clip_of);
    const bool wide = frames.scalar_type() == at::kDouble;
    const Tensor flat = rows(frames.detach()).to(wide ? at::kDouble : at::kFloat);
    const Tensor count = (2 - last.to(flat.scalar_type())).to(flat.device()).unsqueeze(1);
    later = later.to(flat.device());
    clip_of = clip_of.to(flat.device());
    const Tensor change = flat.index_select(0, later) - flat.index_select(0, later - 1);
    slopes = count * (rectify ? (change > 0).to(flat.scalar_type()) : change.sign());
  }
};

struct MotionPoolNode : SavingNode<MotionPoolNode> {
  static constexpr char kName[] = "MotionPoolBackward";
  std::vector<SavedVariable> frames;
  SavedVariable clips;
  c10::SymInt total;
  bool rectify = false;

  variable_list gradients(const variable_list& grads) {
    const std::vector<Tensor> sources = unpacked(frames);
    variable_list results(sources.size());
    if (!grads[0].defined()) {
      return results;
    }
    const Tensor all = joined(sources);
    const Steps steps(all, clips.unpack(), total, rectify);
    const Tensor change = steps.slopes * rows(grads[0]).index_select(0, steps.clip_of);
    const Tensor zeros = at::zeros_symint({all.sym_size(0), change.sym_size(1)}, change.options());
    put_gradients(
        zeros.index_add(0, steps.later, change).index_add(0, steps.later - 1, -change), sources,
        results);
    return results;
  }
  template <typename F>
  void visit(const F& f) {
    f(frames);
    f(clips);
    f(total);
    f(rectify);
  }
};

Tensor motion_pool(
    DispatchKeySet keys,
    TensorList frames,
    const Tensor& clips,
    c10::SymInt total,
    bool rectify,
    std::string_view normalize) {
  const bool reverse = compute_requires_grad(frames);
  const bool forward = isFwGradDefinedTensorList(frames);
  if ((reverse || forward) && normalize != "none") {
    return normalized(motion_op().call(frames, clips, total, rectify, "none"), normalize);
  }
  NodePtr node;
  if (reverse) {
    auto [made, pool] = make_node<MotionPoolNode>(frames);
    pool->frames = saved(frames);
    pool->clips = SavedVariable(clips, false);
    pool->total = total;
    pool->rectify = rectify;
    node = std::move(made);
  }
  Tensor images = call_below(motion_op(), keys, frames, clips, total, rectify, normalize);
  if (node) {
    set_history(images, node);
  }
  if (forward) {
    const Steps steps(joined(primals(frames)), clips, total, rectify);
    const Tensor moved = rows(joined(tangents(frames))).to(steps.slopes.scalar_type());
    const Tensor change =
        moved.index_select(0, steps.later) - moved.index_select(0, steps.later - 1);
    const Tensor zeros =
        at::zeros_symint({clips.sym_size(0), change.sym_size(1)}, change.options());
    const Tensor total = zeros.index_add(0, steps.clip_of, steps.slopes * change);
    set_tangent(images, total.reshape_symint(images.sym_sizes()));
  }
  return images;
}

// The weights of a window's frames under a linear method of sliding_pool.
Tensor window_weights(std::string_view method, int64_t window, const at::TensorOptions& options) {
  const Tensor m = at::arange(window, options);
  if (window == 1) {
    return m; // 0
  }
  if (method == "rank-simple") {
    return 2 * m - (window - 1);
  }
  if (method == "authors") {
    return (m - 1).clamp_min(0) - (window - 2 - m).clamp_min(0);
  }
  TORCH_CHECK(
      method == "cumulative",
      "sliding_pool: method must be cumulative, authors, rank-simple, "
      "absolute or rectified, got ",
      std::string(method));
  return 2 - (m == window - 1).to(at::kLong) - (m == 0).to(at::kLong) * (2 * window - 1);
}

// If a derivative may be needed, every window is summed as a clip of its own.
Tensor sliding_pool(
    DispatchKeySet keys,
    const Tensor& frames,
    int64_t window,
    int64_t stride,
    std::string_view method,
    std::string_view normalize) {
  if (!compute_requires_grad(frames) && !isFwGradDefined(frames)) {
    static const auto op = find_op<SlidingSignature>("originet::sliding_pool");
    return call_below(op, keys, frames, window, stride, method, normalize);
  }
  TORCH_CHECK(
      frames.dim() >= 2, "sliding_pool: frames must be [T, ...] with 2 dimensions or more, got ",
      frames.sym_sizes());
  TORCH_CHECK(window >= 1, "sliding_pool: window must be 1 or more, got ", window);
  TORCH_CHECK(stride >= 1, "sliding_pool: stride must be 1 or more, got ", stride);
  TORCH_CHECK(
      window <= kMostFrames && frames.sym_size(0) >= window,
      "sliding_pool: window must be at most ", frames.sym_size(0).min(kMostFrames), " frames, got ",
      window);
  const auto on_host = at::TensorOptions().dtype(at::kLong).device(at::kCPU);
  const c10::SymInt windows = (frames.sym_size(0) - window) / stride + 1;
  int64_t total = 0;
  TORCH_CHECK(
      windows.is_symbolic() || !c10::mul_overflows(windows.expect_int(), window, &total),
      "sliding_pool: the length of all windows does not fit in 64 bits");
  const c10::SymInt all = windows.is_symbolic() ? windows * window : c10::SymInt(total);
  const Tensor starts = at::arange(at::Scalar(windows), on_host) * stride;
  const Tensor length = at::full_like(starts, window);
  if (method == "absolute" || method == "rectified") {
    return motion_op().call(
        frames, at::stack({starts, length}, 1), all, method == "rectified", normalize);
  }
  const Tensor clips = at::stack({starts, at::zeros_like(starts), length}, 1);
  return temporal_op().call(
      frames, clips, at::arange(window, on_host), window_weights(method, window, on_host), all,
      normalize);
}

TORCH_LIBRARY_IMPL(originet, Autograd, m) {
  m.impl("temporal_pool", TORCH_FN(temporal_pool));
  m.impl("motion_pool", TORCH_FN(motion_pool));
  m.impl("sliding_pool", TORCH_FN(sliding_pool));
}

} // namespace
} // namespace originet::autograd
