// CPU backend of the psi ops: one pass over memory, vectorised, threaded.
#include "elementwise_cpu.h"
#include "rrelu_math.h"
#include "rrelu_ops.h"
#include "stored_types.h"

namespace originet {
namespace {

// Elements per thread below which a second thread costs more than it gives.
constexpr int64_t kGrain = 8192;

template <typename scalar_t, template <typename, bool> class Functor>
void run_typed(const Elements& elements, double alpha) {
  using stored_t = typename Stored<scalar_t>::type;
  using acc_t = typename Arithmetic<stored_t>::type;
  using F = Functor<acc_t, false>;
  const F functor{Slope<acc_t>(alpha)};
  Pointers<stored_t, F> pointers;
  for (int k = 0; k < F::kInputs; ++k) {
    pointers.in[k] = static_cast<const stored_t*>(elements.in[k]);
  }
  for (int k = 0; k < F::kOutputs; ++k) {
    pointers.out[k] = static_cast<stored_t*>(elements.out[k]);
  }
  torch::stable::parallel_for(0, elements.numel, kGrain, [&](int64_t begin, int64_t end) {
    elementwise(functor, pointers, begin, end);
  });
}

template <template <typename, bool> class Functor>
void run(const Elements& elements, double alpha) {
  const auto run_as = [&]<typename scalar_t>() { run_typed<scalar_t, Functor>(elements, alpha); };
  constexpr auto op = Functor<float, false>::kOp;
  ORIGINET_DISPATCH_FLOATING(elements.dtype, op, [&] { run_as.template operator()<scalar_t>(); });
}

} // namespace

void run_rrelu_cpu(RReluOp op, const Elements& elements, double alpha) {
  switch (op) {
    case RReluOp::kForward:
      return run<RReluForward>(elements, alpha);
    case RReluOp::kBackward:
      return run<RReluBackward>(elements, alpha);
    case RReluOp::kAddForward:
      return run<RReluAddForward>(elements, alpha);
    case RReluOp::kAddBackward:
      return run<RReluAddBackward>(elements, alpha);
  }
}

STABLE_TORCH_LIBRARY_IMPL(originet, CPU, m) {
  RReluOps<run_rrelu_cpu>::register_all(m);
}

} // namespace originet
