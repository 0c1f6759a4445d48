// Kernels: our own, which tests/ptx runs, and what torch_ops.py does in place of torch's.
#include <cstdio>
#include <cstring>
#include <memory>

#include "../../ptx/registration.h"
#include "../../ptx/runtime.h"
#include "state.h"

using namespace fake_gpu;

namespace {

// torch's only kernel that is let through: torch.cuda._sleep. Streams never wait for each other here.
bool is_sleep(const std::string& name) {
  return name.find("spin_kernel") != std::string::npos;
}

// The values of a launch. Recorded work outlives the variables of the host that it was launched with.
class Arguments {
 public:
  Arguments(const std::vector<ptx::Range>& parameters, void** values) {
    for (size_t i = 0; i < parameters.size(); ++i) {
      copies_.emplace_back(new char[parameters[i].bytes]);
      std::memcpy(copies_.back().get(), values[i], parameters[i].bytes);
    }
  }
  std::vector<void*> pointers() const {
    std::vector<void*> all;
    for (const auto& copy : copies_) {
      all.push_back(copy.get());
    }
    return all;
  }

 private:
  std::vector<std::unique_ptr<char[]>> copies_;
};

ptx::Index index(dim3 size) {
  return {size.x, size.y, size.z};
}

} // namespace

extern "C" {

cudaError_t __cudaLaunchKernel(
    cudaKernel_t kernel, dim3 grid, dim3 block, void** values, size_t shared, cudaStream_t stream) {
  return cudaLaunchKernel(kernel, grid, block, values, shared, stream);
}

// Queues a function of torch_ops.py.
cudaError_t fake_gpu_enqueue(cudaStream_t stream, int (*function)(int64_t), int64_t argument) {
  {
    const std::lock_guard lock(mutex);
    ++counts.torch_ops;
  }
  return enqueue(
      stream, [=] { return function(argument) == 0 ? cudaSuccess : cudaErrorLaunchFailure; });
}

} // extern "C"

cudaError_t cudaLaunchKernel(
    const void* host, dim3 grid, dim3 block, void** values, size_t shared, cudaStream_t stream) {
  {
    const std::lock_guard lock(mutex);
    ++counts.kernels;
  }
  const std::string name = ptx::kernel_name(host);
  if (is_sleep(name)) {
    return cudaSuccess;
  }
  const std::vector<ptx::Range>* parameters = ptx::parameters_of(name);
  if (parameters == nullptr) {
    std::fprintf(stderr, "fake GPU: torch launches a kernel of its own: %s\n", name.c_str());
    return fail(cudaErrorNotSupported);
  }
  const auto arguments = std::make_shared<Arguments>(*parameters, values);
  return enqueue(stream, [=] {
    const std::string wrong =
        ptx::launch(name, index(grid), index(block), arguments->pointers().data(), shared);
    if (!wrong.empty()) {
      std::fprintf(stderr, "fake GPU: %s\n", wrong.c_str());
      return cudaErrorLaunchFailure;
    }
    return cudaSuccess;
  });
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
  *attributes = {};
  attributes->maxThreadsPerBlock = 1024;
  attributes->binaryVersion = 90;
  return cudaSuccess;
}

cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int) {
  return cudaSuccess;
}
