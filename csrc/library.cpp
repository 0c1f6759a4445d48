// What the library says of itself. Loading it runs the static initialisers that register the ops.
#include "build_config.h" // written by setup.py
#include "cpu_vector.h"
#include "exported.h"
#include "rrelu_backend.h"

#ifdef ORIGINET_WITH_CUDA
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
extern "C" __attribute__((weak)) AOTITorchError
aoti_torch_get_current_cuda_stream(int32_t device_index, void** ret_stream);
#endif

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

} // namespace
} // namespace originet

// A name, its value, the next name and so on; null ends the list.
ORIGINET_EXPORTED const char* const* originet_build_info() {
  static const char* const info[] = {
      "version",
      ORIGINET_VERSION,
      "cuda_decision",
      ORIGINET_CUDA_DECISION,
      "cuda_archs",
      ORIGINET_CUDA_ARCHS,
      "nvcc",
      ORIGINET_NVCC_VERSION,
      "cuda_symbols_resolved",
      originet::cuda_symbols_resolved() ? "yes" : "",
      "cpu_dispatch_level",
      originet::cpu_dispatch_level(),
      "compiler",
      __VERSION__,
      "torch_headers",
      ORIGINET_TORCH_HEADERS,
      "autograd_decision",
      ORIGINET_AUTOGRAD_DECISION,
      "autograd_torch",
      ORIGINET_AUTOGRAD_TORCH,
      nullptr};
  return info;
}

// The address of the CPU kernel of psi, for the autograd kernels, which are in another library.
ORIGINET_EXPORTED void* originet_rrelu_cpu() {
  return reinterpret_cast<void*>(&originet::run_rrelu_cpu);
}
