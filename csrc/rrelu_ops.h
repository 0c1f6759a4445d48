// The psi ops on the host, shared by both backends: checks, allocation, layouts.
#pragma once

#include <tuple>

#include "arguments.h"
#include "rrelu_backend.h"
#include "rrelu_math.h"

namespace originet {

template <typename value_t, typename Functor>
ElementPointers<value_t, Functor> pointers_of(const Elements& elements) {
  ElementPointers<value_t, Functor> pointers;
  for (int k = 0; k < Functor::kInputs; ++k) {
    pointers.in[k] = static_cast<const value_t*>(elements.in[k]);
  }
  for (int k = 0; k < Functor::kOutputs; ++k) {
    pointers.out[k] = static_cast<value_t*>(elements.out[k]);
  }
  return pointers;
}

// Runs body<scalar_t, Functor>() with the C++ type of a dtype and the functor of an op.
template <typename Body>
void dispatch_rrelu(RReluOp op, ScalarType dtype, const Body& body) {
  const auto with_functor = [&]<template <typename, bool> class Functor>() {
    const auto run_as = [&]<typename scalar_t>() { body.template operator()<scalar_t, Functor>(); };
    constexpr auto name = Functor<float, false>::kOp;
    ORIGINET_DISPATCH_FLOATING(dtype, name, [&] { run_as.template operator()<scalar_t>(); });
  };
  switch (op) {
    case RReluOp::kForward:
      return with_functor.template operator()<RReluForward>();
    case RReluOp::kBackward:
      return with_functor.template operator()<RReluBackward>();
    case RReluOp::kAddForward:
      return with_functor.template operator()<RReluAddForward>();
    case RReluOp::kAddBackward:
      return with_functor.template operator()<RReluAddBackward>();
  }
}

template <RReluBackend run>
struct RReluOps {
  static Tensor forward(const Tensor& x, double alpha) {
    check_call("rrelu_forward", "x", x, alpha);
    Tensor y = torch::stable::empty_like(x);
    run_over(RReluOp::kForward, {in_layout_of(x, y)}, {y}, alpha);
    return y;
  }

  static Tensor forward_in_place(Tensor x, double alpha) {
    const char* op = "rrelu_forward_";
    check_call(op, "x", x, alpha);
    check_no_overlap(op, "x", x);
    Tensor dense = torch::stable::empty_like(x);
    if (same_layout(x, dense)) {
      run_over(RReluOp::kForward, {x}, {x}, alpha);
    } else {
      torch::stable::copy_(dense, x);
      run_over(RReluOp::kForward, {dense}, {dense}, alpha);
      torch::stable::copy_(x, dense);
    }
    return x;
  }

  static Tensor backward(const Tensor& grad, const Tensor& x, double alpha) {
    const char* op = "rrelu_backward";
    check_call(op, "x", x, alpha);
    check_same_kind(op, "grad", grad, "x", x);
    Tensor grad_x = torch::stable::empty_like(x);
    run_over(
        RReluOp::kBackward, {in_layout_of(grad, grad_x), in_layout_of(x, grad_x)}, {grad_x}, alpha);
    return grad_x;
  }

  static Tensor add_forward(const Tensor& a, const Tensor& b, double alpha) {
    const char* op = "rrelu_add_forward";
    check_call(op, "a", a, alpha);
    check_same_kind(op, "b", b, "a", a);
    Tensor y = torch::stable::empty_like(a);
    run_over(RReluOp::kAddForward, {in_layout_of(a, y), in_layout_of(b, y)}, {y}, alpha);
    return y;
  }

  static std::tuple<Tensor, Tensor> add_backward(
      const Tensor& grad, const Tensor& a, const Tensor& b, double alpha) {
    const char* op = "rrelu_add_backward";
    check_call(op, "a", a, alpha);
    check_same_kind(op, "b", b, "a", a);
    check_same_kind(op, "grad", grad, "a", a);
    Tensor grad_a = torch::stable::empty_like(a);
    Tensor grad_b = torch::stable::empty_like(grad_a);
    run_over(
        RReluOp::kAddBackward,
        {in_layout_of(grad, grad_a), in_layout_of(a, grad_a), in_layout_of(b, grad_a)},
        {grad_a, grad_b}, alpha);
    return {grad_a, grad_b};
  }

  static void register_all(torch::stable::detail::StableLibrary& library) {
    library.impl("rrelu_forward", ORIGINET_BOX(RReluOps::forward));
    library.impl("rrelu_forward_", ORIGINET_BOX(RReluOps::forward_in_place));
    library.impl("rrelu_backward", ORIGINET_BOX(RReluOps::backward));
    library.impl("rrelu_add_forward", ORIGINET_BOX(RReluOps::add_forward));
    library.impl("rrelu_add_backward", ORIGINET_BOX(RReluOps::add_backward));
  }

 private:
  static void check_call(const char* op, const char* name, const Tensor& x, double alpha) {
    check_tensor(op, name, x);
    check_alpha(op, alpha);
  }

  template <size_t kIn, size_t kOut>
  static void run_over(
      RReluOp op, const Tensor (&in)[kIn], const Tensor (&out)[kOut], double alpha) {
    Elements elements{
        {}, {}, out[0].numel(), out[0].scalar_type(), int32_t(out[0].get_device_index())};
    for (size_t k = 0; k < kIn; ++k) {
      elements.in[k] = in[k].const_data_ptr();
    }
    for (size_t k = 0; k < kOut; ++k) {
      elements.out[k] = out[k].mutable_data_ptr();
    }
    run(op, elements, alpha);
  }
};

} // namespace originet
