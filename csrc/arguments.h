// Checks of an op's arguments, and arithmetic with them. Sizes, strides, indices and lengths may be
// any int64, so their sums and products are checked for overflow.
#pragma once

#include <cmath>

#include "common.h"

namespace originet {

inline int64_t checked_sum(const char* op, const char* what, int64_t a, int64_t b) {
  int64_t sum = 0;
  check(!__builtin_add_overflow(a, b, &sum), op, ": ", what, " does not fit in 64 bits");
  return sum;
}

inline int64_t checked_product(const char* op, const char* what, int64_t a, int64_t b) {
  int64_t product = 0;
  check(!__builtin_mul_overflow(a, b, &product), op, ": ", what, " does not fit in 64 bits");
  return product;
}

// The number of elements in dimensions [from, dim()). torch bounds the product over all dimensions,
// but if one of the others is 0, that bound says nothing.
inline int64_t checked_numel(const char* op, const char* what, const Tensor& tensor, int64_t from) {
  int64_t numel = 1;
  for (int64_t d = from; d < tensor.dim(); ++d) {
    if (tensor.size(d) == 0) {
      return 0;
    }
  }
  for (int64_t d = from; d < tensor.dim(); ++d) {
    numel = checked_product(op, what, numel, tensor.size(d));
  }
  return numel;
}

// Raises unless all elements lie in the tensor's memory. They always do until somebody resizes its
// storage.
inline void check_memory(const char* op, const char* name, const Tensor& tensor) {
  int64_t reach = tensor.storage_offset(); // the last element, then bytes
  bool fits = true;
  for (int64_t d = 0; d < tensor.dim(); ++d) {
    const int64_t size = tensor.size(d);
    if (size == 0) {
      return;
    }
    int64_t span = 0;
    fits = fits && !__builtin_mul_overflow(size - 1, tensor.stride(d), &span) &&
           !__builtin_add_overflow(reach, span, &reach);
  }
  int64_t bytes = 0;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_storage_size(tensor.get(), &bytes));
  fits = fits && !__builtin_add_overflow(reach, 1, &reach) &&
         !__builtin_mul_overflow(reach, static_cast<int64_t>(tensor.element_size()), &reach);
  check(fits && reach <= bytes, op, ": the elements of ", name, " lie outside of its storage");
}

inline bool is_floating(ScalarType dtype) {
  return dtype == ScalarType::Half || dtype == ScalarType::BFloat16 || dtype == ScalarType::Float ||
         dtype == ScalarType::Double;
}

inline void check_floating(const char* op, const char* name, const Tensor& tensor) {
  const ScalarType dtype = tensor.scalar_type();
  check(
      is_floating(dtype), op, ": ", name, " must be float16, bfloat16, float32 or float64, got ",
      torch::headeronly::toString(dtype));
}

inline void check_alpha(const char* op, double alpha) {
  check(std::isfinite(alpha), op, ": alpha must be finite, got ", alpha);
}

// A tensor that a kernel computes with.
inline void check_tensor(const char* op, const char* name, const Tensor& tensor) {
  check_floating(op, name, tensor);
  check_memory(op, name, tensor);
}

// Another tensor that must be like the first.
inline void check_same_kind(
    const char* op,
    const char* name,
    const Tensor& tensor,
    const char* like_name,
    const Tensor& like) {
  bool same_shape = tensor.dim() == like.dim();
  for (int64_t d = 0; same_shape && d < like.dim(); ++d) {
    same_shape = tensor.size(d) == like.size(d);
  }
  check(
      same_shape, op, ": ", name, " must have the shape of ", like_name, ", ", ShapeOf{like},
      ", got ", ShapeOf{tensor});
  check(
      tensor.scalar_type() == like.scalar_type(), op, ": ", name, " must have the dtype of ",
      like_name, ", ", torch::headeronly::toString(like.scalar_type()), ", got ",
      torch::headeronly::toString(tensor.scalar_type()));
  check(
      tensor.device() == like.device(), op, ": ", name, " and ", like_name,
      " must be on the same device");
  check_memory(op, name, tensor);
}

// An in-place op must not reach one element by two indices.
inline void check_no_overlap(const char* op, const char* name, const Tensor& tensor) {
  if (tensor.numel() == 0) {
    return;
  }
  for (int64_t d = 0; d < tensor.dim(); ++d) {
    check(
        tensor.size(d) <= 1 || tensor.stride(d) != 0, op, ": ", name,
        " is expanded along dimension ", d,
        ", so several of its elements share memory; clone it first");
  }
}

} // namespace originet
