#include "registration.h"

#include <map>
#include <mutex>

#include "thread.h"

namespace {

using ptx::Index;

struct Configuration {
  Index grid, block;
  size_t shared;
  void* stream;
};
thread_local Configuration pushed;

std::mutex mutex;

// Made at the first use, which is before that of any variable here.
std::map<const void*, std::string>& names() {
  static std::map<const void*, std::string> all;
  return all;
}

} // namespace

std::string ptx::kernel_name(const void* host) {
  const std::lock_guard lock(mutex);
  return names().at(host);
}

extern "C" {

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
  const std::lock_guard lock(mutex);
  names()[host] = name;
}

unsigned __cudaPushCallConfiguration(Index grid, Index block, size_t shared, void* stream) {
  pushed = {grid, block, shared, stream};
  return 0;
}
int __cudaPopCallConfiguration(Index* grid, Index* block, size_t* shared, void* stream) {
  *grid = pushed.grid;
  *block = pushed.block;
  *shared = pushed.shared;
  *static_cast<void**>(stream) = pushed.stream;
  return 0;
}

int __cudaGetKernel(const void** kernel, const void* host) {
  *kernel = host;
  return 0;
}

} // extern "C"
