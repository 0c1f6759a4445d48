// The Python module. Importing it runs the static initialisers that register the ops;
// pybind11 binds everything that is not a torch op.
#include <pybind11/pybind11.h>

#include "build_config.h" // written by setup.py
#include "cpu_vector.h"
#include "frame_accumulator.h"
#include "rrelu_backend.h"

#ifdef ORIGINET_WITH_CUDA
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
extern "C" __attribute__((weak)) AOTITorchError
aoti_torch_get_current_cuda_stream(int32_t device_index, void** ret_stream);
#endif

namespace py = pybind11;

namespace originet {
namespace {

// The clone of ORIGINET_MULTIVERSION functions that this processor runs.
const char* cpu_dispatch_level() {
#ifdef ORIGINET_MULTIVERSION_X86
  __builtin_cpu_init();
  if (__builtin_cpu_supports("x86-64-v4")) {
    return "x86-64-v4 (AVX-512)";
  }
  if (__builtin_cpu_supports("x86-64-v3")) {
    return "x86-64-v3 (AVX2)";
  }
  return "x86-64 (SSE2)";
#else
  return "compiler default";
#endif
}

// Whether this torch exports the functions that the CUDA kernels call.
bool cuda_symbols_resolved() {
#ifdef ORIGINET_WITH_CUDA
  return aoti_torch_get_current_cuda_stream != nullptr;
#else
  return false;
#endif
}

py::dict build_info() {
  py::dict info;
  info["version"] = ORIGINET_VERSION;
  info["cuda_decision"] = ORIGINET_CUDA_DECISION;
  info["cuda_archs"] = ORIGINET_CUDA_ARCHS;
  info["nvcc"] = ORIGINET_NVCC_VERSION;
  info["cuda_symbols_resolved"] = cuda_symbols_resolved();
  info["cpu_dispatch_level"] = cpu_dispatch_level();
  info["compiler"] = __VERSION__;
  info["torch_headers"] = ORIGINET_TORCH_HEADERS;
  info["autograd_decision"] = ORIGINET_AUTOGRAD_DECISION;
  return info;
}

} // namespace
} // namespace originet

PYBIND11_MODULE(_C, module) {
  module.def("build_info", &originet::build_info);
  // For the autograd kernels, which are in another library.
  module.attr("rrelu_cpu") =
      py::capsule(reinterpret_cast<void*>(&originet::run_rrelu_cpu), "originet rrelu_cpu");
  originet::add_frame_accumulator(module);
}
