// What every op needs on the host side: short names for the stable ABI, one
// check, one dtype dispatch, and the layout rule of element-wise ops.
#pragma once

#include <cstdint>
#include <sstream>
#include <stdexcept>

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/Dispatch_v2.h>
#include <torch/headeronly/core/ScalarType.h>

namespace originet {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// Raises RuntimeError with the concatenated message. STD_TORCH_CHECK would put
// the build machine's source path in front of it.
template <typename... Parts>
void check(bool condition, const Parts&... message) {
  if (!condition) [[unlikely]] {
    std::ostringstream stream;
    (stream << ... << message);
    throw std::runtime_error(stream.str());
  }
}

// Runs the trailing lambda with `scalar_t` as the C++ type of a floating dtype.
#define ORIGINET_DISPATCH_FLOATING(SCALAR_TYPE, NAME, ...)        \
  THO_DISPATCH_V2(                                                \
      SCALAR_TYPE, NAME, AT_WRAP(__VA_ARGS__), AT_FLOATING_TYPES, \
      torch::headeronly::ScalarType::Half, torch::headeronly::ScalarType::BFloat16)

// A tensor's shape in a message, as [2, 3]; written only if the check fails.
struct ShapeOf {
  const Tensor& tensor;
};

inline std::ostream& operator<<(std::ostream& stream, const ShapeOf& shape) {
  stream << '[';
  for (int64_t d = 0; d < shape.tensor.dim(); ++d) {
    stream << (d == 0 ? "" : ", ") << shape.tensor.size(d);
  }
  return stream << ']';
}

// Whether both tensors place equal indices at equal offsets.
inline bool same_layout(const Tensor& a, const Tensor& b) {
  for (int64_t d = 0; d < a.dim(); ++d) {
    if (a.size(d) != 1 && a.stride(d) != b.stride(d)) {
      return false;
    }
  }
  return true;
}

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
}

// An in-place op must not meet one element at two indices.
inline void check_no_overlap(const char* op, const char* name, const Tensor& tensor) {
  for (int64_t d = 0; d < tensor.dim(); ++d) {
    check(
        tensor.size(d) <= 1 || tensor.stride(d) != 0, op, ": ", name,
        " is expanded along dimension ", d,
        ", so several of its elements share memory; clone it first");
  }
}

// The tensor itself where its layout is that of `like`, else a copy in that
// layout.
inline Tensor in_layout_of(const Tensor& tensor, const Tensor& like) {
  if (same_layout(tensor, like)) {
    return tensor;
  }
  Tensor copy = torch::stable::empty_like(like);
  torch::stable::copy_(copy, tensor);
  return copy;
}

} // namespace originet
