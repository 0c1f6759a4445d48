// The psi kernels of a backend, which rrelu_ops.h calls.
#pragma once

#include <array>
#include <cstdint>

#include <torch/headeronly/core/ScalarType.h>

namespace originet {

enum class RReluOp { kForward, kBackward, kAddForward, kAddBackward };

// Dense tensors of the same layout, dtype and device, as a kernel sees them.
struct Elements {
  std::array<const void*, 3> in;
  std::array<void*, 2> out;
  int64_t numel;
  torch::headeronly::ScalarType dtype;
  int32_t device_index;
};

// A backend applies the functor of an op (rrelu_math.h) to every element. An output may be
// an input.
using RReluBackend = void(RReluOp op, const Elements& elements, double alpha);
RReluBackend run_rrelu_cpu;
RReluBackend run_rrelu_cuda; // only in a build with CUDA

} // namespace originet
