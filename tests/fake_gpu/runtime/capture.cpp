// Captures, and the graphs that they make.
#include <algorithm>

#include "state.h"

using namespace fake_gpu;

namespace {

std::map<unsigned long long, Graph*> captures; // in progress, by id
thread_local cudaStreamCaptureMode thread_mode = cudaStreamCaptureModeGlobal;

Graph* graph_of(cudaGraph_t handle) {
  return reinterpret_cast<Graph*>(handle);
}

cudaError_t invalidate(Graph& graph) {
  graph.invalid = true;
  return fail(cudaErrorStreamCaptureUnsupported);
}

// Whether the capture forbids this thread the calls that may wait.
bool forbids(const Graph& graph) {
  if (graph.mode == cudaStreamCaptureModeRelaxed || thread_mode == cudaStreamCaptureModeRelaxed) {
    return false;
  }
  const bool of_this_thread = graph.thread == std::this_thread::get_id();
  const bool both_global =
      graph.mode == cudaStreamCaptureModeGlobal && thread_mode == cudaStreamCaptureModeGlobal;
  return of_this_thread || both_global;
}

cudaError_t end(Stream& stream, Graph& graph) {
  if (graph.invalid) {
    return cudaErrorStreamCaptureInvalidated;
  }
  if (graph.mode != cudaStreamCaptureModeRelaxed && graph.thread != std::this_thread::get_id()) {
    return cudaErrorStreamCaptureWrongThread;
  }
  for (const auto& [other, count] : graph.recorded) {
    if (other != &stream && stream.after[other] < count) {
      return cudaErrorStreamCaptureUnjoined;
    }
  }
  return cudaSuccess;
}

} // namespace

namespace fake_gpu {

Graph* capture_with_id(unsigned long long id) {
  const auto found = captures.find(id);
  return found == captures.end() ? nullptr : found->second;
}

cudaError_t check_no_capture() {
  for (const auto& [id, graph] : captures) {
    if (forbids(*graph)) {
      return invalidate(*graph);
    }
  }
  return cudaSuccess;
}

cudaError_t check_not_captured(Stream& stream) {
  return stream.capture != nullptr ? invalidate(*stream.capture) : check_no_capture();
}

cudaError_t check_no_capture_at_all() {
  for (const auto& [id, graph] : captures) {
    invalidate(*graph);
  }
  return captures.empty() ? cudaSuccess : cudaErrorStreamCaptureUnsupported;
}

cudaError_t enqueue(cudaStream_t handle, Work work) {
  {
    const std::lock_guard lock(mutex);
    Stream& stream = stream_of(handle);
    if (stream.device != current_device()) {
      return fail(cudaErrorInvalidResourceHandle);
    }
    if (Graph* graph = stream.capture; graph != nullptr) {
      if (graph->invalid) {
        return fail(cudaErrorStreamCaptureInvalidated);
      }
      graph->work.push_back(std::move(work));
      stream.after[&stream] = ++graph->recorded[&stream];
      return cudaSuccess;
    }
  }
  const cudaError_t error = work();
  return error == cudaSuccess ? error : fail(error);
}

} // namespace fake_gpu

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  static unsigned long long last_id = 0;
  const std::lock_guard lock(mutex);
  Stream& stream = stream_of(handle);
  if (handle == nullptr) {
    return fail(cudaErrorStreamCaptureUnsupported);
  }
  if (stream.capture != nullptr) {
    return fail(cudaErrorIllegalState);
  }
  ++counts.captures;
  auto* graph = new Graph{++last_id, {}, &stream, std::this_thread::get_id(), mode};
  captures[graph->id] = stream.capture = graph;
  stream.after.clear();
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* out) {
  const std::lock_guard lock(mutex);
  Stream& stream = stream_of(handle);
  Graph* graph = stream.capture;
  *out = nullptr;
  if (graph == nullptr) {
    return fail(cudaErrorIllegalState);
  }
  if (graph->origin != &stream) {
    return fail(cudaErrorStreamCaptureUnmatched);
  }
  const cudaError_t error = end(stream, *graph);
  for_each_stream([graph](Stream& other) {
    if (other.capture == graph) {
      other.capture = nullptr;
    }
  });
  captures.erase(graph->id);
  if (error != cudaSuccess) {
    delete graph;
    return fail(error);
  }
  *out = reinterpret_cast<cudaGraph_t>(graph);
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  const std::lock_guard lock(mutex);
  const Graph* graph = stream_of(handle).capture;
  *status = graph == nullptr ? cudaStreamCaptureStatusNone
            : graph->invalid ? cudaStreamCaptureStatusInvalidated
                             : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}

cudaError_t cudaStreamGetCaptureInfo(
    cudaStream_t handle,
    cudaStreamCaptureStatus* status,
    unsigned long long* id,
    cudaGraph_t* out,
    const cudaGraphNode_t** dependencies,
    const cudaGraphEdgeData** edges,
    size_t* count) {
  const std::lock_guard lock(mutex);
  cudaStreamIsCapturing(handle, status);
  Graph* graph = stream_of(handle).capture;
  if (id != nullptr) {
    *id = graph == nullptr ? 0 : graph->id;
  }
  if (out != nullptr) {
    *out = reinterpret_cast<cudaGraph_t>(graph);
  }
  // Recorded work has no nodes that one could ask for.
  if (dependencies != nullptr) {
    *dependencies = nullptr;
  }
  if (edges != nullptr) {
    *edges = nullptr;
  }
  if (count != nullptr) {
    *count = 0;
  }
  return cudaSuccess;
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  std::swap(*mode, thread_mode);
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiateWithFlags(
    cudaGraphExec_t* instance, cudaGraph_t graph, unsigned long long) {
  *instance = reinterpret_cast<cudaGraphExec_t>(new Graph(*graph_of(graph)));
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t instance, cudaStream_t handle) {
  const auto* graph = reinterpret_cast<const Graph*>(instance);
  {
    const std::lock_guard lock(mutex);
    ++counts.graph_launches;
    if (stream_of(handle).capture != nullptr) {
      return invalidate(
          *stream_of(handle).capture); // a graph within a graph, which nothing here needs
    }
  }
  for (const Work& work : graph->work) {
    if (const cudaError_t error = work(); error != cudaSuccess) {
      return fail(error);
    }
  }
  return cudaSuccess;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t*, size_t* count) {
  *count = graph_of(graph)->work.size();
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph_of(graph);
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t instance) {
  delete reinterpret_cast<Graph*>(instance);
  return cudaSuccess;
}
