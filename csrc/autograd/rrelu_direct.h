// The last step from an autograd kernel to the CPU's kernel of psi. Through the dispatcher it costs
// more than a small tensor's kernel itself, because kernels of the stable ABI are boxed.
#pragma once

#include <array>
#include <cmath>

#include <ATen/ops/empty_like.h>

#include "../rrelu_backend.h"
#include "node.h"

namespace originet::autograd {

// The kernel that `_C` has; null until the module is told.
inline RReluBackend* cpu_backend = nullptr;

// Whether a dense tensor's elements lie in its memory, as they do until its storage is resized.
inline bool has_memory(const Tensor& x) {
  const size_t elements = static_cast<size_t>(x.storage_offset()) + static_cast<size_t>(x.numel());
  return elements <= x.storage().nbytes() / x.element_size();
}

// Whether there are kernels for a dtype.
inline bool is_supported(at::ScalarType dtype) {
  return dtype == at::kFloat || dtype == at::kDouble || dtype == at::kHalf ||
         dtype == at::kBFloat16;
}

// Whether nothing but the CPU's kernel is left to run, on tensors that it can read as they are.
// The kernel behind the dispatcher has the errors.
template <typename... Others>
bool is_direct(DispatchKeySet keys, double alpha, const Tensor& first, const Others&... others) {
  const DispatchKeySet below = keys & c10::after_ADInplaceOrView_keyset;
  return cpu_backend != nullptr && below.highestPriorityTypeId() == c10::DispatchKey::CPU &&
         std::isfinite(alpha) && is_supported(first.scalar_type()) &&
         first.is_non_overlapping_and_dense() && has_memory(first) &&
         ((others.sizes().equals(first.sizes()) && others.strides().equals(first.strides()) &&
           others.scalar_type() == first.scalar_type() && others.is_cpu() && has_memory(others)) &&
          ...);
}

template <size_t kIn, size_t kOut>
void run_directly(
    RReluOp op,
    const std::array<const Tensor*, kIn>& in,
    const std::array<const Tensor*, kOut>& out,
    double alpha) {
  Elements elements{{}, {}, out[0]->numel(), out[0]->scalar_type(), -1};
  for (size_t k = 0; k < kIn; ++k) {
    elements.in[k] = in[k]->const_data_ptr();
  }
  for (size_t k = 0; k < kOut; ++k) {
    elements.out[k] = out[k]->mutable_data_ptr();
  }
  cpu_backend(op, elements, alpha);
}

} // namespace originet::autograd
