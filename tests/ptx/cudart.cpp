// The functions of the CUDA runtime that nvcc's host code and the library call, over runtime.h.
#include <map>
#include <mutex>
#include <string>

#include "runtime.h"

namespace {

using ptx::Index;

struct Configuration {
  Index grid, block;
  size_t shared;
  void* stream;
};

constexpr int kSuccess = 0, kLaunchFailure = 719;

thread_local Configuration pushed;
thread_local std::string last_error; // "" if there was none
thread_local std::string shown_error;

// From a kernel's address on the host to its name in the PTX.
std::map<const void*, std::string>& names() {
  static std::map<const void*, std::string> all;
  return all;
}

} // namespace

extern "C" {

unsigned __cudaPushCallConfiguration(Index grid, Index block, size_t shared, void* stream) {
  pushed = {grid, block, shared, stream};
  return 0;
}

int __cudaPopCallConfiguration(Index* grid, Index* block, size_t* shared, void* stream) {
  *grid = pushed.grid;
  *block = pushed.block;
  *shared = pushed.shared;
  *static_cast<void**>(stream) = pushed.stream;
  return kSuccess;
}

void** __cudaRegisterFatBinary(void*) {
  static void* handle;
  return &handle;
}
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
char __cudaInitModule(void**) {
  return 0;
}
void __cudaRegisterVar(void**, char*, char*, const char*, int, size_t, int, int) {}

void __cudaRegisterFunction(
    void**, const char* host, char*, const char* name, int, void*, void*, void*, void*, int*) {
  names()[host] = name;
}

int __cudaGetKernel(const void** kernel, const void* host) {
  *kernel = host;
  return kSuccess;
}

int cudaLaunchKernel(
    const void* host, Index grid, Index block, void** arguments, size_t shared, void*) {
  last_error = ptx::launch(names().at(host), grid, block, arguments, shared);
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
