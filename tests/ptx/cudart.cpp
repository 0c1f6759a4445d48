// The functions of the CUDA runtime that nvcc's host code and the library call, over runtime.h.
#include <string>

#include "registration.h"
#include "runtime.h"

namespace {

using ptx::Index;

constexpr int kSuccess = 0, kLaunchFailure = 719;

thread_local std::string last_error; // "" if there was none
thread_local std::string shown_error;

} // namespace

extern "C" {

int cudaLaunchKernel(
    const void* host, Index grid, Index block, void** arguments, size_t shared, void*) {
  last_error = ptx::launch(ptx::kernel_name(host), grid, block, arguments, shared);
  return last_error.empty() ? kSuccess : kLaunchFailure;
}
int __cudaLaunchKernel(
    const void* kernel, Index grid, Index block, void** arguments, size_t shared, void* stream) {
  return cudaLaunchKernel(kernel, grid, block, arguments, shared, stream);
}

int cudaGetLastError() {
  shown_error = last_error;
  last_error.clear();
  return shown_error.empty() ? kSuccess : kLaunchFailure;
}
const char* cudaGetErrorString(int) {
  return shown_error.c_str();
}

} // extern "C"
