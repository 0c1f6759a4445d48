// The refined ReLU and its derivative as scalar functions. The CPU and the CUDA
// kernels both call them, so a machine without a GPU tests the formulas of both. No
// torch here.
//
//   psi(x)  = sigmoid(x) * (1 + L(x)),  L(x) = x for x >= 0, alpha * x below
//             (Verma et al., arXiv:2005.07991, Eq. 4)
//   psi'(x) = s * (a + (1 - s) * (1 + a * x)),  s = sigmoid(x),
//             a = 1 for x >= 0, alpha below
//
// The paper writes psi with e^x, which overflows for large x, and the derivative that
// its Table I gives for x < 0 is right only for alpha = 1. Here everything is written in
// terms of z = exp(-|x|), which lies in [0, 1].
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#ifdef __CUDACC__
#define ORIGINET_HD __host__ __device__ __forceinline__
#else
// Always inlined, so that the body is compiled for the instruction set of the
// multiversioned loop that calls it.
#define ORIGINET_HD inline __attribute__((always_inline))
#endif

namespace originet {

// std::bit_cast, which CUDA does not allow in device code.
template <typename to_t, typename from_t>
ORIGINET_HD constexpr to_t bit_cast(from_t value) {
  return __builtin_bit_cast(to_t, value);
}

// c - a * b. Where the product nearly equals c, the difference is exact only if it is rounded
// once. nvcc may fuse the two or not, so a GPU is told to. A host without the instruction would
// call a function of libm, so there the compiler decides: it fuses wherever the processor can.
template <typename acc_t>
ORIGINET_HD acc_t minus_product(acc_t c, acc_t a, acc_t b) {
#ifdef __CUDA_ARCH__
  return fma(-a, b, c);
#else
  return c - a * b;
#endif
}

template <typename acc_t>
struct FloatTraits;

template <>
struct FloatTraits<float> {
  using bits_t = int32_t;
  static constexpr int kMantissaBits = 23;
  static constexpr bits_t kOneBits = 0x3f800000;
  static constexpr bits_t kInfinityBits = 0x7f800000;
  static constexpr bits_t kMagnitudeBits = 0x7fffffff;
  // 2^n is applied as 2^(n + kScale) * 2^-kScale, because the first factor is a normal
  // number even if the result is subnormal.
  static constexpr int kScale = 64;
  static constexpr float kUnscale = 0x1p-64f;
  // These bits minus the bits of a number are those of its reciprocal, within 6 %.
  static constexpr bits_t kReciprocalBits = 0x7ef0d000;
  // Adding 1.5 * 2^23 rounds to an integer, which ends up in the low mantissa bits.
  static constexpr float kRoundMagic = 0x1.8p23f + kScale;
  static constexpr float kLn2High = 0.693359375f; // few bits: n * high is exact
  static constexpr float kLn2Low = -2.12194440e-4f;
  // exp(-kMagnitudeMax) * alpha * kMagnitudeMax is 0 for any |alpha| below 1e9.
  static constexpr float kMagnitudeMax = 130.0f;
  // q of exp(r) = 1 + r + r^2 q(r) over |r| <= ln(2) / 2, minimax in the relative
  // error of exp: 3e-9.
  static ORIGINET_HD float exp_tail(float r) {
    float q = 1.3814255745e-3f;
    q = q * r + 8.3688568647e-3f;
    q = q * r + 4.1668402428e-2f;
    q = q * r + 1.6666519461e-1f;
    return q * r + 4.9999993366e-1f;
  }
};

template <>
struct FloatTraits<double> {
  using bits_t = int64_t;
  static constexpr int kMantissaBits = 52;
  static constexpr bits_t kOneBits = 0x3ff0000000000000;
  static constexpr bits_t kInfinityBits = 0x7ff0000000000000;
  static constexpr bits_t kMagnitudeBits = 0x7fffffffffffffff;
  static constexpr int kScale = 512;
  static constexpr double kUnscale = 0x1p-512;
  static constexpr bits_t kReciprocalBits = 0x7fde1a0000000000;
  static constexpr double kRoundMagic = 0x1.8p52 + kScale;
  static constexpr double kLn2High = 6.93147180369123816490e-01;
  static constexpr double kLn2Low = 1.90821492927058770002e-10;
  static constexpr double kMagnitudeMax = 780.0;
  static ORIGINET_HD double exp_tail(double r) { // error 4e-18
    double q = 2.4999813295163858385e-08;
    q = q * r + 2.7630522575676159210e-07;
    q = q * r + 2.7557588562980735497e-06;
    q = q * r + 2.4801492390644840624e-05;
    q = q * r + 1.9841269502584122673e-04;
    q = q * r + 1.3888888944247114175e-03;
    q = q * r + 8.3333333334969941548e-03;
    q = q * r + 4.1666666666528110713e-02;
    q = q * r + 1.6666666666666407566e-01;
    return q * r + 5.0000000000000108254e-01;
  }
};

// alpha in the arithmetic type, and the rest that rounding to that type drops. psi crosses
// zero at x = -1/alpha and psi' near x = -1 - 1/alpha, where only the last bits of alpha
// are left of a sum. kFast stands for the formulas of rrelu_fast.h.
template <typename acc_t, bool kFast = false>
struct Slope {
  acc_t high, low;

  explicit Slope(double alpha)
      : high(static_cast<acc_t>(alpha)), low(static_cast<acc_t>(alpha - double(high))) {}

  // 1 - alpha * m
  ORIGINET_HD acc_t line(acc_t m) const {
    return minus_product(acc_t(1), high, m) - low * m;
  }

  // 1 + alpha * (1 - m + z)
  ORIGINET_HD acc_t line_of_derivative(acc_t m, acc_t z) const {
    const acc_t rest = low * (acc_t(1) - m);
    return (acc_t(1) + high * (acc_t(1) - m)) + (high * z + rest);
  }
};

// exp(-m) for 0 <= m <= kMagnitudeMax, within 1 ulp; the result for NaN is arbitrary. A
// polynomial without branches or calls, so that loops over it vectorise on the host. The
// GPU runs the same code.
template <typename acc_t>
struct ExpOfMinus {
  static constexpr acc_t kUnscale = FloatTraits<acc_t>::kUnscale;
  acc_t value;
  acc_t scaled; // value / kUnscale, never subnormal
  // (1 + tail) * 2^n is the value before its last rounding; power = 2^(n + kScale).
  acc_t tail, power;

  explicit ORIGINET_HD ExpOfMinus(acc_t m) {
    using T = FloatTraits<acc_t>;
    using wrapping_t = std::make_unsigned_t<typename T::bits_t>;
    // -m = n * ln(2) + r with integer n and |r| <= ln(2) / 2
    const acc_t shifted = T::kRoundMagic - m * static_cast<acc_t>(1.44269504088896340736);
    const acc_t n = shifted - T::kRoundMagic;
    const acc_t r = (-m - n * T::kLn2High) - n * T::kLn2Low;
    tail = r * r * T::exp_tail(r) + r;
    // The shift moves n + kScale to the place of the exponent.
    const wrapping_t exponent = bit_cast<wrapping_t>(shifted) << T::kMantissaBits;
    power = bit_cast<acc_t>(exponent + wrapping_t(T::kOneBits));
    const wrapping_t mantissa = bit_cast<wrapping_t>(acc_t(1) + tail);
    scaled = bit_cast<acc_t>(exponent + mantissa);
    value = scaled * T::kUnscale;
  }

  // factor * exp(-m) / kUnscale
  ORIGINET_HD acc_t scaled_product(acc_t factor) const {
    return (factor + factor * tail) * power;
  }
};

#ifdef __CUDA_ARCH__
// 1 / b within 2^-22 for float and 2^-39 for double, for b far from overflow and underflow: the
// hardware's, and one Newton step for double, of which the hardware gives 20 bits.
__device__ __forceinline__ float rough_reciprocal(float b) {
  float reciprocal;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(reciprocal) : "f"(b));
  return reciprocal;
}

__device__ __forceinline__ double rough_reciprocal(double b) {
  double reciprocal;
  asm("rcp.approx.ftz.f64 %0, %1;" : "=d"(reciprocal) : "d"(b));
  return reciprocal + reciprocal * minus_product(1.0, reciprocal, b);
}

template <typename acc_t>
__device__ __forceinline__ acc_t rough_quotient(acc_t a, acc_t, acc_t reciprocal) {
  return a * reciprocal;
}

// a / b within 1 ulp, by one more Newton step. The compiler's own division checks for operands that
// cannot occur here.
template <typename acc_t>
__device__ __forceinline__ acc_t divide(acc_t a, acc_t b) {
  const acc_t reciprocal = rough_reciprocal(b);
  const acc_t quotient = a * reciprocal;
  return quotient + minus_product(a, quotient, b) * reciprocal;
}
#else
// 1 / b within 6 %.
template <typename acc_t>
ORIGINET_HD acc_t rough_reciprocal(acc_t b) {
  using T = FloatTraits<acc_t>;
  return bit_cast<acc_t>(T::kReciprocalBits - bit_cast<typename T::bits_t>(b));
}

// a / b for 1 <= b <= 4. It may be as inexact as the reciprocal on the GPU, where the caller
// computes the rest of the division in any case.
template <typename acc_t>
ORIGINET_HD acc_t rough_quotient(acc_t a, acc_t b, acc_t) {
  return a / b;
}

// a / b for 1 <= b <= 4, within 1 ulp.
template <typename acc_t>
ORIGINET_HD acc_t divide(acc_t a, acc_t b) {
  return a / b;
}
#endif

// |x|, but no larger than where psi and psi' have reached their limits; beyond, there would
// be inf * 0. On the host in integers, here and for the NaN below, because compilers split a
// loop body that compares floats more than once into paths, and compute the exponential
// in each.
template <typename acc_t>
ORIGINET_HD acc_t bounded_magnitude(acc_t x) {
  using T = FloatTraits<acc_t>;
#ifdef __CUDA_ARCH__
  return fmin(fabs(x), T::kMagnitudeMax); // NaN becomes kMagnitudeMax
#else
  constexpr auto kMax = bit_cast<typename T::bits_t>(T::kMagnitudeMax);
  const auto bits = bit_cast<typename T::bits_t>(x) & T::kMagnitudeBits;
  return bit_cast<acc_t>(bits < kMax ? bits : kMax); // NaN becomes kMax, too
#endif
}

// 1, but NaN where x is NaN.
template <typename acc_t>
ORIGINET_HD acc_t one_or_nan(acc_t x) {
#ifdef __CUDA_ARCH__
  return x == x ? acc_t(1) : x;
#else
  using T = FloatTraits<acc_t>;
  const auto bits = bit_cast<typename T::bits_t>(x) & T::kMagnitudeBits;
  // All ones if the magnitude is above that of infinity.
  const auto nan = (T::kInfinityBits - bits) >> (8 * sizeof(bits) - 1);
  return bit_cast<acc_t>(T::kOneBits | nan);
#endif
}

// psi(x) in few instructions, for results that are added up. With m = |x| and z = exp(-m):
//   x < 0:  (1 - alpha m) z / (1 + z)
//   x >= 0: (1 + x) / (1 + z) = x + (1 - m z) / (1 + z), where only the second
//           term, at most 1, has the rounding errors of a quotient
// Limits: psi(-inf) = 0, psi(+inf) = +inf, psi(0) = 0.5.
template <typename acc_t>
ORIGINET_HD acc_t rrelu_forward(acc_t x, Slope<acc_t> alpha) {
  const acc_t m = bounded_magnitude(x);
  const ExpOfMinus<acc_t> z(m);
  const bool left = x < acc_t(0);
  const acc_t numerator = left ? z.scaled_product(alpha.line(m)) : acc_t(1) - m * z.value;
  const acc_t quotient = divide(numerator, acc_t(1) + z.value);
  return quotient * (left ? z.kUnscale : acc_t(1)) + (left ? acc_t(0) : x);
}

// psi'(x), with m = |x| and z = exp(-m):
//   x < 0:  z (1 + alpha (1 - m + z)) / (1 + z)^2
//   x >= 0: 1 + z (m - z) / (1 + z)^2
// Limits: psi'(-inf) = 0, psi'(+inf) = 1; psi'(0) = 0.75, the right derivative,
// because Table I puts x = 0 on the right branch.
template <typename acc_t>
ORIGINET_HD acc_t rrelu_derivative(acc_t x, Slope<acc_t> alpha) {
  const acc_t m = bounded_magnitude(x);
  const ExpOfMinus<acc_t> z(m);
  const bool left = x < acc_t(0);
  const acc_t factor = alpha.line_of_derivative(m, z.value);
  const acc_t numerator = left ? z.scaled_product(factor) : z.value * (m - z.value);
  const acc_t square = acc_t(1) + z.value * (acc_t(2) + z.value);
  const acc_t quotient = divide(numerator, square);
  return quotient * (left ? z.kUnscale : acc_t(1)) + (left ? acc_t(0) : one_or_nan(x));
}

template <typename acc_t>
struct ValueAndDerivative {
  acc_t value;
  acc_t derivative;
};

// The same to less than 2 units in the last place. Every sum, product and quotient
// below, except the exponential itself, carries along the rounding error that the next
// step would otherwise inherit. SSE2 has no fused multiply-add for minus_product and is less
// exact at the zero crossings.

// The part that the formulas of psi and psi' have in common. It has a loop of its own: one
// loop over everything is longer than a processor can look ahead, two loops are not.
template <typename acc_t, bool kFast = false>
struct Exponential {
  acc_t magnitude; // m
  acc_t scaled;    // exp(-m) / kUnscale

  Exponential() = default;
  ORIGINET_HD Exponential(acc_t magnitude, acc_t scaled) : magnitude(magnitude), scaled(scaled) {}
  explicit ORIGINET_HD Exponential(acc_t x)
      : magnitude(bounded_magnitude(x)), scaled(ExpOfMinus<acc_t>(magnitude).scaled) {}

  // exp(-m). If that is below the smallest normal number, some other number below it. On the
  // host in integers: multiplications are the bottleneck, and integer operations run beside
  // them.
  ORIGINET_HD acc_t value() const {
    using T = FloatTraits<acc_t>;
#ifdef __CUDA_ARCH__
    return scaled * T::kUnscale;
#else
    using bits_t = typename T::bits_t;
    const bits_t bits = bit_cast<bits_t>(scaled) - (bits_t(T::kScale) << T::kMantissaBits);
    return bit_cast<acc_t>(bits < 0 ? bits_t(0) : bits);
#endif
  }
};

// (1 - alpha * m) * kUnscale as the sum of two numbers, of which the second is small.
// product = alpha * m is rounded to some 20 bits after the binary point, so that
// 1 - product and, if fused, product - alpha * m are exact.
template <typename acc_t>
struct Line {
  acc_t high, low;

  ORIGINET_HD Line(acc_t alpha_high, acc_t alpha_low, acc_t m) {
    constexpr acc_t kUnscale = FloatTraits<acc_t>::kUnscale;
    constexpr acc_t kRound = 12 * kUnscale;
    const acc_t slope = alpha_high * kUnscale;
    const acc_t product = (slope * m + kRound) - kRound;
    high = kUnscale - product;
    low = minus_product(product, slope, m) - alpha_low * kUnscale * m;
  }
};

// line * (quotient + rest), where rest is what the division rounded off.
template <typename acc_t>
ORIGINET_HD acc_t multiply(Line<acc_t> line, acc_t quotient, acc_t rest) {
  return line.high * quotient + (line.high * rest + line.low * quotient);
}

// psi(x) as above. Operands are selected, not products: a select around a product would
// keep the compiler from contracting it.
template <typename acc_t>
ORIGINET_HD acc_t rrelu_forward(acc_t x, Exponential<acc_t> exponential, Slope<acc_t> alpha) {
  constexpr acc_t kScaled = 1 / FloatTraits<acc_t>::kUnscale;
  const acc_t m = exponential.magnitude;
  const acc_t z = exponential.value();
  const bool left = x < acc_t(0);
  const Line<acc_t> line(alpha.high, alpha.low, left ? m : acc_t(0));
  const acc_t numerator = left ? exponential.scaled : kScaled - m * exponential.scaled;
  const acc_t denominator = acc_t(1) + z;
  const acc_t reciprocal = rough_reciprocal(denominator);
  const acc_t quotient = rough_quotient(numerator, denominator, reciprocal);
  const acc_t rest = minus_product(numerator - quotient, quotient, z);
  return multiply(line, quotient, rest * reciprocal) + (left ? acc_t(0) : x);
}

// psi'(x) as above, with b = m - 1 - z:
//   x < 0:  (1 - alpha b) z / (1 + z)^2
//   x >= 0: 1 + (1 + b) z / (1 + z)^2
template <typename acc_t>
ORIGINET_HD acc_t rrelu_derivative(acc_t x, Exponential<acc_t> exponential, Slope<acc_t> alpha) {
  constexpr acc_t kUnscale = FloatTraits<acc_t>::kUnscale;
  const acc_t z = exponential.value();
  const bool left = x < acc_t(0);
  const acc_t m_1 = exponential.magnitude - acc_t(1);
  const acc_t b = m_1 - z;
  const acc_t b_low = (m_1 - b) - z;
  const acc_t slope = left ? alpha.high : acc_t(-1);
  Line<acc_t> line(slope, left ? alpha.low : acc_t(0), b);
  line.low -= slope * kUnscale * b_low;
  const acc_t square = z * (acc_t(2) + z) + acc_t(1);
  const acc_t square_low = ((acc_t(1) - square) + (z + z)) + z * z;
  const acc_t reciprocal = rough_reciprocal(square);
  const acc_t quotient = rough_quotient(exponential.scaled, square, reciprocal);
  const acc_t rest = minus_product(exponential.scaled, quotient, square) - quotient * square_low;
  return multiply(line, quotient, rest * reciprocal) + (left ? acc_t(0) : one_or_nan(x));
}

// The ops as functors over one element, for both backends. Inputs from kFirst on are
// passed with their exponentials.

// The elements of a functor's inputs and outputs.
template <typename value_t, typename Functor>
struct ElementPointers {
  const value_t* in[Functor::kInputs];
  value_t* out[Functor::kOutputs];
};

template <typename acc_t, bool kFast = false>
struct RReluForward { // x -> psi(x)
  static constexpr char kOp[] = "rrelu_forward";
  static constexpr int kInputs = 1;
  static constexpr int kFirst = 0;
  static constexpr int kOutputs = 1;
  using Z = Exponential<acc_t, kFast>;
  Slope<acc_t, kFast> alpha;
  ORIGINET_HD void operator()(const acc_t (&in)[1], const Z (&z)[1], acc_t (&out)[1]) const {
    out[0] = rrelu_forward(in[0], z[0], alpha);
  }
};

template <typename acc_t, bool kFast = false>
struct RReluBackward { // grad, x -> grad * psi'(x)
  static constexpr char kOp[] = "rrelu_backward";
  static constexpr int kInputs = 2;
  static constexpr int kFirst = 1;
  static constexpr int kOutputs = 1;
  using Z = Exponential<acc_t, kFast>;
  Slope<acc_t, kFast> alpha;
  ORIGINET_HD void operator()(const acc_t (&in)[2], const Z (&z)[1], acc_t (&out)[1]) const {
    out[0] = in[0] * rrelu_derivative(in[1], z[0], alpha);
  }
};

template <typename acc_t, bool kFast = false>
struct RReluAddForward { // a, b -> psi(a) + psi(b)
  static constexpr char kOp[] = "rrelu_add_forward";
  static constexpr int kInputs = 2;
  static constexpr int kFirst = 0;
  static constexpr int kOutputs = 1;
  using Z = Exponential<acc_t, kFast>;
  Slope<acc_t, kFast> alpha;
  ORIGINET_HD void operator()(const acc_t (&in)[2], const Z (&z)[2], acc_t (&out)[1]) const {
    out[0] = rrelu_forward(in[0], z[0], alpha) + rrelu_forward(in[1], z[1], alpha);
  }
};

template <typename acc_t, bool kFast = false>
struct RReluAddBackward { // grad, a, b -> grad * psi'(a), grad * psi'(b)
  static constexpr char kOp[] = "rrelu_add_backward";
  static constexpr int kInputs = 3;
  static constexpr int kFirst = 1;
  static constexpr int kOutputs = 2;
  using Z = Exponential<acc_t, kFast>;
  Slope<acc_t, kFast> alpha;
  ORIGINET_HD void operator()(const acc_t (&in)[3], const Z (&z)[2], acc_t (&out)[2]) const {
    out[0] = in[0] * rrelu_derivative(in[1], z[0], alpha);
    out[1] = in[0] * rrelu_derivative(in[2], z[1], alpha);
  }
};

} // namespace originet
