// Where the library asks for the CPU backend of the psi ops, it gets the emulated CUDA kernels.
#include "rrelu_backend.h"

namespace originet {

void run_rrelu_cpu(RReluOp op, const Elements& elements, double alpha) {
  run_rrelu_cuda(op, elements, alpha);
}

} // namespace originet
