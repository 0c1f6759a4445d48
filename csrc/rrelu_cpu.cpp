// CPU backend of the psi ops: one pass over memory, vectorised, threaded.
#include "elementwise_cpu.h"
#include "rrelu_math.h"
#include "rrelu_ops.h"
#include "stored_types.h"

namespace originet {
namespace {

// The least number of elements that a thread should get; with fewer, a second thread costs more
// than it saves.
constexpr int64_t kElementwiseGrain = 8192;

template <typename scalar_t, template <typename, bool> class Functor>
void run_elementwise_cpu(const Elements& elements, double alpha) {
  using stored_t = typename Stored<scalar_t>::type;
  using acc_t = typename Arithmetic<stored_t>::type;
  using F = Functor<acc_t, false>;
  const F functor{Slope<acc_t>(alpha)};
  const auto pointers = pointers_of<stored_t, F>(elements);
  torch::stable::parallel_for(
      0, elements.numel, kElementwiseGrain,
      [&](int64_t begin, int64_t end) { elementwise(functor, pointers, begin, end); });
}

} // namespace

void run_rrelu_cpu(RReluOp op, const Elements& elements, double alpha) {
  dispatch_rrelu(
      op, elements.dtype, [&]<typename scalar_t, template <typename, bool> class Functor>() {
        run_elementwise_cpu<scalar_t, Functor>(elements, alpha);
      });
}

ORIGINET_KERNELS(CPU, m) {
  RReluOps<run_rrelu_cpu>::register_all(m);
}

} // namespace originet
