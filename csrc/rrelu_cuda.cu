// CUDA kernels of the refined ReLU: element-wise over a dense layout as one
// dimension, 16 bytes an access, 64-bit indices.
#include "common.h"
#include "cuda_common.cuh"
#include "rrelu_math.h"

#include <tuple>

namespace originet {
namespace {

// 16-bit types compute in float.
template <typename scalar_t>
struct AccType {
  using type = float;
};
template <>
struct AccType<double> {
  using type = double;
};

// The functors: inputs to outputs for one element.

template <typename acc_t>
struct Forward {
  static constexpr int kInputs = 1;
  static constexpr int kOutputs = 1;
  acc_t alpha;
  __device__ void operator()(const acc_t (&in)[1], acc_t (&out)[1]) const {
    out[0] = rrelu_forward(in[0], alpha);
  }
};

template <typename acc_t>
struct Backward { // grad, x
  static constexpr int kInputs = 2;
  static constexpr int kOutputs = 1;
  acc_t alpha;
  __device__ void operator()(const acc_t (&in)[2], acc_t (&out)[1]) const {
    out[0] = in[0] * rrelu_derivative(in[1], alpha);
  }
};

template <typename acc_t>
struct AddForward { // a, b
  static constexpr int kInputs = 2;
  static constexpr int kOutputs = 1;
  acc_t alpha;
  __device__ void operator()(const acc_t (&in)[2], acc_t (&out)[1]) const {
    out[0] = rrelu_forward(in[0], alpha) + rrelu_forward(in[1], alpha);
  }
};

template <typename acc_t>
struct AddBackward { // grad, a, b
  static constexpr int kInputs = 3;
  static constexpr int kOutputs = 2;
  acc_t alpha;
  __device__ void operator()(const acc_t (&in)[3], acc_t (&out)[2]) const {
    out[0] = in[0] * rrelu_derivative(in[1], alpha);
    out[1] = in[0] * rrelu_derivative(in[2], alpha);
  }
};

template <typename scalar_t, typename Functor>
struct Pointers {
  const scalar_t* in[Functor::kInputs];
  scalar_t* out[Functor::kOutputs];
};

// Vectors that a thread loads before it uses the first.
constexpr int kUnroll = 2;

// Elements [first, first + kVec) of every input to every output. An in-place
// call reads and writes the same addresses, but never another thread's.
template <typename scalar_t, int kVec, typename Functor>
__device__ __forceinline__ void apply(
    const Functor& functor,
    const Pointers<scalar_t, Functor>& pointers,
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
      arguments[i] = static_cast<acc_t>(in[i].values[j]);
    }
    functor(arguments, results);
#pragma unroll
    for (int o = 0; o < Functor::kOutputs; ++o) {
      out[o].values[j] = static_cast<scalar_t>(results[o]);
    }
  }
#pragma unroll
  for (int o = 0; o < Functor::kOutputs; ++o) {
    *reinterpret_cast<Vector<scalar_t, kVec>*>(pointers.out[o] + first) = out[o];
  }
}

template <typename scalar_t, int kVec, typename Functor>
__device__ __forceinline__ void load(
    const Pointers<scalar_t, Functor>& pointers,
    Vector<scalar_t, kVec> (&in)[Functor::kInputs],
    int64_t first) {
#pragma unroll
  for (int i = 0; i < Functor::kInputs; ++i) {
    in[i] = *reinterpret_cast<const Vector<scalar_t, kVec>*>(pointers.in[i] + first);
  }
}

// Elements [0, head) and [tail, n) one by one, those between as vectors of kVec:
// thread t of a block takes vectors t, t + kThreads, ... of the block's stretch.
template <typename scalar_t, int kVec, typename Functor>
__global__ void __launch_bounds__(kThreads) elementwise_kernel(
    Functor functor, Pointers<scalar_t, Functor> pointers, int64_t head, int64_t tail, int64_t n) {
  const int64_t vectors = (tail - head) / kVec;
  const int64_t stretch = int64_t(kThreads) * kUnroll;
  for (int64_t start = blockIdx.x * stretch; start < vectors; start += gridDim.x * stretch) {
    Vector<scalar_t, kVec> in[kUnroll][Functor::kInputs];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const int64_t v = start + u * kThreads + threadIdx.x;
      if (v < vectors) {
        load<scalar_t, kVec>(pointers, in[u], head + v * kVec);
      }
    }
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const int64_t v = start + u * kThreads + threadIdx.x;
      if (v < vectors) {
        apply<scalar_t, kVec>(functor, pointers, in[u], head + v * kVec);
      }
    }
  }
  // At most 2 * (kVec - 1) < kThreads elements stand outside of the vectors.
  if (blockIdx.x == 0) {
    const int64_t i = threadIdx.x < head ? threadIdx.x : tail + threadIdx.x - head;
    if (i < n) {
      Vector<scalar_t, 1> in[Functor::kInputs];
      load<scalar_t, 1>(pointers, in, i);
      apply<scalar_t, 1>(functor, pointers, in, i);
    }
  }
}

template <typename scalar_t, typename Functor>
void launch_elementwise(
    const char* name,
    const Tensor& on,
    const Functor& functor,
    const Pointers<scalar_t, Functor>& pointers) {
  const int64_t n = on.numel();
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
    const int64_t blocks = std::max<int64_t>(1, ceil_div(vectors, kThreads * kUnroll));
    launch(
        name, on, blocks, 1, elementwise_kernel<scalar_t, kVec, Functor>, functor, pointers, head,
        head + vectors * kVec, n);
  } else {
    launch(
        name, on, ceil_div(n, kThreads * kUnroll), 1, elementwise_kernel<scalar_t, 1, Functor>,
        functor, pointers, int64_t(0), n, n);
  }
}

template <typename scalar_t>
const scalar_t* input(const Tensor& tensor) {
  return static_cast<const scalar_t*>(tensor.const_data_ptr());
}

template <typename scalar_t>
scalar_t* output(const Tensor& tensor) {
  return static_cast<scalar_t*>(tensor.mutable_data_ptr());
}

// y = psi(x); both have one layout, or are one tensor.
void forward_into(const Tensor& x, const Tensor& y, double alpha) {
  ORIGINET_DISPATCH_FLOATING(x.scalar_type(), "rrelu_forward", [&] {
    using acc_t = typename AccType<scalar_t>::type;
    using Functor = Forward<acc_t>;
    launch_elementwise<scalar_t>(
        "rrelu_forward", y, Functor{static_cast<acc_t>(alpha)},
        Pointers<scalar_t, Functor>{{input<scalar_t>(x)}, {output<scalar_t>(y)}});
  });
}

Tensor rrelu_forward_cuda(const Tensor& x, double alpha) {
  Tensor y = torch::stable::empty_like(x);
  forward_into(in_layout_of(x, y), y, alpha);
  return y;
}

void rrelu_forward_inplace_cuda(Tensor x, double alpha) {
  check_no_overlap("rrelu_forward_", "x", x);
  Tensor dense = torch::stable::empty_like(x);
  if (same_layout(x, dense)) {
    forward_into(x, x, alpha);
  } else {
    forward_into(in_layout_of(x, dense), dense, alpha);
    torch::stable::copy_(x, dense);
  }
}

Tensor rrelu_backward_cuda(const Tensor& grad, const Tensor& x, double alpha) {
  check_same_kind("rrelu_backward", "grad", grad, "x", x);
  Tensor grad_x = torch::stable::empty_like(x);
  const Tensor x_dense = in_layout_of(x, grad_x);
  const Tensor grad_dense = in_layout_of(grad, grad_x);
  ORIGINET_DISPATCH_FLOATING(x.scalar_type(), "rrelu_backward", [&] {
    using acc_t = typename AccType<scalar_t>::type;
    using Functor = Backward<acc_t>;
    launch_elementwise<scalar_t>(
        "rrelu_backward", grad_x, Functor{static_cast<acc_t>(alpha)},
        Pointers<scalar_t, Functor>{
            {input<scalar_t>(grad_dense), input<scalar_t>(x_dense)}, {output<scalar_t>(grad_x)}});
  });
  return grad_x;
}

Tensor rrelu_add_forward_cuda(const Tensor& a, const Tensor& b, double alpha) {
  check_same_kind("rrelu_add_forward", "b", b, "a", a);
  Tensor y = torch::stable::empty_like(a);
  const Tensor a_dense = in_layout_of(a, y);
  const Tensor b_dense = in_layout_of(b, y);
  ORIGINET_DISPATCH_FLOATING(a.scalar_type(), "rrelu_add_forward", [&] {
    using acc_t = typename AccType<scalar_t>::type;
    using Functor = AddForward<acc_t>;
    launch_elementwise<scalar_t>(
        "rrelu_add_forward", y, Functor{static_cast<acc_t>(alpha)},
        Pointers<scalar_t, Functor>{
            {input<scalar_t>(a_dense), input<scalar_t>(b_dense)}, {output<scalar_t>(y)}});
  });
  return y;
}

std::tuple<Tensor, Tensor> rrelu_add_backward_cuda(
    const Tensor& grad, const Tensor& a, const Tensor& b, double alpha) {
  check_same_kind("rrelu_add_backward", "b", b, "a", a);
  check_same_kind("rrelu_add_backward", "grad", grad, "a", a);
  Tensor grad_a = torch::stable::empty_like(a);
  Tensor grad_b = torch::stable::empty_like(grad_a);
  const Tensor a_dense = in_layout_of(a, grad_a);
  const Tensor b_dense = in_layout_of(b, grad_a);
  const Tensor grad_dense = in_layout_of(grad, grad_a);
  ORIGINET_DISPATCH_FLOATING(a.scalar_type(), "rrelu_add_backward", [&] {
    using acc_t = typename AccType<scalar_t>::type;
    using Functor = AddBackward<acc_t>;
    launch_elementwise<scalar_t>(
        "rrelu_add_backward", grad_a, Functor{static_cast<acc_t>(alpha)},
        Pointers<scalar_t, Functor>{
            {input<scalar_t>(grad_dense), input<scalar_t>(a_dense), input<scalar_t>(b_dense)},
            {output<scalar_t>(grad_a), output<scalar_t>(grad_b)}});
  });
  return {grad_a, grad_b};
}

} // namespace

STABLE_TORCH_LIBRARY_IMPL(originet, CUDA, m) {
  m.impl("rrelu_forward", TORCH_BOX(&rrelu_forward_cuda));
  m.impl("rrelu_forward_", TORCH_BOX(&rrelu_forward_inplace_cuda));
  m.impl("rrelu_backward", TORCH_BOX(&rrelu_backward_cuda));
  m.impl("rrelu_add_forward", TORCH_BOX(&rrelu_add_forward_cuda));
  m.impl("rrelu_add_backward", TORCH_BOX(&rrelu_add_backward_cuda));
}

} // namespace originet
