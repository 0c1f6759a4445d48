// The device that is not there: its memory is the host's, and work in a stream is done at once, by
// who queues it. A stream that is captured records its work instead, under the rules of
// "CUDA Graphs" in the CUDA programming guide.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <cuda_runtime_api.h>

namespace fake_gpu {

// What torch_ops.py reads, in this order (counts.py).
struct Counts {
  int64_t kernels = 0;   // launched, or recorded
  int64_t torch_ops = 0; // of torch's own, computed by torch_ops.py
  int64_t graph_launches = 0;
  int64_t captures = 0;
  int64_t allocations = 0; // cudaMalloc
  int64_t frees = 0;       // cudaFree
  int64_t synchronisations = 0;
  int64_t to_device = 0; // copies
  int64_t to_host = 0;
  int64_t on_device = 0;
  int64_t pageable = 0; // of the copies, those that CUDA cannot do while the host goes on
};

using Work = std::function<cudaError_t()>;

struct Stream;

// How many pieces of recorded work of each stream something comes after.
using After = std::map<const Stream*, size_t>;

struct Graph {
  unsigned long long id = 0;
  std::vector<Work> work;
  Stream* origin = nullptr; // where the capture began
  std::thread::id thread;
  cudaStreamCaptureMode mode{};
  bool invalid = false;
  After recorded; // work by stream
};

struct Stream {
  int device = 0;
  Graph* capture = nullptr;
  After after; // within the capture
};

struct Event {
  Stream* stream = nullptr;       // null until it is recorded
  unsigned long long capture = 0; // the id of the graph it was recorded in, or 0
  After after;
  std::chrono::steady_clock::time_point time;
};

enum class Place { kPageable, kPinned, kDevice };

// Guards all of this; never held while work runs, which may need Python's lock.
extern std::recursive_mutex mutex;
extern Counts counts;

int current_device();
int device_count();
// The stream of a handle; null is the default stream of the current device.
Stream& stream_of(cudaStream_t handle);
Place place_of(const void* pointer);

// Remembers an error for cudaGetLastError, and returns it.
cudaError_t fail(cudaError_t error);

void for_each_stream(const std::function<void(Stream&)>& visit);

// Does the work, or records it if the stream is captured.
cudaError_t enqueue(cudaStream_t stream, Work work);

// For calls that a capture in progress forbids, because they may wait for the device: ends the
// capture as invalid.
cudaError_t check_no_capture();
// For calls that wait for, or ask about, one stream.
cudaError_t check_not_captured(Stream& stream);
// The capture of that id, while it lasts.
Graph* capture_with_id(unsigned long long id);
// For calls about the whole device, which no mode allows.
cudaError_t check_no_capture_at_all();

} // namespace fake_gpu
