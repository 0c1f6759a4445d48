// CPU backend of the psi ops: one pass over memory, vectorised, threaded.
#include "cpu_vector.h"
#include "rrelu_ops.h"

namespace originet {
namespace {

// Elements per thread below which a second thread costs more than it gives.
constexpr int64_t kGrain = 16384;

// torch's 16-bit types as their bit patterns, the others as themselves.
template <typename scalar_t>
struct Stored {
  using type = scalar_t;
};
template <>
struct Stored<c10::Half> {
  using type = HalfBits;
};
template <>
struct Stored<c10::BFloat16> {
  using type = BFloat16Bits;
};

template <typename stored_t, typename Functor>
struct Pointers {
  const stored_t* in[Functor::kInputs];
  stored_t* out[Functor::kOutputs];
};

// Element i of every input to every output. Apart from the loop: arrays declared
// inside of an `omp simd` region become arrays of lanes, which cost speed.
template <typename stored_t, typename Functor>
ORIGINET_HD void apply(const Functor& f, const Pointers<stored_t, Functor>& p, int64_t i) {
  using A = Arithmetic<stored_t>;
  typename A::type in[Functor::kInputs];
  typename A::type out[Functor::kOutputs];
  for (int k = 0; k < Functor::kInputs; ++k) {
    in[k] = A::load(p.in[k][i]);
  }
  f(in, out);
  for (int k = 0; k < Functor::kOutputs; ++k) {
    p.out[k][i] = A::store(out[k]);
  }
}

// Elements [begin, end) of a dense layout taken as one dimension. Arguments by
// value, so that no store can be taken to change a pointer or alpha.
template <typename stored_t, typename Functor>
ORIGINET_MULTIVERSION void elementwise_loop(
    Functor functor, Pointers<stored_t, Functor> pointers, int64_t begin, int64_t end) {
#pragma omp simd
  for (int64_t i = begin; i < end; ++i) {
    apply(functor, pointers, i);
  }
}

template <typename stored_t, typename Functor, typename In, typename Out>
void run_typed(const In& in, const Out& out, const Functor& functor) {
  Pointers<stored_t, Functor> pointers;
  for (size_t k = 0; k < in.size(); ++k) {
    pointers.in[k] = static_cast<const stored_t*>(in[k].const_data_ptr());
  }
  for (size_t k = 0; k < out.size(); ++k) {
    pointers.out[k] = static_cast<stored_t*>(out[k].mutable_data_ptr());
  }
  torch::stable::parallel_for(0, out[0].numel(), kGrain, [&](int64_t begin, int64_t end) {
    elementwise_loop(functor, pointers, begin, end);
  });
}

struct Cpu {
  template <template <typename> class Functor>
  static void run(
      const Tensors<Functor<float>::kInputs>& in,
      const Tensors<Functor<float>::kOutputs>& out,
      double alpha) {
    ORIGINET_DISPATCH_FLOATING(out[0].scalar_type(), Functor<float>::kOp, [&] {
      using stored_t = typename Stored<scalar_t>::type;
      using acc_t = typename Arithmetic<stored_t>::type;
      run_typed<stored_t>(in, out, Functor<acc_t>{static_cast<acc_t>(alpha)});
    });
  }
};

} // namespace

STABLE_TORCH_LIBRARY_IMPL(originet, CPU, m) {
  RReluOps<Cpu>::register_all(m);
}

} // namespace originet
