// CPU kernels of the refined ReLU: one pass over memory, vectorised, threaded.
#include "common.h"
#include "cpu_vector.h"
#include "rrelu_math.h"

#include <tuple>

namespace originet {
namespace {

// torch's 16-bit types as their bit patterns, the others as themselves.
template <typename scalar_t>
struct Stored {
  using type = scalar_t;
};
template <>
struct Stored<c10::Half> {
  using type = HalfBits;
};
template <>
struct Stored<c10::BFloat16> {
  using type = BFloat16Bits;
};

// The loops. Each takes a range of a dense layout as one dimension.

template <typename stored_t, typename acc_t>
ORIGINET_MULTIVERSION void forward_loop(const stored_t* x, stored_t* y, int64_t n, acc_t alpha) {
  using A = Arithmetic<stored_t>;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    y[i] = A::store(rrelu_forward<acc_t>(A::load(x[i]), alpha));
  }
}

template <typename stored_t, typename acc_t>
ORIGINET_MULTIVERSION void backward_loop(
    const stored_t* grad, const stored_t* x, stored_t* grad_x, int64_t n, acc_t alpha) {
  using A = Arithmetic<stored_t>;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    grad_x[i] = A::store(A::load(grad[i]) * rrelu_derivative<acc_t>(A::load(x[i]), alpha));
  }
}

template <typename stored_t, typename acc_t>
ORIGINET_MULTIVERSION void add_forward_loop(
    const stored_t* a, const stored_t* b, stored_t* y, int64_t n, acc_t alpha) {
  using A = Arithmetic<stored_t>;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    y[i] = A::store(
        rrelu_forward<acc_t>(A::load(a[i]), alpha) + rrelu_forward<acc_t>(A::load(b[i]), alpha));
  }
}

template <typename stored_t, typename acc_t>
ORIGINET_MULTIVERSION void add_backward_loop(
    const stored_t* grad,
    const stored_t* a,
    const stored_t* b,
    stored_t* grad_a,
    stored_t* grad_b,
    int64_t n,
    acc_t alpha) {
  using A = Arithmetic<stored_t>;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const acc_t g = A::load(grad[i]);
    grad_a[i] = A::store(g * rrelu_derivative<acc_t>(A::load(a[i]), alpha));
    grad_b[i] = A::store(g * rrelu_derivative<acc_t>(A::load(b[i]), alpha));
  }
}

// Elements per thread below which a second thread costs more than it gives.
constexpr int64_t kGrain = 16384;

template <typename stored_t>
const stored_t* input(const Tensor& tensor) {
  return static_cast<const stored_t*>(tensor.const_data_ptr());
}

template <typename stored_t>
stored_t* output(const Tensor& tensor) {
  return static_cast<stored_t*>(tensor.mutable_data_ptr());
}

// y = psi(x); both have one layout, or are one tensor.
void forward_into(const Tensor& x, const Tensor& y, double alpha) {
  ORIGINET_DISPATCH_FLOATING(x.scalar_type(), "rrelu_forward", [&] {
    using stored_t = Stored<scalar_t>::type;
    using acc_t = Arithmetic<stored_t>::type;
    const auto* source = input<stored_t>(x);
    auto* target = output<stored_t>(y);
    torch::stable::parallel_for(0, x.numel(), kGrain, [&](int64_t begin, int64_t end) {
      forward_loop<stored_t, acc_t>(
          source + begin, target + begin, end - begin, static_cast<acc_t>(alpha));
    });
  });
}

Tensor rrelu_forward_cpu(const Tensor& x, double alpha) {
  Tensor y = torch::stable::empty_like(x);
  forward_into(in_layout_of(x, y), y, alpha);
  return y;
}

void rrelu_forward_inplace_cpu(Tensor x, double alpha) {
  check_no_overlap("rrelu_forward_", "x", x);
  Tensor dense = torch::stable::empty_like(x);
  if (same_layout(x, dense)) {
    forward_into(x, x, alpha);
  } else {
    forward_into(in_layout_of(x, dense), dense, alpha);
    torch::stable::copy_(x, dense);
  }
}

Tensor rrelu_backward_cpu(const Tensor& grad, const Tensor& x, double alpha) {
  check_same_kind("rrelu_backward", "grad", grad, "x", x);
  Tensor grad_x = torch::stable::empty_like(x);
  const Tensor x_dense = in_layout_of(x, grad_x);
  const Tensor grad_dense = in_layout_of(grad, grad_x);
  ORIGINET_DISPATCH_FLOATING(x.scalar_type(), "rrelu_backward", [&] {
    using stored_t = Stored<scalar_t>::type;
    using acc_t = Arithmetic<stored_t>::type;
    const auto* grad_ptr = input<stored_t>(grad_dense);
    const auto* x_ptr = input<stored_t>(x_dense);
    auto* grad_x_ptr = output<stored_t>(grad_x);
    torch::stable::parallel_for(0, x.numel(), kGrain, [&](int64_t begin, int64_t end) {
      backward_loop<stored_t, acc_t>(
          grad_ptr + begin, x_ptr + begin, grad_x_ptr + begin, end - begin,
          static_cast<acc_t>(alpha));
    });
  });
  return grad_x;
}

Tensor rrelu_add_forward_cpu(const Tensor& a, const Tensor& b, double alpha) {
  check_same_kind("rrelu_add_forward", "b", b, "a", a);
  Tensor y = torch::stable::empty_like(a);
  const Tensor a_dense = in_layout_of(a, y);
  const Tensor b_dense = in_layout_of(b, y);
  ORIGINET_DISPATCH_FLOATING(a.scalar_type(), "rrelu_add_forward", [&] {
    using stored_t = Stored<scalar_t>::type;
    using acc_t = Arithmetic<stored_t>::type;
    const auto* a_ptr = input<stored_t>(a_dense);
    const auto* b_ptr = input<stored_t>(b_dense);
    auto* y_ptr = output<stored_t>(y);
    torch::stable::parallel_for(0, a.numel(), kGrain, [&](int64_t begin, int64_t end) {
      add_forward_loop<stored_t, acc_t>(
          a_ptr + begin, b_ptr + begin, y_ptr + begin, end - begin, static_cast<acc_t>(alpha));
    });
  });
  return y;
}

std::tuple<Tensor, Tensor> rrelu_add_backward_cpu(
    const Tensor& grad, const Tensor& a, const Tensor& b, double alpha) {
  check_same_kind("rrelu_add_backward", "b", b, "a", a);
  check_same_kind("rrelu_add_backward", "grad", grad, "a", a);
  Tensor grad_a = torch::stable::empty_like(a);
  Tensor grad_b = torch::stable::empty_like(grad_a);
  const Tensor a_dense = in_layout_of(a, grad_a);
  const Tensor b_dense = in_layout_of(b, grad_a);
  const Tensor grad_dense = in_layout_of(grad, grad_a);
  ORIGINET_DISPATCH_FLOATING(a.scalar_type(), "rrelu_add_backward", [&] {
    using stored_t = Stored<scalar_t>::type;
    using acc_t = Arithmetic<stored_t>::type;
    const auto* grad_ptr = input<stored_t>(grad_dense);
    const auto* a_ptr = input<stored_t>(a_dense);
    const auto* b_ptr = input<stored_t>(b_dense);
    auto* grad_a_ptr = output<stored_t>(grad_a);
    auto* grad_b_ptr = output<stored_t>(grad_b);
    torch::stable::parallel_for(0, a.numel(), kGrain, [&](int64_t begin, int64_t end) {
      add_backward_loop<stored_t, acc_t>(
          grad_ptr + begin, a_ptr + begin, b_ptr + begin, grad_a_ptr + begin, grad_b_ptr + begin,
          end - begin, static_cast<acc_t>(alpha));
    });
  });
  return {grad_a, grad_b};
}

} // namespace

STABLE_TORCH_LIBRARY_IMPL(originet, CPU, m) {
  m.impl("rrelu_forward", TORCH_BOX(&rrelu_forward_cpu));
  m.impl("rrelu_forward_", TORCH_BOX(&rrelu_forward_inplace_cpu));
  m.impl("rrelu_backward", TORCH_BOX(&rrelu_backward_cpu));
  m.impl("rrelu_add_forward", TORCH_BOX(&rrelu_add_forward_cpu));
  m.impl("rrelu_add_backward", TORCH_BOX(&rrelu_add_backward_cpu));
}

} // namespace originet
