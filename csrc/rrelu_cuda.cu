// CUDA backend of the psi ops: element-wise over a dense layout, treated as one dimension,
// with accesses of 16 bytes and 64-bit indices.
#include "cuda_common.cuh"
#include "rrelu_fast.h"
#include "rrelu_ops.h"

namespace originet {
namespace {

// Vectors that a thread loads before it uses the first.
constexpr int kUnroll = 2;

// Maps elements [first, first + kVec) of every input to every output. An in-place call
// reads and writes the same addresses, but never those of another thread.
template <typename scalar_t, int kVec, typename Functor>
__device__ __forceinline__ void apply_to_vector(
    const Functor& functor,
    const ElementPointers<scalar_t, Functor>& pointers,
    const Vector<scalar_t, kVec> (&in)[Functor::kInputs],
    int64_t first) {
  using acc_t = typename AccType<scalar_t>::type;
  Vector<scalar_t, kVec> out[Functor::kOutputs];
#pragma unroll
  for (int j = 0; j < kVec; ++j) {
    acc_t arguments[Functor::kInputs];
    acc_t results[Functor::kOutputs];
#pragma unroll
    for (int i = 0; i < Functor::kInputs; ++i) {
      arguments[i] = wide<acc_t>(in[i].values, j);
    }
    typename Functor::Z exponentials[Functor::kInputs - Functor::kFirst];
#pragma unroll
    for (int i = Functor::kFirst; i < Functor::kInputs; ++i) {
      exponentials[i - Functor::kFirst] = typename Functor::Z(arguments[i]);
    }
    functor(arguments, exponentials, results);
#pragma unroll
    for (int o = 0; o < Functor::kOutputs; ++o) {
      out[o].values[j] = static_cast<scalar_t>(results[o]);
    }
  }
#pragma unroll
  for (int o = 0; o < Functor::kOutputs; ++o) {
    store_vector(pointers.out[o] + first, out[o].values);
  }
}

template <typename scalar_t, int kVec, typename Functor>
__device__ __forceinline__ void load_inputs(
    const ElementPointers<scalar_t, Functor>& pointers,
    Vector<scalar_t, kVec> (&in)[Functor::kInputs],
    int64_t first) {
#pragma unroll
  for (int i = 0; i < Functor::kInputs; ++i) {
    in[i] = *reinterpret_cast<const Vector<scalar_t, kVec>*>(pointers.in[i] + first);
  }
}

// Computes elements [0, head) and [tail, n) one by one, and those between in vectors of
// kVec. Thread t of a block takes vectors t, t + kThreadsPerBlock, ... of its stretch.
template <typename scalar_t, int kVec, typename Functor>
__global__ void __launch_bounds__(kThreadsPerBlock) elementwise_kernel(
    Functor functor,
    ElementPointers<scalar_t, Functor> pointers,
    int64_t head,
    int64_t tail,
    int64_t n) {
  const int64_t vectors = (tail - head) / kVec;
  const int64_t stretch = int64_t(kThreadsPerBlock) * kUnroll;
  for (int64_t start = blockIdx.x * stretch; start < vectors; start += gridDim.x * stretch) {
    Vector<scalar_t, kVec> in[kUnroll][Functor::kInputs];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const int64_t v = start + u * kThreadsPerBlock + threadIdx.x;
      if (v < vectors) {
        load_inputs<scalar_t, kVec>(pointers, in[u], head + v * kVec);
      }
    }
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const int64_t v = start + u * kThreadsPerBlock + threadIdx.x;
      if (v < vectors) {
        apply_to_vector<scalar_t, kVec>(functor, pointers, in[u], head + v * kVec);
      }
    }
  }
  // The first block also computes the elements outside the vectors, one a thread.
  static_assert(2 * (kVec - 1) < kThreadsPerBlock);
  if (blockIdx.x == 0) {
    const int64_t i = threadIdx.x < head ? threadIdx.x : tail + threadIdx.x - head;
    if (i < n) {
      Vector<scalar_t, 1> in[Functor::kInputs];
      load_inputs<scalar_t, 1>(pointers, in, i);
      apply_to_vector<scalar_t, 1>(functor, pointers, in, i);
    }
  }
}

template <typename scalar_t, typename Functor>
void launch_elementwise(
    const Functor& functor,
    const ElementPointers<scalar_t, Functor>& pointers,
    int64_t n,
    int32_t device_index) {
  if (n == 0) {
    return;
  }
  constexpr int kVec = kVectorBytes / sizeof(scalar_t);
  const int64_t off = misalignment(pointers.out[0]);
  bool together = off % sizeof(scalar_t) == 0;
  for (const scalar_t* pointer : pointers.in) {
    together = together && misalignment(pointer) == off;
  }
  for (const scalar_t* pointer : pointers.out) {
    together = together && misalignment(pointer) == off;
  }
  if (together) {
    const int64_t head =
        std::min<int64_t>(n, (kVectorBytes - off) % kVectorBytes / int64_t(sizeof(scalar_t)));
    const int64_t vectors = (n - head) / kVec;
    const int64_t blocks = std::max<int64_t>(1, ceil_div(vectors, kThreadsPerBlock * kUnroll));
    launch(
        Functor::kOp, device_index, blocks, 1, elementwise_kernel<scalar_t, kVec, Functor>, functor,
        pointers, head, head + vectors * kVec, n);
  } else {
    launch(
        Functor::kOp, device_index, ceil_div(n, kThreadsPerBlock * kUnroll), 1,
        elementwise_kernel<scalar_t, 1, Functor>, functor, pointers, int64_t(0), n, n);
  }
}

template <typename scalar_t, template <typename, bool> class Functor>
void run_elementwise_cuda(const Elements& elements, double alpha) {
  using acc_t = typename AccType<scalar_t>::type;
  constexpr bool kFast = sizeof(scalar_t) == 2;
  using F = Functor<acc_t, kFast>;
  launch_elementwise(
      F{Slope<acc_t, kFast>(alpha)}, pointers_of<scalar_t, F>(elements), elements.numel,
      elements.device_index);
}

} // namespace

void run_rrelu_cuda(RReluOp op, const Elements& elements, double alpha) {
  dispatch_rrelu(
      op, elements.dtype, [&]<typename scalar_t, template <typename, bool> class Functor>() {
        run_elementwise_cuda<scalar_t, Functor>(elements, alpha);
      });
}

ORIGINET_KERNELS(ORIGINET_CUDA_KEY, m) {
  RReluOps<run_rrelu_cuda>::register_all(m);
}

} // namespace originet
