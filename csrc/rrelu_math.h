// The refined ReLU and its derivative as scalar functions. The CPU and the CUDA
// kernels both call these, so a machine without a GPU tests the formulas of
// both. No torch here.
//
//   psi(x)  = sigmoid(x) * (1 + L(x)),  L(x) = x for x >= 0, alpha * x below
//             (Verma et al., arXiv:2005.07991, Eq. 4)
//   psi'(x) = s * (a + (1 - s) * (1 + a * x)),  s = sigmoid(x),
//             a = 1 for x >= 0, alpha below
//
// The paper writes psi with e^x, which overflows for large x, and its Table I
// gives a derivative for x < 0 that is right only for alpha = 1. Here everything
// is written in z = exp(-|x|), which lies in [0, 1].
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#define ORIGINET_HD __host__ __device__ __forceinline__
#else
// Forced, so that the body is compiled for the instruction set of the
// multiversioned loop that calls it.
#define ORIGINET_HD inline __attribute__((always_inline))
#endif

namespace originet {

template <typename acc_t>
struct FloatTraits;

template <>
struct FloatTraits<float> {
  using bits_t = uint32_t;
  static constexpr int kMantissaBits = 23;
  static constexpr uint32_t kExponentBias = 127;
  // Adding 1.5 * 2^23 rounds to an integer that stands in the low mantissa bits.
  static constexpr float kRoundMagic = 12582912.0f;
  static constexpr float kLn2High = 0.693359375f; // few bits: n * high is exact
  static constexpr float kLn2Low = -2.12194440e-4f;
  // exp(kExpMin) is below half of the smallest subnormal.
  static constexpr float kExpMin = -104.0f;
  // Taylor remainder at |r| <= ln(2)/2: 5e-9, below 0.1 ulp.
  static constexpr int kTaylorDegree = 7;
};

template <>
struct FloatTraits<double> {
  using bits_t = uint64_t;
  static constexpr int kMantissaBits = 52;
  static constexpr uint64_t kExponentBias = 1023;
  static constexpr double kRoundMagic = 6755399441055744.0;
  static constexpr double kLn2High = 6.93147180369123816490e-01;
  static constexpr double kLn2Low = 1.90821492927058770002e-10;
  static constexpr double kExpMin = -746.0;
  static constexpr int kTaylorDegree = 13; // remainder 4e-18
};

// 2^n for -kExponentBias < n <= 0.
template <typename acc_t>
ORIGINET_HD acc_t exp2_integer(typename FloatTraits<acc_t>::bits_t n) {
  using T = FloatTraits<acc_t>;
  const typename T::bits_t bits = (n + T::kExponentBias) << T::kMantissaBits;
  acc_t value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

// exp(x) for kExpMin <= x <= 0, within 1 ulp, subnormal results included; NaN
// in, NaN out.
// On the host it is a polynomial without branches or calls, so that loops over
// it vectorise; on the device it is CUDA's own function.
template <typename acc_t>
ORIGINET_HD acc_t exp_nonpositive(acc_t x) {
#ifdef __CUDACC__
  return exp(x);
#else
  using T = FloatTraits<acc_t>;
  using bits_t = typename T::bits_t;
  constexpr acc_t kLog2E = static_cast<acc_t>(1.44269504088896340736);
  // x = n * ln(2) + r with integer n and |r| <= ln(2) / 2
  const acc_t shifted = x * kLog2E + T::kRoundMagic;
  const acc_t n = shifted - T::kRoundMagic;
  const acc_t r = (x - n * T::kLn2High) - n * T::kLn2Low;
  // q = (exp(r) - 1 - r) / r^2 by Horner's rule over 1/k!
  constexpr double kInverseFactorial[] = {
      1.0,
      1.0,
      1.0 / 2,
      1.0 / 6,
      1.0 / 24,
      1.0 / 120,
      1.0 / 720,
      1.0 / 5040,
      1.0 / 40320,
      1.0 / 362880,
      1.0 / 3628800,
      1.0 / 39916800,
      1.0 / 479001600,
      1.0 / 6227020800};
  acc_t q = static_cast<acc_t>(kInverseFactorial[T::kTaylorDegree]);
#pragma GCC unroll 16
  for (int k = T::kTaylorDegree - 1; k >= 2; --k) {
    q = q * r + static_cast<acc_t>(kInverseFactorial[k]);
  }
  const acc_t p = (r * r * q + r) + acc_t(1);
  // 2^n in two factors: n reaches below the smallest normal exponent.
  bits_t n_bits, magic_bits;
  const acc_t magic = T::kRoundMagic;
  memcpy(&n_bits, &shifted, sizeof(n_bits));
  memcpy(&magic_bits, &magic, sizeof(magic_bits));
  const bits_t n_integer = n_bits - magic_bits; // two's complement
  const bits_t first = bits_t(0) - ((bits_t(0) - n_integer) >> 1);
  return p * exp2_integer<acc_t>(first) * exp2_integer<acc_t>(n_integer - first);
#endif
}

// |x| up to where psi and psi' have reached their limits; beyond, it would bring
// inf * 0. One clamp and one comparison an element: with more of them, compilers
// split the loop body into paths and compute exp once for each.
template <typename acc_t>
ORIGINET_HD acc_t bounded_magnitude(acc_t x) {
  constexpr acc_t kMax = -FloatTraits<acc_t>::kExpMin;
  const acc_t magnitude = x < acc_t(0) ? -x : x;
  return magnitude > kMax ? kMax : magnitude;
}

// psi(x). Limits: psi(-inf) = 0, psi(+inf) = +inf, psi(0) = 0.5.
template <typename acc_t>
ORIGINET_HD acc_t rrelu_forward(acc_t x, acc_t alpha) {
  const acc_t magnitude = bounded_magnitude(x);
  const acc_t z = exp_nonpositive<acc_t>(-magnitude);
  const acc_t left = (acc_t(1) - alpha * magnitude) * z;
  const acc_t right = acc_t(1) + x;
  return (x < acc_t(0) ? left : right) / (acc_t(1) + z);
}

// psi'(x). Limits: psi'(-inf) = 0, psi'(+inf) = 1; psi'(0) = 0.75, the right
// derivative, because Table I puts x = 0 on the right branch.
template <typename acc_t>
ORIGINET_HD acc_t rrelu_derivative(acc_t x, acc_t alpha) {
  const acc_t magnitude = bounded_magnitude(x);
  const acc_t z = exp_nonpositive<acc_t>(-magnitude);
  const acc_t large = acc_t(1) / (acc_t(1) + z); // sigmoid(|x|)
  const acc_t small = z * large;                 //                 sigmoid(-|x|)
  const acc_t left = small * (alpha + large * (acc_t(1) - alpha * magnitude));
  const acc_t right = large * (acc_t(1) + small * (acc_t(1) + magnitude));
  return x < acc_t(0) ? left : right;
}

// The ops as functors over one element, for both backends.

template <typename acc_t>
struct RReluForward { // x -> psi(x)
  static constexpr char kOp[] = "rrelu_forward";
  static constexpr int kInputs = 1;
  static constexpr int kOutputs = 1;
  acc_t alpha;
  ORIGINET_HD void operator()(const acc_t (&in)[1], acc_t (&out)[1]) const {
    out[0] = rrelu_forward(in[0], alpha);
  }
};

template <typename acc_t>
struct RReluBackward { // grad, x -> grad * psi'(x)
  static constexpr char kOp[] = "rrelu_backward";
  static constexpr int kInputs = 2;
  static constexpr int kOutputs = 1;
  acc_t alpha;
  ORIGINET_HD void operator()(const acc_t (&in)[2], acc_t (&out)[1]) const {
    out[0] = in[0] * rrelu_derivative(in[1], alpha);
  }
};

template <typename acc_t>
struct RReluAddForward { // a, b -> psi(a) + psi(b)
  static constexpr char kOp[] = "rrelu_add_forward";
  static constexpr int kInputs = 2;
  static constexpr int kOutputs = 1;
  acc_t alpha;
  ORIGINET_HD void operator()(const acc_t (&in)[2], acc_t (&out)[1]) const {
    out[0] = rrelu_forward(in[0], alpha) + rrelu_forward(in[1], alpha);
  }
};

template <typename acc_t>
struct RReluAddBackward { // grad, a, b -> grad * psi'(a), grad * psi'(b)
  static constexpr char kOp[] = "rrelu_add_backward";
  static constexpr int kInputs = 3;
  static constexpr int kOutputs = 2;
  acc_t alpha;
  ORIGINET_HD void operator()(const acc_t (&in)[3], acc_t (&out)[2]) const {
    out[0] = in[0] * rrelu_derivative(in[1], alpha);
    out[1] = in[0] * rrelu_derivative(in[2], alpha);
  }
};

} // namespace originet
