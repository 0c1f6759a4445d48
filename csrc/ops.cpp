// Every op's schema. The implementations are registered at the end of the files
// that define them, the fake, vmap and autograd rules in originet_ext/*.py.
#include <torch/csrc/stable/library.h>

STABLE_TORCH_LIBRARY(originet, m) {
  // psi(x), any shape and strides
  m.def("rrelu_forward(Tensor x, float alpha) -> Tensor");
  m.def("rrelu_forward_(Tensor(a!) x, float alpha) -> ()");
  // grad * psi'(x)
  m.def("rrelu_backward(Tensor grad, Tensor x, float alpha) -> Tensor");
  // psi(a) + psi(b), and (grad * psi'(a), grad * psi'(b))
  m.def("rrelu_add_forward(Tensor a, Tensor b, float alpha) -> Tensor");
  m.def("rrelu_add_backward(Tensor grad, Tensor a, Tensor b, float alpha) -> (Tensor, Tensor)");
  // y = (z - mean) * rstd * weight + bias with z = psi(a + bias_a) + psi(b + bias_b); a, b
  // [N, C, ...], the rest [C]. Without mean and var, those of the batch: -> y, mean, rstd and the
  // unbiased var, in float32 (float64 for float64).
  m.def(
      "rrelu_add_norm_forward(Tensor a, Tensor b, Tensor? bias_a, Tensor? bias_b, Tensor? weight, "
      "Tensor? bias, Tensor? mean, Tensor? var, float eps, float alpha) "
      "-> (Tensor, Tensor, Tensor, Tensor)");
  // -> the gradients of a, b, bias_a, bias_b, weight and bias
  m.def(
      "rrelu_add_norm_backward(Tensor grad, Tensor a, Tensor b, Tensor? bias_a, Tensor? bias_b, "
      "Tensor? weight, Tensor mean, Tensor rstd, bool batch_statistics, float alpha) "
      "-> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)");
  // sum over k in [segments[b], segments[b + 1]) of weights[k] * frames[index[k]];
  // frames [T, ...], index [K], weights [K], segments [B + 1] -> [B, ...].
  // index and segments are on the CPU, so that the host can check and plan.
  m.def("temporal_pool(Tensor frames, Tensor index, Tensor weights, Tensor segments) -> Tensor");
  // sum over t of g(FT(t-1)) + g(FT(t)), g = abs or max(., 0);
  // frames [T, ...], offsets [B + 1] on the CPU -> [B, ...]
  m.def("motion_pool(Tensor frames, Tensor offsets, bool rectify) -> Tensor");
  // image k = the active image of frames [k * stride, k * stride + window); frames [T, ...] ->
  // [(T - window) / stride + 1, ...]; method authors, rank-simple, absolute or rectified;
  // normalize none or clip
  m.def("sliding_pool(Tensor frames, int window, int stride, str method, str normalize) -> Tensor");
}
