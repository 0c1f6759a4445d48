// The hybrid block's normalised join, y = BN(psi(a) + psi(b)), as scalar steps that its CPU
// and CUDA kernels share. No torch here.
//
// With z = psi(a) + psi(b), d = z - mean, n values a channel and the incoming
// gradient g, batch statistics give (Ioffe and Szegedy, arXiv:1502.03167)
//
//   grad_z = weight * rstd * (g - sum(g) / n - d * rstd^2 * sum(g * d) / n)
//
// and given statistics only the first term. grad_a = grad_z * psi'(a), and the gradient of
// a bias inside psi is the sum of that over the channel.
#pragma once

#include "rrelu_math.h"

namespace originet {

// psi(x) and psi'(x) as in rrelu_math.h, from one exponential and one division.
template <typename acc_t>
ORIGINET_HD ValueAndDerivative<acc_t> rrelu_value_and_derivative(acc_t x, Slope<acc_t> alpha) {
  const acc_t m = bounded_magnitude(x);
  const ExpOfMinus<acc_t> z(m);
  const bool left = x < acc_t(0);
  const acc_t line = left ? alpha.line(m) : acc_t(1) - m * z.value;
  const acc_t slope = left ? alpha.line_of_derivative(m, z.value) : m - z.value;
  const acc_t large = divide(acc_t(1), acc_t(1) + z.value); // sigmoid(m)
  const acc_t small = z.value * large;                      // sigmoid(-m)
  return {
      line * (left ? small : large) + (left ? acc_t(0) : x),
      slope * (small * large) + (left ? acc_t(0) : one_or_nan(x))};
}

// The function before the normalisation.
template <typename acc_t, bool kFast = false>
struct Join {
  Slope<acc_t, kFast> alpha;

  explicit Join(double slope) : alpha(slope) {}

  ORIGINET_HD acc_t operator()(acc_t a, acc_t b) const {
    return rrelu_forward(a, alpha) + rrelu_forward(b, alpha);
  }
  ORIGINET_HD ValueAndDerivative<acc_t> branch(acc_t x) const {
    return rrelu_value_and_derivative(x, alpha);
  }
};

// Count, mean and sum of squared deviations from the mean. Two of them can be merged without
// loss of digits, however large the mean (Chan, Golub and LeVeque 1979).
template <typename acc_t>
struct Moments {
  acc_t count;
  acc_t mean;
  acc_t m2;

  ORIGINET_HD void merge(const Moments& other) {
    if (other.count == acc_t(0)) {
      return;
    }
    const acc_t total = count + other.count;
    const acc_t delta = other.mean - mean;
    const acc_t share = other.count / total;
    mean += delta * share;
    m2 += other.m2 + delta * delta * count * share;
    count = total;
  }
};

// grad_z = scale * (g - offset - slope * d)
template <typename acc_t>
struct GradCoefficients {
  acc_t scale;
  acc_t offset;
  acc_t slope;

  // Without batch statistics, the statistics do not depend on the input.
  static ORIGINET_HD GradCoefficients
  of(acc_t sum_g, acc_t sum_gd, acc_t rstd, acc_t weight, acc_t count, bool batch_statistics) {
    const acc_t share = batch_statistics ? acc_t(1) / count : acc_t(0);
    return {weight * rstd, sum_g * share, sum_gd * rstd * rstd * share};
  }

  ORIGINET_HD acc_t grad_z(acc_t grad, acc_t d) const {
    return scale * (grad - offset - slope * d);
  }
};

} // namespace originet
