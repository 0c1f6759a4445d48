// psi and psi' for 16-bit types on the GPU, in few instructions. The hardware's exponential and
// reciprocal are far more exact than 16 bits. With t = exp(-x), s = 1 / (1 + t) and a = 1 for
// x >= 0, alpha below:
//
//   psi(x)  = s (1 + a x)
//   psi'(x) = s (a + t s (1 + a x))
#pragma once

#include <limits>

#include "rrelu_math.h"

namespace originet {

// The larger of the two, or NaN where x is NaN.
ORIGINET_HD float at_least(float x, float least) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  float larger; // fmaxf would drop NaN
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(larger) : "f"(x), "f"(least));
  return larger;
#else
  return x < least ? least : x;
#endif
}

ORIGINET_HD float at_most(float x, float most) {
  return -at_least(-x, -most);
}

// 2^x. Like the reciprocal, it flushes subnormal results to 0.
ORIGINET_HD float approximate_exp2(float x) {
#ifdef __CUDA_ARCH__
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
  return power;
#else
  return std::exp2(x);
#endif
}

ORIGINET_HD float approximate_reciprocal(float x) {
#ifdef __CUDA_ARCH__
  float reciprocal;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(reciprocal) : "f"(x));
  return reciprocal;
#else
  return 1 / x;
#endif
}

template <>
struct Slope<float, true> {
  float value;

  explicit Slope(double alpha) : value(static_cast<float>(alpha)) {}
};

template <>
struct Exponential<float, true> { // computed where it is needed
  Exponential() = default;
  explicit ORIGINET_HD Exponential(float) {}
};

struct FastSigmoid {
  float a, t, s;
  float line; // 1 + a x

  ORIGINET_HD FastSigmoid(float x, Slope<float, true> alpha) {
    // Below -88, s is 0. t has to stay finite there, or t s would be NaN.
    const float bounded = at_least(x, -88);
    a = x < 0 ? alpha.value : 1;
    t = approximate_exp2(bounded * -1.44269504f);
    s = approximate_reciprocal(1 + t);
    line = a * bounded + 1;
  }

  ORIGINET_HD float value() const {
    return s * line;
  }

  ORIGINET_HD float derivative() const {
    // At infinity, t is 0.
    return s * (a + t * s * std::fmin(line, std::numeric_limits<float>::max()));
  }
};

ORIGINET_HD float rrelu_forward(float x, Slope<float, true> alpha) {
  return FastSigmoid(x, alpha).value();
}

ORIGINET_HD float rrelu_forward(float x, Exponential<float, true>, Slope<float, true> alpha) {
  return FastSigmoid(x, alpha).value();
}

ORIGINET_HD float rrelu_derivative(float x, Exponential<float, true>, Slope<float, true> alpha) {
  return FastSigmoid(x, alpha).derivative();
}

ORIGINET_HD ValueAndDerivative<float> rrelu_value_and_derivative(
    float x, Slope<float, true> alpha) {
  const FastSigmoid sigmoid(x, alpha);
  return {sigmoid.value(), sigmoid.derivative()};
}

// psi(a + bias_a) + psi(b + bias_b) - center. For 16-bit types, with 1 / ((1 + t_a) (1 + t_b)), one
// reciprocal serves both sigmoids. prepared() is what a bias has to go through first.
template <typename acc_t, bool kFast>
struct CenteredJoin {
  Slope<acc_t> alpha;

  explicit CenteredJoin(double slope) : alpha(slope) {}

  static ORIGINET_HD acc_t prepared(acc_t bias) {
    return bias;
  }

  ORIGINET_HD acc_t operator()(acc_t a, acc_t bias_a, acc_t b, acc_t bias_b, acc_t center) const {
    return rrelu_forward(a + bias_a, alpha) + rrelu_forward(b + bias_b, alpha) - center;
  }
};

template <>
struct CenteredJoin<float, true> {
  static constexpr float kScale = -1.44269504f; // of t = 2^(kScale x)
  float left, right;                            // alpha / kScale and 1 / kScale

  explicit CenteredJoin(double alpha)
      : left(static_cast<float>(alpha / kScale)), right(1 / kScale) {}

  struct Branch {
    float line, denominator; // 1 + a x and 1 + t
  };

  ORIGINET_HD Branch branch(float x, float bias) const {
    // Beyond 63, psi is less than 2^-58. The product of two denominators has to stay finite.
    const float exponent = at_most(x * kScale + bias, 63);
    return {(exponent > 0 ? left : right) * exponent + 1, approximate_exp2(exponent) + 1};
  }

  static ORIGINET_HD float prepared(float bias) {
    return bias * kScale;
  }

  ORIGINET_HD float operator()(float a, float bias_a, float b, float bias_b, float center) const {
    const Branch of_a = branch(a, bias_a), of_b = branch(b, bias_b);
    const float both = approximate_reciprocal(of_a.denominator * of_b.denominator);
    const float rest = both * of_a.denominator * of_b.line - center;
    return both * of_b.denominator * of_a.line + rest;
  }
};

} // namespace originet
