// Calls the CPU kernels of psi from the autograd kernels, without the dispatcher. Kernels of the
// stable ABI are boxed, so for small tensors the dispatcher costs more than the kernel itself.
#pragma once

#include <array>
#include <cmath>

#include <ATen/ops/empty_like.h>

#include "../rrelu_backend.h"
#include "node.h"

namespace originet::autograd {

// The kernel in `_C`; null until use_cpu_kernel() is called.
inline RReluBackend* cpu_backend = nullptr;

// Whether all elements of a dense tensor lie in its memory. They always do until somebody resizes
// its storage.
inline bool has_memory(const Tensor& x) {
  const size_t elements = static_cast<size_t>(x.storage_offset()) + static_cast<size_t>(x.numel());
  return elements <= x.storage().nbytes() / x.element_size();
}

// Whether there are kernels for this dtype.
inline bool is_supported(at::ScalarType dtype) {
  return dtype == at::kFloat || dtype == at::kDouble || dtype == at::kHalf ||
         dtype == at::kBFloat16;
}

// Whether only the CPU kernel is left to run, and can read the tensors as they are. In all other
// cases the kernel behind the dispatcher runs, which also raises the errors.
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
