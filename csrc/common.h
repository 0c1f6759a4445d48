// What every op needs on the host: short names for the stable ABI, a check, dtype dispatch, the
// layout rule of element-wise ops, and kernels as the dispatcher calls them.
#pragma once

#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <utility>

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/Dispatch_v2.h>
#include <torch/headeronly/core/ScalarType.h>

#include "registration.h"

// Available since torch 2.13. Declared weak so that the library also loads in older versions.
extern "C" __attribute__((weak)) const char* torch_exception_get_what_without_backtrace();

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

// The tensor itself if it has the layout of `like`, otherwise a copy in that layout.
inline Tensor in_layout_of(const Tensor& tensor, const Tensor& like) {
  if (same_layout(tensor, like)) {
    return tensor;
  }
  Tensor copy = torch::stable::empty_like(like);
  torch::stable::copy_(copy, tensor);
  return copy;
}

// A kernel as the dispatcher calls it. If one of torch's own functions fails, for lack of memory,
// say, the error of the stable ABI only names the function. torch still knows the reason.
template <auto kernel>
struct Kernel;

template <typename Result, typename... Arguments, Result (*kernel)(Arguments...)>
struct Kernel<kernel> {
  static Result call(Arguments... arguments) {
    try {
      return kernel(std::forward<Arguments>(arguments)...);
    } catch (const std::runtime_error& error) {
      const bool of_torch =
          std::string_view(error.what()).find(" API call failed at ") != std::string_view::npos;
      if (of_torch && torch_exception_get_what_without_backtrace != nullptr) {
        throw std::runtime_error(torch_exception_get_what_without_backtrace());
      }
      throw;
    }
  }
};

#define ORIGINET_BOX(kernel) TORCH_BOX(&originet::Kernel<kernel>::call)

} // namespace originet
