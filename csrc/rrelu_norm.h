// The normalised join on the host, shared by both backends: checks, allocation, layouts.
//
// A backend has two functions, forward(NormForward) and backward(NormBackward). They take
// tensors of one dense layout, apart from the gradient if they can read it in others, and parameters
// in the arithmetic dtype.
#pragma once

#include <optional>
#include <tuple>

#include "arguments.h"
#include "rrelu_norm_math.h"

namespace originet {

using OptionalTensor = std::optional<Tensor>;

// Where the values of channel c are in dense memory, contiguous or channels_last: value
// (o, i) is at (o * channels + c) * inner + i. channels_last, [N, C] and single pixels
// have inner = 1.
struct NormShape {
  int64_t outer;
  int64_t channels;
  int64_t inner;

  int64_t count() const { // number of values in a channel
    return outer * inner;
  }
};

struct NormForward {
  Tensor a, b;                                 // [N, C, ...]
  OptionalTensor bias_a, bias_b, weight, bias; // [C]
  OptionalTensor given_mean, given_var;        // [C], or none for batch statistics
  double eps, alpha;
  NormShape shape;
  Tensor y;               // like a
  Tensor mean, rstd, var; // [C]; var is the unbiased one if it is that of a batch
};

struct NormBackward {
  Tensor grad, a, b;                     // [N, C, ...]
  OptionalTensor bias_a, bias_b, weight; // [C]
  Tensor mean, rstd;                     // [C]
  bool batch_statistics;
  double alpha;
  NormShape shape;
  Tensor grad_a, grad_b;                                   // like a
  Tensor grad_bias_a, grad_bias_b, grad_weight, grad_bias; // [C]
};

// Whether a tensor of any number of dimensions is channels_last: channels are neighbours in
// memory, and the other dimensions are in order.
inline bool is_channels_last(const Tensor& x) {
  int64_t expected = 1;
  for (int64_t k = 0; k < x.dim(); ++k) {
    const int64_t d = k == 0 ? 1 : k == x.dim() - 1 ? 0 : x.dim() - k;
    if (x.size(d) != 1 && x.stride(d) != expected) {
      return false;
    }
    expected *= x.size(d);
  }
  return true;
}

// The tensor itself if it has one of the two layouts, otherwise a contiguous copy.
inline Tensor normalisable(const Tensor& x) {
  return x.is_contiguous() || is_channels_last(x) ? x : torch::stable::contiguous(x);
}

inline NormShape norm_shape(const Tensor& dense) {
  const int64_t channels = dense.size(1);
  const int64_t count = channels == 0 ? 0 : dense.numel() / channels;
  if (!dense.is_contiguous()) {
    return {count, channels, 1};
  }
  const int64_t batch = dense.size(0);
  return {batch, channels, batch == 0 ? 0 : count / batch};
}

inline ScalarType arithmetic_dtype(const Tensor& x) {
  return x.scalar_type() == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
}

inline void check_join(const char* op, const Tensor& a, const Tensor& b, double eps, double alpha) {
  check_tensor(op, "a", a);
  check(a.dim() >= 2, op, ": a must be [N, C, ...], got ", ShapeOf{a});
  check_same_kind(op, "b", b, "a", a);
  check(std::isfinite(eps) && eps >= 0, op, ": eps must be 0 or more and finite, got ", eps);
  check_alpha(op, alpha);
}

// A [C] parameter in the arithmetic dtype.
inline Tensor per_channel(const char* op, const char* name, const Tensor& x, const Tensor& a) {
  check(
      x.dim() == 1 && x.size(0) == a.size(1), op, ": ", name, " must be [", a.size(1),
      "], one value per channel of a, got ", ShapeOf{x});
  check(x.device() == a.device(), op, ": ", name, " and a must be on the same device");
  check_memory(op, name, x);
  const ScalarType dtype = arithmetic_dtype(a);
  check(
      x.scalar_type() == dtype || x.scalar_type() == a.scalar_type(), op, ": ", name,
      " must have the dtype of a, ", torch::headeronly::toString(a.scalar_type()), ", or ",
      torch::headeronly::toString(dtype), ", got ", torch::headeronly::toString(x.scalar_type()));
  return torch::stable::contiguous(x.scalar_type() == dtype ? x : torch::stable::to(x, dtype));
}

inline OptionalTensor per_channel(
    const char* op, const char* name, const OptionalTensor& x, const Tensor& a) {
  return x ? OptionalTensor(per_channel(op, name, *x, a)) : std::nullopt;
}

template <typename acc_t>
const acc_t* pointer_or_null(const OptionalTensor& x) {
  return x ? static_cast<const acc_t*>(x->const_data_ptr()) : nullptr;
}

// `readable` gives a backend the gradient in a layout that it can read beside a dense input.
template <
    typename Backend,
    Tensor (*readable)(const Tensor& grad, const Tensor& dense) = in_layout_of>
struct RReluNormOps {
  static std::tuple<Tensor, Tensor, Tensor, Tensor> forward(
      const Tensor& a,
      const Tensor& b,
      const OptionalTensor& bias_a,
      const OptionalTensor& bias_b,
      const OptionalTensor& weight,
      const OptionalTensor& bias,
      const OptionalTensor& mean,
      const OptionalTensor& var,
      double eps,
      double alpha) {
    const char* op = "rrelu_add_norm_forward";
    check_join(op, a, b, eps, alpha);
    check(
        mean.has_value() == var.has_value(), op,
        ": mean and var must be given together or not at all");
    const Tensor dense = normalisable(a);
    const auto vector = [&] {
      return torch::stable::new_empty(a, {a.size(1)}, arithmetic_dtype(a));
    };
    NormForward call{
        dense,
        in_layout_of(b, dense),
        per_channel(op, "bias_a", bias_a, a),
        per_channel(op, "bias_b", bias_b, a),
        per_channel(op, "weight", weight, a),
        per_channel(op, "bias", bias, a),
        per_channel(op, "mean", mean, a),
        per_channel(op, "var", var, a),
        eps,
        alpha,
        norm_shape(dense),
        torch::stable::empty_like(dense),
        vector(),
        vector(),
        vector()};
    if (dense.numel() > 0) {
      Backend::forward(call);
    } else { // there are no statistics of nothing
      for (Tensor* x : {&call.mean, &call.rstd, &call.var}) {
        torch::stable::zero_(*x);
      }
    }
    return {call.y, call.mean, call.rstd, call.var};
  }

  static std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> backward(
      const Tensor& grad,
      const Tensor& a,
      const Tensor& b,
      const OptionalTensor& bias_a,
      const OptionalTensor& bias_b,
      const OptionalTensor& weight,
      const Tensor& mean,
      const Tensor& rstd,
      bool batch_statistics,
      double eps, // already part of rstd
      double alpha) {
    const char* op = "rrelu_add_norm_backward";
    check_join(op, a, b, eps, alpha);
    check_same_kind(op, "grad", grad, "a", a);
    const Tensor dense = normalisable(a);
    const auto vector = [&] {
      return torch::stable::new_empty(a, {a.size(1)}, arithmetic_dtype(a));
    };
    NormBackward call{
        readable(grad, dense),
        dense,
        in_layout_of(b, dense),
        per_channel(op, "bias_a", bias_a, a),
        per_channel(op, "bias_b", bias_b, a),
        per_channel(op, "weight", weight, a),
        per_channel(op, "mean", mean, a),
        per_channel(op, "rstd", rstd, a),
        batch_statistics,
        alpha,
        norm_shape(dense),
        torch::stable::empty_like(dense),
        torch::stable::empty_like(dense),
        vector(),
        vector(),
        vector(),
        vector()};
    if (dense.numel() > 0) {
      Backend::backward(call);
    } else {
      for (Tensor* x : {&call.grad_bias_a, &call.grad_bias_b, &call.grad_weight, &call.grad_bias}) {
        torch::stable::zero_(*x);
      }
    }
    return {call.grad_a,      call.grad_b,      call.grad_bias_a,
            call.grad_bias_b, call.grad_weight, call.grad_bias};
  }

  static void register_all(torch::stable::detail::StableLibrary& library) {
    library.impl("rrelu_add_norm_forward", ORIGINET_BOX(RReluNormOps::forward));
    library.impl("rrelu_add_norm_backward", ORIGINET_BOX(RReluNormOps::backward));
  }
};

} // namespace originet
