// The psi ops on the host, once for both backends: checks, allocation, layouts.
//
// A backend has one function,
//     template <template <typename> class Functor>
//     static void run(const Tensors<kInputs>& in, const Tensors<kOutputs>& out, double alpha);
// which applies a functor of rrelu_math.h to every element of dense tensors of one
// layout. An output may be an input.
#pragma once

#include <array>
#include <tuple>

#include "common.h"
#include "rrelu_math.h"

namespace originet {

template <int kCount>
using Tensors = std::array<Tensor, kCount>;

template <typename Backend>
struct RReluOps {
  static Tensor forward(const Tensor& x, double alpha) {
    Tensor y = torch::stable::empty_like(x);
    Backend::template run<RReluForward>({in_layout_of(x, y)}, {y}, alpha);
    return y;
  }

  static void forward_in_place(Tensor x, double alpha) {
    const char* op = "rrelu_forward_";
    check_no_overlap(op, "x", x);
    Tensor dense = torch::stable::empty_like(x);
    if (same_layout(x, dense)) {
      Backend::template run<RReluForward>({x}, {x}, alpha);
    } else {
      torch::stable::copy_(dense, x);
      Backend::template run<RReluForward>({dense}, {dense}, alpha);
      torch::stable::copy_(x, dense);
    }
  }

  static Tensor backward(const Tensor& grad, const Tensor& x, double alpha) {
    const char* op = "rrelu_backward";
    check_same_kind(op, "grad", grad, "x", x);
    Tensor grad_x = torch::stable::empty_like(x);
    Backend::template run<RReluBackward>(
        {in_layout_of(grad, grad_x), in_layout_of(x, grad_x)}, {grad_x}, alpha);
    return grad_x;
  }

  static Tensor add_forward(const Tensor& a, const Tensor& b, double alpha) {
    const char* op = "rrelu_add_forward";
    check_same_kind(op, "b", b, "a", a);
    Tensor y = torch::stable::empty_like(a);
    Backend::template run<RReluAddForward>({in_layout_of(a, y), in_layout_of(b, y)}, {y}, alpha);
    return y;
  }

  static std::tuple<Tensor, Tensor> add_backward(
      const Tensor& grad, const Tensor& a, const Tensor& b, double alpha) {
    const char* op = "rrelu_add_backward";
    check_same_kind(op, "b", b, "a", a);
    check_same_kind(op, "grad", grad, "a", a);
    Tensor grad_a = torch::stable::empty_like(a);
    Tensor grad_b = torch::stable::empty_like(grad_a);
    Backend::template run<RReluAddBackward>(
        {in_layout_of(grad, grad_a), in_layout_of(a, grad_a), in_layout_of(b, grad_a)},
        {grad_a, grad_b}, alpha);
    return {grad_a, grad_b};
  }

  static void register_all(torch::stable::detail::StableLibrary& library) {
    library.impl("rrelu_forward", TORCH_BOX(&RReluOps::forward));
    library.impl("rrelu_forward_", TORCH_BOX(&RReluOps::forward_in_place));
    library.impl("rrelu_backward", TORCH_BOX(&RReluOps::backward));
    library.impl("rrelu_add_forward", TORCH_BOX(&RReluOps::add_forward));
    library.impl("rrelu_add_backward", TORCH_BOX(&RReluOps::add_backward));
  }
};

} // namespace originet
