// Autograd kernels of the psi ops.
#include "rrelu.h"

#include "rrelu_direct.h"

#include <ATen/ops/full_like.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/where.h>

namespace originet::autograd {
namespace {

using AddBackwardSignature =
    std::tuple<Tensor, Tensor>(const Tensor&, const Tensor&, const Tensor&, double);

// The four ops below autograd.

Tensor run_forward(DispatchKeySet keys, const Tensor& x, double alpha) {
  static const auto op = find_op<Tensor(const Tensor&, double)>("originet::rrelu_forward");
  const at::AutoDispatchBelowADInplaceOrView below;
  if (!is_direct(keys, alpha, x)) {
    return op.redispatch(keys & c10::after_autograd_keyset, x, alpha);
  }
  Tensor y = at::empty_like(x);
  run_directly<1, 1>(RReluOp::kForward, {&x}, {&y}, alpha);
  return y;
}

Tensor run_backward(DispatchKeySet keys, const Tensor& grad, const Tensor& x, double alpha) {
  static const auto op =
      find_op<Tensor(const Tensor&, const Tensor&, double)>("originet::rrelu_backward");
  const at::AutoDispatchBelowADInplaceOrView below;
  if (!is_direct(keys, alpha, x, grad)) {
    return op.redispatch(keys & c10::after_autograd_keyset, grad, x, alpha);
  }
  Tensor y = at::empty_like(x);
  run_directly<2, 1>(RReluOp::kBackward, {&grad, &x}, {&y}, alpha);
  return y;
}

Tensor run_add_forward(DispatchKeySet keys, const Tensor& a, const Tensor& b, double alpha) {
  static const auto op =
      find_op<Tensor(const Tensor&, const Tensor&, double)>("originet::rrelu_add_forward");
  const at::AutoDispatchBelowADInplaceOrView below;
  if (!is_direct(keys, alpha, a, b)) {
    return op.redispatch(keys & c10::after_autograd_keyset, a, b, alpha);
  }
  Tensor y = at::empty_like(a);
  run_directly<2, 1>(RReluOp::kAddForward, {&a, &b}, {&y}, alpha);
  return y;
}

std::tuple<Tensor, Tensor> run_add_backward(
    DispatchKeySet keys, const Tensor& grad, const Tensor& a, const Tensor& b, double alpha) {
  static const auto op = find_op<AddBackwardSignature>("originet::rrelu_add_backward");
  const at::AutoDispatchBelowADInplaceOrView below;
  if (!is_direct(keys, alpha, a, b, grad)) {
    return op.redispatch(keys & c10::after_autograd_keyset, grad, a, b, alpha);
  }
  Tensor grad_a = at::empty_like(a), grad_b = at::empty_like(a);
  run_directly<3, 2>(RReluOp::kAddBackward, {&grad, &a, &b}, {&grad_a, &grad_b}, alpha);
  return {grad_a, grad_b};
}

// psi'' is 0 outside of [-kSaturated, kSaturated] in every dtype.
constexpr double kSaturated = 800.0;

// psi''(x) = s (1 - s) (2 a + (1 - 2 s) (1 + a x)), in torch's own ops, which have derivatives of
// every order.
Tensor second_derivative(const Tensor& x, double alpha) {
  const bool narrow = x.scalar_type() == at::kHalf || x.scalar_type() == at::kBFloat16;
  const Tensor wide = (narrow ? x.to(at::kFloat) : x).clamp(-kSaturated, kSaturated);
  const Tensor s = wide.sigmoid();
  const Tensor slope = at::where(wide >= 0, at::ones_like(wide), at::full_like(wide, alpha));
  return (s * (1 - s) * (2 * slope + (1 - 2 * s) * (1 + slope * wide))).to(x.scalar_type());
}

struct RReluNode : SavingNode<RReluNode> {
  static constexpr char kName[] = "RReluBackward";
  SavedVariable x;
  double alpha = 0;

  variable_list gradients(const variable_list& grads) {
    return {grads[0].defined() ? call_rrelu_backward(grads[0], x.unpack(), alpha) : Tensor()};
  }
  template <typename F>
  void visit(const F& f) {
    f(x);
    f(alpha);
  }
};

Tensor psi_forward(DispatchKeySet keys, const Tensor& x, double alpha) {
  NodePtr node;
  if (compute_requires_grad(x)) {
    auto [made, psi] = make_node<RReluNode>(x);
    psi->x = SavedVariable(x, false);
    psi->alpha = alpha;
    node = std::move(made);
  }
  Tensor y = run_forward(keys, x, alpha);
  if (node) {
    set_history(y, node);
  }
  if (isFwGradDefined(x)) {
    set_tangent(y, call_rrelu_backward(tangent(x), primal(x), alpha));
  }
  return y;
}

Tensor& psi_forward_in_place(DispatchKeySet keys, Tensor& x, double alpha) {
  static const auto op = find_op<Tensor&(Tensor&, double)>("originet::rrelu_forward_");
  const bool requires_grad = compute_requires_grad(x);
  torch::autograd::check_inplace(x, requires_grad);
  const Tensor x_tangent = tangent(x);
  Tensor before;
  if (requires_grad || x_tangent.defined()) {
    before = x.clone(); // torch's own in-place activations also keep a copy
  }
  NodePtr node;
  if (requires_grad) {
    auto [made, psi] = make_node<RReluNode>(x);
    psi->x = SavedVariable(before, false);
    psi->alpha = alpha;
    node = std::move(made);
  }
  {
    const at::AutoDispatchBelowAutograd guard;
    op.redispatch(keys & c10::after_autograd_keyset, x, alpha);
  }
  if (node) {
    torch::autograd::rebase_history(x, node);
  }
  if (x_tangent.defined()) {
    // Writes to the tangent, which may be a view of another tangent, just as x may be a view.
    x_tangent.copy_(call_rrelu_backward(x_tangent, primal(before), alpha));
    x._set_fw_grad(x_tangent, 0, /*is_inplace_op=*/true);
  }
  return x;
}

struct RReluBackwardNode : SavingNode<RReluBackwardNode> {
  static constexpr char kName[] = "RReluBackwardBackward";
  SavedVariable grad, x;
  double alpha = 0;

  variable_list gradients(const variable_list& grads) {
    const Tensor& v = grads[0];
    variable_list results(2);
    if (v.defined()) {
      const Tensor at = x.unpack();
      if (wants(0)) {
        results[0] = call_rrelu_backward(v, at, alpha);
      }
      if (wants(1)) {
        results[1] = v * grad.unpack() * second_derivative(at, alpha);
      }
    }
    return results;
  }
  template <typename F>
  void visit(const F& f) {
    f(grad);
    f(x);
    f(alpha);
  }
};

Tensor psi_backward(DispatchKeySet keys, const Tensor& grad, const Tensor& x, double alpha) {
  NodePtr node;
  if (compute_requires_grad(grad, x)) {
    auto [made, psi] = make_node<RReluBackwardNode>(grad, x);
    psi->grad = SavedVariable(grad, false);
    psi->x = SavedVariable(x, false);
    psi->alpha = alpha;
    node = std::move(made);
  }
  Tensor y = run_backward(keys, grad, x, alpha);
  if (node) {
    set_history(y, node);
  }
  if (isFwGradDefined(grad) || isFwGradDefined(x)) {
    Tensor through_grad, through_x;
    if (isFwGradDefined(grad)) {
      through_grad = call_rrelu_backward(tangent(grad), primal(x), alpha);
    }
    if (isFwGradDefined(x)) {
      through_x = tangent(x) * primal(grad) * second_derivative(primal(x), alpha);
    }
    set_tangent(y, sum(through_grad, through_x));
  }
  return y;
}

struct RReluAddNode : SavingNode<RReluAddNode> {
  static constexpr char kName[] = "RReluAddBackward";
  SavedVariable a, b;
  double alpha = 0;

  variable_list gradients(const variable_list& grads) {
    static const auto op = find_op<AddBackwardSignature>("originet::rrelu_add_backward");
    const Tensor& grad = grads[0];
    variable_list results(2);
    if (!grad.defined()) {
      return results;
    }
    if (wants(0) && wants(1)) {
      std::tie(results[0], results[1]) = op.call(grad, a.unpack(), b.unpack(), alpha);
    } else if (wants(0)) {
      results[0] = call_rrelu_backward(grad, a.unpack(), alpha);
    } else if (wants(1)) {
      results[1] = call_rrelu_backward(grad, b.unpack(), alpha);
    }
    return results;
  }
  template <typename F>
  void visit(const F& f) {
    f(a);
    f(b);
    f(alpha);
  }
};

Tensor psi_add_forward(DispatchKeySet keys, const Tensor& a, const Tensor& b, double alpha) {
  NodePtr node;
  if (compute_requires_grad(a, b)) {
    auto [made, join] = make_node<RReluAddNode>(a, b);
    join->a = SavedVariable(a, false);
    join->b = SavedVariable(b, false);
    join->alpha = alpha;
    node = std::move(made);
  }
  Tensor y = run_add_forward(keys, a, b, alpha);
  if (node) {
    set_history(y, node);
  }
  const auto through = [&](const Tensor& x) {
    return isFwGradDefined(x) ? call_rrelu_backward(tangent(x), primal(x), alpha) : Tensor();
  };
  set_tangent(y, sum(through(a), through(b)));
  return y;
}

std::tuple<Tensor, Tensor> psi_add_backward(
    DispatchKeySet keys, const Tensor& grad, const Tensor& a, const Tensor& b, double alpha) {
  if (compute_requires_grad(grad, a, b) || isFwGradDefined(grad) || isFwGradDefined(a) ||
      isFwGradDefined(b)) {
    return {call_rrelu_backward(grad, a, alpha), call_rrelu_backward(grad, b, alpha)};
  }
  return run_add_backward(keys, grad, a, b, alpha);
}

// Counts the change of x, so that autograd notices it where x was saved for backward.
Tensor& count_change(DispatchKeySet keys, Tensor& x, double alpha) {
  static const auto op = find_op<Tensor&(Tensor&, double)>("originet::rrelu_forward_");
  TORCH_CHECK(
      !x.is_inference() || c10::InferenceMode::is_enabled(),
      "rrelu_forward_: x was made in inference mode and may only be changed in place there; "
      "clone it");
  {
    const at::AutoDispatchBelowADInplaceOrView guard;
    if (is_direct(keys, alpha, x)) {
      run_directly<1, 1>(RReluOp::kForward, {&x}, {&x}, alpha);
    } else {
      op.redispatch(keys & c10::after_ADInplaceOrView_keyset, x, alpha);
    }
  }
  torch::autograd::increment_version(x);
  return x;
}

TORCH_LIBRARY_IMPL(originet, Autograd, m) {
  m.impl("rrelu_forward", TORCH_FN(psi_forward));
  m.impl("rrelu_forward_", TORCH_FN(psi_forward_in_place));
  m.impl("rrelu_backward", TORCH_FN(psi_backward));
  m.impl("rrelu_add_forward", TORCH_FN(psi_add_forward));
  m.impl("rrelu_add_backward", TORCH_FN(psi_add_backward));
}

TORCH_LIBRARY_IMPL(originet, ADInplaceOrView, m) {
  m.impl("rrelu_forward_", TORCH_FN(count_change));
}

} // namespace
} // namespace originet::autograd
