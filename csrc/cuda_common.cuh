// The only place that launches kernels, and the 16-byte vectors they load and store.
#pragma once

#include <algorithm>
#include <climits>
#include <cstring>

#include <cuda_runtime.h>

#include "common.h"

// The dispatch key under which the kernels are registered. tests/ptx runs them without a GPU, on
// tensors of the CPU; that build defines ORIGINET_EMULATED.
#ifdef ORIGINET_EMULATED
#define ORIGINET_CUDA_KEY CPU
#else
#define ORIGINET_CUDA_KEY CUDA
#endif

// A CPU-only torch does not export this shim. Declared weak so that one library loads
// in a CPU-only and in a CUDA torch; current_stream() checks for it.
extern "C" __attribute__((weak)) AOTITorchError
aoti_torch_get_current_cuda_stream(int32_t device_index, void** ret_stream);

namespace originet {

constexpr int kThreadsPerBlock = 256; // per block
constexpr int kVectorBytes = 16;      // the widest single load or store
constexpr int kWarp = 32;             // threads
constexpr int kWarps = kThreadsPerBlock / kWarp;

// 16-bit types compute in float.
template <typename scalar_t>
struct AccType {
  using type = float;
};
template <>
struct AccType<double> {
  using type = double;
};

// kCount consecutive elements, moved by one instruction.
template <typename scalar_t, int kCount>
struct alignas(sizeof(scalar_t) * kCount) Vector {
  scalar_t values[kCount];
};

// Value j in the type in which it is computed with. Of two bfloat16 in a word, which are the upper
// halves of floats, the compiler would move the upper one down and up again.
template <typename acc_t, typename scalar_t, int kVec>
__device__ __forceinline__ acc_t wide(const scalar_t (&values)[kVec], int j) {
  if constexpr (std::is_same_v<scalar_t, c10::BFloat16> && kVec > 1) {
    uint32_t two;
    std::memcpy(&two, values + j / 2 * 2, sizeof two);
    return static_cast<acc_t>(__uint_as_float(j % 2 == 0 ? two << 16 : two & 0xffff0000));
  } else {
    return static_cast<acc_t>(values[j]);
  }
}

// Stores kVec values. More than one must start at a multiple of 16 bytes.
template <typename T, int kVec>
__device__ __forceinline__ void store_vector(T* target, const T (&values)[kVec]) {
  if constexpr (kVec == 1) {
    *target = values[0];
  } else {
    // 16 bytes at a time. In assembly because the compiler splits some vector stores, to
    // merge them with those of another branch. "memory" because kernels read back what
    // they stored.
    constexpr int kStore = kVectorBytes / sizeof(T);
#pragma unroll
    for (int j = 0; j < kVec; j += kStore) {
      uint4 bits;
      std::memcpy(&bits, values + j, sizeof bits);
      asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(target + j), "r"(bits.x),
                   "r"(bits.y), "r"(bits.z), "r"(bits.w)
                   : "memory");
    }
  }
}

inline int64_t misalignment(const void* pointer) {
  return static_cast<int64_t>(reinterpret_cast<uintptr_t>(pointer) % kVectorBytes);
}

inline void check_cuda(cudaError_t error, const char* what) {
  check(error == cudaSuccess, what, ": CUDA error: ", cudaGetErrorString(error));
}

inline cudaStream_t current_stream(int32_t device_index) {
  check(
      aoti_torch_get_current_cuda_stream != nullptr,
      "originet_ext: this torch does not provide aoti_torch_get_current_cuda_stream, so the CUDA "
      "kernels cannot run; install a CUDA build of torch >= 2.11");
  void* stream = nullptr;
  check(
      aoti_torch_get_current_cuda_stream(device_index, &stream) == AOTI_TORCH_SUCCESS,
      "originet_ext: torch has no current stream for CUDA device ", device_index);
  return static_cast<cudaStream_t>(stream);
}

// Runs `kernel` with `blocks_x` x `blocks_y` blocks of kThreadsPerBlock threads on a
// device, in torch's current stream there. Without blocks, launches nothing.
template <typename... Parameters, typename... Arguments>
void launch(
    const char* name,
    int32_t device_index,
    int64_t blocks_x,
    int64_t blocks_y,
    void (*kernel)(Parameters...),
    const Arguments&... arguments) {
  if (blocks_x <= 0 || blocks_y <= 0) {
    return;
  }
#ifdef ORIGINET_EMULATED // there is no device, and no stream on it
  const cudaStream_t stream = nullptr;
#else
  const torch::stable::accelerator::DeviceGuard guard(device_index);
  const cudaStream_t stream = current_stream(device_index);
#endif
  // Kernels stride over what a capped grid does not cover.
  const dim3 grid(
      static_cast<unsigned>(std::min<int64_t>(blocks_x, INT_MAX)),
      static_cast<unsigned>(std::min<int64_t>(blocks_y, 65535)));
  kernel<<<grid, kThreadsPerBlock, 0, stream>>>(arguments...);
  check_cuda(cudaGetLastError(), name);
}

inline int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

} // namespace originet
