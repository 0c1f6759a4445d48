// Streams and events. As work is done when it is queued, waiting only checks the rules of captures.
#include <algorithm>
#include <set>

#include "state.h"

using namespace fake_gpu;

namespace {

std::map<int, Stream> default_streams; // by device
std::set<Stream*> streams;

Event* event_of(cudaEvent_t handle) {
  return reinterpret_cast<Event*>(handle);
}

// What asks about an event that a capture recorded breaks the capture.
cudaError_t check_event(const Event& event) {
  if (Graph* graph = capture_with_id(event.capture); graph != nullptr) {
    graph->invalid = true;
    return fail(cudaErrorCapturedEvent);
  }
  return check_no_capture();
}

} // namespace

namespace fake_gpu {

std::recursive_mutex mutex;
Counts counts;

Stream& stream_of(cudaStream_t handle) {
  if (handle == nullptr || handle == cudaStreamLegacy || handle == cudaStreamPerThread) {
    Stream& stream = default_streams[current_device()];
    stream.device = current_device();
    return stream;
  }
  return *reinterpret_cast<Stream*>(handle);
}

void for_each_stream(const std::function<void(Stream&)>& visit) {
  for (Stream* stream : streams) {
    visit(*stream);
  }
}

} // namespace fake_gpu

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* handle, unsigned, int) {
  const std::lock_guard lock(mutex);
  auto* stream = new Stream{current_device()};
  streams.insert(stream);
  *handle = reinterpret_cast<cudaStream_t>(stream);
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* handle, unsigned flags) {
  return cudaStreamCreateWithPriority(handle, flags, 0);
}
cudaError_t cudaStreamCreate(cudaStream_t* handle) {
  return cudaStreamCreateWithPriority(handle, 0, 0);
}

cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  const std::lock_guard lock(mutex);
  auto* stream = reinterpret_cast<Stream*>(handle);
  streams.erase(stream);
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamGetPriority(cudaStream_t, int* priority) {
  *priority = 0;
  return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  const std::lock_guard lock(mutex);
  return check_not_captured(stream_of(handle));
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  const std::lock_guard lock(mutex);
  ++counts.synchronisations;
  return check_not_captured(stream_of(handle));
}

cudaError_t cudaDeviceSynchronize() {
  const std::lock_guard lock(mutex);
  ++counts.synchronisations;
  return check_no_capture_at_all();
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* handle, unsigned) {
  *handle = reinterpret_cast<cudaEvent_t>(new Event);
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* handle) {
  return cudaEventCreateWithFlags(handle, 0);
}

cudaError_t cudaEventDestroy(cudaEvent_t handle) {
  delete event_of(handle);
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t handle, cudaStream_t stream_handle) {
  const std::lock_guard lock(mutex);
  Stream& stream = stream_of(stream_handle);
  const unsigned long long capture = stream.capture == nullptr ? 0 : stream.capture->id;
  *event_of(handle) = {&stream, capture, stream.after, std::chrono::steady_clock::now()};
  return cudaSuccess;
}
cudaError_t cudaEventRecordWithFlags(cudaEvent_t handle, cudaStream_t stream, unsigned) {
  return cudaEventRecord(handle, stream);
}

cudaError_t cudaEventQuery(cudaEvent_t handle) {
  const std::lock_guard lock(mutex);
  return check_event(*event_of(handle));
}

cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
  const std::lock_guard lock(mutex);
  ++counts.synchronisations;
  return check_event(*event_of(handle));
}

// The host's time, which is what benchmarks budget.
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  const std::chrono::duration<float, std::milli> time = event_of(end)->time - event_of(start)->time;
  *milliseconds = std::max(time.count(), 1e-3f); // they divide by it
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event_handle, unsigned) {
  const std::lock_guard lock(mutex);
  Stream& stream = stream_of(handle);
  const Event& event = *event_of(event_handle);
  Graph* capture = capture_with_id(event.capture);
  if (event.stream == nullptr || (capture == nullptr && stream.capture == nullptr)) {
    return cudaSuccess;
  }
  if (capture == nullptr) { // the graph would have to wait for work outside of it
    stream.capture->invalid = true;
    return fail(cudaErrorStreamCaptureIsolation);
  }
  if (stream.capture != nullptr && stream.capture != capture) {
    stream.capture->invalid = capture->invalid = true;
    return fail(cudaErrorStreamCaptureMerge);
  }
  if (stream.capture == nullptr) { // the stream forks from the capture
    stream.capture = capture;
    stream.after.clear();
  }
  for (const auto& [other, count] : event.after) {
    size_t& seen = stream.after[other];
    seen = std::max(seen, count);
  }
  return cudaSuccess;
}
