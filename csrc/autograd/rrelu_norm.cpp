// Autograd kernels of the normalised join, y = BN(psi(a + bias_a) + psi(b + bias_b)).
#include <array>
#include <initializer_list>

#include <ATen/ops/var_mean.h>

#include "rrelu.h"
#include "rrelu_direct.h"

namespace originet::autograd {
namespace {

using OptionalTensor = std::optional<Tensor>;

using ForwardSignature = std::tuple<Tensor, Tensor, Tensor, Tensor>(
    const Tensor& a,
    const Tensor& b,
    const OptionalTensor& bias_a,
    const OptionalTensor& bias_b,
    const OptionalTensor& weight,
    const OptionalTensor& bias,
    const OptionalTensor& mean,
    const OptionalTensor& var,
    double eps,
    double alpha);
using BackwardSignature = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>(
    const Tensor& grad,
    const Tensor& a,
    const Tensor& b,
    const OptionalTensor& bias_a,
    const OptionalTensor& bias_b,
    const OptionalTensor& weight,
    const Tensor& mean,
    const Tensor& rstd,
    bool batch_statistics,
    double eps,
    double alpha);

const auto& forward_op() {
  static const auto op = find_op<ForwardSignature>("originet::rrelu_add_norm_forward");
  return op;
}
const auto& backward_op() {
  static const auto op = find_op<BackwardSignature>("originet::rrelu_add_norm_backward");
  return op;
}

// The checks of the kernel itself, for arguments that torch's ops would accept or broadcast.
void check_branches_and_vectors(
    const char* op,
    const Tensor& a,
    std::initializer_list<Tensor> alike, // must have the shape of a
    std::initializer_list<OptionalTensor> vectors) {
  TORCH_CHECK(
      is_supported(a.scalar_type()), op, ": a must be float16, bfloat16, float32 or float64, got ",
      a.scalar_type());
  TORCH_CHECK(a.dim() >= 2, op, ": a must be [N, C, ...], got ", a.sym_sizes());
  for (const Tensor& x : alike) {
    TORCH_CHECK(
        x.sym_sizes().equals(a.sym_sizes()), op, ": all branches must have the shape of a, ",
        a.sym_sizes(), ", got ", x.sym_sizes());
    TORCH_CHECK(
        x.scalar_type() == a.scalar_type(), op, ": all branches must have the dtype of a, ",
        a.scalar_type(), ", got ", x.scalar_type());
  }
  const auto sum_dtype = a.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  for (const OptionalTensor& vector : vectors) {
    TORCH_CHECK(
        !vector || (vector->dim() == 1 && vector->sym_size(0) == a.sym_size(1)), op,
        ": every vector must be [", a.sym_size(1), "], one value per channel of a, got ",
        vector->sym_sizes());
    TORCH_CHECK(
        !vector || vector->scalar_type() == a.scalar_type() || vector->scalar_type() == sum_dtype,
        op, ": every vector must have the dtype of a, ", a.scalar_type(), ", or ", sum_dtype,
        ", got ", vector->scalar_type());
  }
}

// The join and its derivative in terms of psi's ops and torch's own, so that both can be
// differentiated further, in every direction. [C] vectors are broadcast over [N, C, ...].
class DifferentiableJoin {
 public:
  DifferentiableJoin(
      const Tensor& a,
      const Tensor& b,
      const OptionalTensor& bias_a,
      const OptionalTensor& bias_b,
      double alpha)
      : dtype_(a.scalar_type() == at::kDouble ? at::kDouble : at::kFloat),
        alpha_(alpha),
        column_(a.dim(), 1) {
    column_[1] = -1;
    for (int64_t d = 0; d < a.dim(); ++d) {
      if (d != 1) {
        others_.push_back(d);
      }
    }
    a_ = shifted(a, bias_a);
    b_ = shifted(b, bias_b);
    z_ = call_rrelu_add_forward(a_, b_, alpha);
  }

  Tensor wide(const Tensor& x) const {
    return x.to(dtype_);
  }
  // [C] in the arithmetic dtype, as [1, C, 1, ...]
  Tensor column(const Tensor& x) const {
    return wide(x).reshape(column_);
  }
  // [N, C, ...] -> [C]
  Tensor sum(const Tensor& x) const {
    return x.sum(others_);
  }
  Tensor mean(const Tensor& x) const {
    return x.mean(others_);
  }
  // The batch's biased variance and its mean, [C] each.
  std::pair<Tensor, Tensor> statistics() const {
    auto [var, mean] = at::var_mean(z_, at::OptionalIntArrayRef(others_), at::Scalar(0), false);
    return {var, mean};
  }
  Tensor unbiased_variance() const {
    return z_.var(at::OptionalIntArrayRef(others_), at::Scalar(1), false);
  }
  Tensor normalised(const Tensor& mean, const Tensor& rstd) const {
    return (z_ - column(mean)) * column(rstd);
  }
  Tensor through_a(const Tensor& grad) const {
    return call_rrelu_backward(grad, a_, alpha_);
  }
  Tensor through_b(const Tensor& grad) const {
    return call_rrelu_backward(grad, b_, alpha_);
  }

 private:
  Tensor shifted(const Tensor& x, const OptionalTensor& bias) const {
    return bias ? wide(x) + column(*bias) : wide(x);
  }

  at::ScalarType dtype_;
  double alpha_;
  std::vector<int64_t> column_, others_;
  Tensor a_, b_, z_;
};

std::tuple<Tensor, Tensor, Tensor, Tensor> differentiable_forward(
    const Tensor& a,
    const Tensor& b,
    const OptionalTensor& bias_a,
    const OptionalTensor& bias_b,
    const OptionalTensor& weight,
    const OptionalTensor& bias,
    const OptionalTensor& given_mean,
    const OptionalTensor& given_var,
    double eps,
    double alpha) {
  const char* op = "rrelu_add_norm_forward";
  check_branches_and_vectors(op, a, {b}, {bias_a, bias_b, weight, bias, given_mean, given_var});
  TORCH_CHECK(
      given_mean.has_value() == given_var.has_value(), op,
      ": mean and var must be given together or not at all");
  const DifferentiableJoin join(a, b, bias_a, bias_b, alpha);
  Tensor mean, var, reported;
  if (given_mean) {
    mean = join.wide(*given_mean);
    reported = var = join.wide(*given_var);
  } else {
    std::tie(var, mean) = join.statistics();
    reported = join.unbiased_variance(); // for the running variance
  }
  const Tensor rstd = (var + eps).rsqrt();
  Tensor y = join.normalised(mean, rstd);
  y = weight ? y * join.column(*weight) : y;
  y = bias ? y + join.column(*bias) : y;
  return {y.to(a.scalar_type()), mean.detach(), rstd.detach(), reported.detach()};
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> differentiable_backward(
    const Tensor& grad,
    const Tensor& a,
    const Tensor& b,
    const OptionalTensor& bias_a,
    const OptionalTensor& bias_b,
    const OptionalTensor& weight,
    Tensor mean,
    Tensor rstd,
    bool batch_statistics,
    double eps,
    double alpha) {
  const char* op = "rrelu_add_norm_backward";
  check_branches_and_vectors(op, a, {grad, b}, {bias_a, bias_b, weight, mean, rstd});
  const DifferentiableJoin join(a, b, bias_a, bias_b, alpha);
  if (batch_statistics) { // computed again, as functions of a and b
    Tensor var;
    std::tie(var, mean) = join.statistics();
    rstd = (var + eps).rsqrt();
  }
  const Tensor upstream = join.wide(grad);
  const Tensor normal = join.normalised(mean, rstd);
  const Tensor grad_bias = join.sum(upstream);
  const Tensor grad_weight = join.sum(upstream * normal);
  Tensor through = upstream;
  if (batch_statistics) {
    through = upstream - join.column(join.mean(upstream)) -
              normal * join.column(join.mean(upstream * normal));
  }
  through = through * join.column(rstd);
  through = weight ? through * join.column(*weight) : through;
  const Tensor grad_a = join.through_a(through), grad_b = join.through_b(through);
  return {
      grad_a.to(a.scalar_type()),
      grad_b.to(b.scalar_type()),
      join.sum(grad_a),
      join.sum(grad_b),
      grad_weight,
      grad_bias};
}

struct RReluAddNormNode : SavingNode<RReluAddNormNode> {
  static constexpr char kName[] = "RReluAddNormBackward";
  SavedVariable a, b, bias_a, bias_b, weight, mean, rstd;
  std::optional<at::ScalarType> bias_dtype;
  bool batch_statistics = true;
  double eps = 0;
  double alpha = 0;

  variable_list gradients(const variable_list& grads) {
    variable_list results(6);
    if (!grads[0].defined()) {
      return results;
    }
    const std::array saved = {
        a.unpack(), b.unpack(), bias_a.unpack(), bias_b.unpack(), weight.unpack()};
    const auto optional = [](const Tensor& x) {
      return x.defined() ? OptionalTensor(x) : std::nullopt;
    };
    std::tie(results[0], results[1], results[2], results[3], results[4], results[5]) =
        backward_op().call(
            grads[0], saved[0], saved[1], optional(saved[2]), optional(saved[3]),
            optional(saved[4]), mean.unpack(), rstd.unpack(), batch_statistics, eps, alpha);
    for (size_t k = 0; k < results.size(); ++k) {
      if (!wants(k)) {
        results[k].reset();
      } else { // [C] gradients have the arithmetic dtype
        results[k] = results[k].to(k < saved.size() ? saved[k].scalar_type() : *bias_dtype);
      }
    }
    return results;
  }
  template <typename F>
  void visit(const F& f) {
    for (SavedVariable* saved : {&a, &b, &bias_a, &bias_b, &weight, &mean, &rstd}) {
      f(*saved);
    }
    f(bias_dtype);
    f(batch_statistics);
    f(eps);
    f(alpha);
  }
};

template <typename... Inputs>
bool any_tangent(const Inputs&... inputs) {
  return (isFwGradDefined(inputs) || ...);
}

std::tuple<Tensor, Tensor, Tensor, Tensor> norm_forward(
    DispatchKeySet keys,
    const Tensor& a,
    const Tensor& b,
    const OptionalTensor& bias_a,
    const OptionalTensor& bias_b,
    const OptionalTensor& weight,
    const OptionalTensor& bias,
    const OptionalTensor& given_mean,
    const OptionalTensor& given_var,
    double eps,
    double alpha) {
  if (any_tangent(a, b, bias_a, bias_b, weight, bias, given_mean, given_var)) {
    return differentiable_forward(
        a, b, bias_a, bias_b, weight, bias, given_mean, given_var, eps, alpha);
  }
  NodePtr node;
  RReluAddNormNode* join = nullptr;
  if (compute_requires_grad(a, b, bias_a, bias_b, weight, bias)) {
    std::tie(node, join) = make_node<RReluAddNormNode>(a, b, bias_a, bias_b, weight, bias);
    join->a = SavedVariable(a, false);
    join->b = SavedVariable(b, false);
    join->bias_a = SavedVariable(bias_a, false);
    join->bias_b = SavedVariable(bias_b, false);
    join->weight = SavedVariable(weight, false);
    join->bias_dtype = bias ? std::optional(bias->scalar_type()) : std::nullopt;
    join->batch_statistics = !given_mean.has_value();
    join->eps = eps;
    join->alpha = alpha;
  }
  const auto result = call_below(
      forward_op(), keys, a, b, bias_a, bias_b, weight, bias, given_mean, given_var, eps, alpha);
  if (node) {
    const auto& [y, mean, rstd, var] = result;
    set_history(y, node);
    join->mean = SavedVariable(mean, false); // no derivative, as in batch_norm
    join->rstd = SavedVariable(rstd, false);
  }
  return result;
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> norm_backward(
    DispatchKeySet keys,
    const Tensor& grad,
    const Tensor& a,
    const Tensor& b,
    const OptionalTensor& bias_a,
    const OptionalTensor& bias_b,
    const OptionalTensor& weight,
    const Tensor& mean,
    const Tensor& rstd,
    bool batch_statistics,
    double eps,
    double alpha) {
  if (compute_requires_grad(grad, a, b, bias_a, bias_b, weight) ||
      any_tangent(grad, a, b, bias_a, bias_b, weight)) {
    return differentiable_backward(
        grad, a, b, bias_a, bias_b, weight, mean, rstd, batch_statistics, eps, alpha);
  }
  return call_below(
      backward_op(), keys, grad, a, b, bias_a, bias_b, weight, mean, rstd, batch_statistics, eps,
      alpha);
}

TORCH_LIBRARY_IMPL(originet, Autograd, m) {
  m.impl("rrelu_add_norm_forward", TORCH_FN(norm_forward));
  m.impl("rrelu_add_norm_backward", TORCH_FN(norm_backward));
}

} // namespace
} // namespace originet::autograd
