// Memory of the device and of the host, and copies.
#include <cstdlib>
#include <cstring>

#include "state.h"

using namespace fake_gpu;

namespace {

constexpr size_t kTotal = size_t(6) << 30; // bytes of each device
constexpr size_t kAlignment = 512;         // what cudaMalloc gives
constexpr size_t kPage = 4096;
constexpr int kFresh = 0xff; // NaN in every floating type, and no valid index
constexpr int kFreed = 0xdd;

struct Block {
  size_t bytes;
  int device;
};
using Blocks = std::map<const char*, Block>;

Blocks device_blocks, pinned_blocks;
std::map<int, size_t> used; // bytes by device

const Block* find(const Blocks& blocks, const void* pointer) {
  const auto* address = static_cast<const char*>(pointer);
  auto next = blocks.upper_bound(address);
  if (next == blocks.begin()) {
    return nullptr;
  }
  const auto& [start, block] = *--next;
  return address < start + block.bytes ? &block : nullptr;
}

void count_copy(Place to, Place from) {
  const bool to_device = to == Place::kDevice, from_device = from == Place::kDevice;
  ++(to_device ? from_device ? counts.on_device : counts.to_device : counts.to_host);
  counts.pageable += to == Place::kPageable || from == Place::kPageable;
}

} // namespace

namespace fake_gpu {

Place place_of(const void* pointer) {
  const std::lock_guard lock(mutex);
  return find(device_blocks, pointer) != nullptr   ? Place::kDevice
         : find(pinned_blocks, pointer) != nullptr ? Place::kPinned
                                                   : Place::kPageable;
}

} // namespace fake_gpu

cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  const std::lock_guard lock(mutex);
  if (const cudaError_t error = check_no_capture(); error != cudaSuccess) {
    return error;
  }
  ++counts.allocations;
  const int device = current_device();
  if (bytes > kTotal - used[device] || posix_memalign(pointer, kAlignment, bytes) != 0) {
    return fail(cudaErrorMemoryAllocation);
  }
  std::memset(*pointer, kFresh, bytes);
  used[device] += bytes;
  device_blocks[static_cast<const char*>(*pointer)] = {bytes, device};
  return cudaSuccess;
}

cudaError_t cudaFree(void* pointer) {
  const std::lock_guard lock(mutex);
  if (pointer == nullptr) {
    return cudaSuccess;
  }
  if (const cudaError_t error = check_no_capture(); error != cudaSuccess) {
    return error;
  }
  ++counts.frees;
  const auto found = device_blocks.find(static_cast<const char*>(pointer));
  if (found == device_blocks.end()) {
    return fail(cudaErrorInvalidValue);
  }
  used[found->second.device] -= found->second.bytes;
  std::memset(pointer, kFreed, found->second.bytes);
  device_blocks.erase(found);
  std::free(pointer);
  return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned) {
  const std::lock_guard lock(mutex);
  if (const cudaError_t error = check_no_capture(); error != cudaSuccess) {
    return error;
  }
  if (posix_memalign(pointer, kPage, bytes) != 0) {
    return fail(cudaErrorMemoryAllocation);
  }
  pinned_blocks[static_cast<const char*>(*pointer)] = {bytes, current_device()};
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void* pointer) {
  const std::lock_guard lock(mutex);
  if (const cudaError_t error = check_no_capture(); error != cudaSuccess) {
    return error;
  }
  pinned_blocks.erase(static_cast<const char*>(pointer));
  std::free(pointer);
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  const std::lock_guard lock(mutex);
  *total = kTotal;
  *free = kTotal - used[current_device()];
  return cudaSuccess;
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  const std::lock_guard lock(mutex);
  *attributes = {};
  const Block* device = find(device_blocks, pointer);
  const Block* pinned = find(pinned_blocks, pointer);
  attributes->type = device != nullptr   ? cudaMemoryTypeDevice
                     : pinned != nullptr ? cudaMemoryTypeHost
                                         : cudaMemoryTypeUnregistered;
  const Block* block = device != nullptr ? device : pinned;
  attributes->device = block == nullptr ? -2 : block->device; // cudaInvalidDeviceId
  attributes->devicePointer = block == nullptr ? nullptr : const_cast<void*>(pointer);
  attributes->hostPointer = pinned == nullptr ? nullptr : const_cast<void*>(pointer);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(
    void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
  {
    const std::lock_guard lock(mutex);
    count_copy(place_of(to), place_of(from));
  }
  return enqueue(stream, [=] {
    std::memmove(to, from, bytes);
    return cudaSuccess;
  });
}

cudaError_t cudaMemcpyPeerAsync(
    void* to, int, const void* from, int, size_t bytes, cudaStream_t stream) {
  return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream);
}

// Waits for the copy.
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind) {
  const std::lock_guard lock(mutex);
  ++counts.synchronisations;
  count_copy(place_of(to), place_of(from));
  if (const cudaError_t error = check_no_capture(); error != cudaSuccess) {
    return error;
  }
  std::memmove(to, from, bytes);
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  return enqueue(stream, [=] {
    std::memset(to, value, bytes);
    return cudaSuccess;
  });
}

cudaError_t cudaMemset(void* to, int value, size_t bytes) {
  return cudaMemsetAsync(to, value, bytes, nullptr);
}
