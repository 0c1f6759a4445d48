// The schemas of all ops. Implementations are registered at the end of the files that
// define them; fake, vmap and autograd rules in originet_ext/*.py and csrc/autograd.
#include "registration.h"

namespace originet {

// Has room for a longer name; hub.py finds it by what stands before.
extern const char ops_namespace_field[64];
const char ops_namespace_field[64] = "originet-ops-namespace:originet";
const char* const ops_namespace = ops_namespace_field + sizeof("originet-ops-namespace:") - 1;

ORIGINET_SCHEMAS(m) {
  // psi(x), any shape and strides
  m.def("rrelu_forward(Tensor x, float alpha) -> Tensor");
  m.def("rrelu_forward_(Tensor(a!) x, float alpha) -> Tensor(a!)");
  // grad * psi'(x)
  m.def("rrelu_backward(Tensor grad, Tensor x, float alpha) -> Tensor");
  // psi(a) + psi(b), and (grad * psi'(a), grad * psi'(b))
  m.def("rrelu_add_forward(Tensor a, Tensor b, float alpha) -> Tensor");
  m.def("rrelu_add_backward(Tensor grad, Tensor a, Tensor b, float alpha) -> (Tensor, Tensor)");
  // y = (z - mean) * rstd * weight + bias with z = psi(a + bias_a) + psi(b + bias_b); a, b
  // [N, C, ...], the rest [C]. Without mean and var, uses the statistics of the batch. Returns y
  // and, in float32 (float64 for float64), mean, rstd and the unbiased var.
  m.def(
      "rrelu_add_norm_forward(Tensor a, Tensor b, Tensor? bias_a, Tensor? bias_b, Tensor? weight, "
      "Tensor? bias, Tensor? mean, Tensor? var, float eps, float alpha) "
      "-> (Tensor, Tensor, Tensor, Tensor)");
  // Returns the gradients of a, b, bias_a, bias_b, weight and bias; their derivatives need eps.
  m.def(
      "rrelu_add_norm_backward(Tensor grad, Tensor a, Tensor b, Tensor? bias_a, Tensor? bias_b, "
      "Tensor? weight, Tensor mean, Tensor rstd, bool batch_statistics, float eps, float alpha) "
      "-> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)");
  // A hybrid block's convolutions of 3 x 3 and 5 x 5 with stride 2, CPU and float32 alone:
  // x [N, H, W, C], small [D, 3, 3, C], large [D, 5, 5, C] -> two of [N, ceil(H / 2), ceil(W / 2), D].
  // C and D are multiples of 16. The middle tap of output pixel (i, j) is at pixel
  // (2 i + down, 2 j + right), down and right 0 or 1.
  m.def(
      "hybrid_conv_forward(Tensor x, Tensor small, Tensor large, int down, int right) "
      "-> (Tensor, Tensor)");
  // Returns the gradients of x (empty unless of_x), small and large.
  m.def(
      "hybrid_conv_backward(Tensor grad_small, Tensor grad_large, Tensor x, Tensor small, "
      "Tensor large, int down, int right, bool of_x) -> (Tensor, Tensor, Tensor)");
  // The pools read frames [T_i, ...] in place. Clips count frames over all tensors in order; each
  // clip lies in one tensor, and clips may overlap. `clips` and `index` are on the CPU, so that the
  // host can check and plan. `total` is the length of all clips together, which derivatives need
  // during tracing, when `clips` has no values. `normalize` is "none", "clip" or "minmax".
  //
  // sum over k in [begin, end) of weights[k] * frames[first + index[k]];
  // index [K], weights [K], clips [B, 3] of (first, begin, end) -> [B, ...]. If the
  // integer weights of a clip sum to 0, floating frames are summed as deviations from the frame of
  // the first term.
  m.def(
      "temporal_pool(Tensor[] frames, Tensor clips, Tensor index, Tensor weights, SymInt total, "
      "str normalize) -> Tensor");
  // sum over t of g(FT(t-1)) + g(FT(t)), g = abs or max(., 0);
  // clips [B, 2] of (first, length) -> [B, ...]
  m.def(
      "motion_pool(Tensor[] frames, Tensor clips, SymInt total, bool rectify, str normalize) "
      "-> Tensor");
  // image k = the active image of frames [k * stride, k * stride + window);
  // frames [T, ...] -> [(T - window) / stride + 1, ...];
  // method: "cumulative", "authors", "rank-simple", "absolute" or "rectified"
  m.def("sliding_pool(Tensor frames, int window, int stride, str method, str normalize) -> Tensor");
}

} // namespace originet
