// Calls of the psi ops through the dispatcher.
#pragma once

#include "node.h"

namespace originet::autograd {

inline Tensor call_rrelu_forward(const Tensor& x, double alpha) {
  static const auto op = find_op<Tensor(const Tensor&, double)>("originet::rrelu_forward");
  return op.call(x, alpha);
}

inline Tensor call_rrelu_forward_in_place(const Tensor& x, double alpha) {
  static const auto op = find_op<Tensor&(Tensor&, double)>("originet::rrelu_forward_");
  Tensor same = x;
  return op.call(same, alpha);
}

inline Tensor call_rrelu_backward(const Tensor& grad, const Tensor& x, double alpha) {
  static const auto op =
      find_op<Tensor(const Tensor&, const Tensor&, double)>("originet::rrelu_backward");
  return op.call(grad, x, alpha);
}

inline Tensor call_rrelu_add_forward(const Tensor& a, const Tensor& b, double alpha) {
  static const auto op =
      find_op<Tensor(const Tensor&, const Tensor&, double)>("originet::rrelu_add_forward");
  return op.call(a, b, alpha);
}

} // namespace originet::autograd
