// The CPU kernels without torch, so that they can be compiled for one instruction
// set and run there, under an emulator if need be (tests/originet_ext/test_cpu_levels.py).
// Prints the largest error of psi and of psi' for each type, one name and one
// number a line:
//     float32, float64: max of (error - smallest subnormal) / (eps * |exact|)
//       ("relative"), the same in units of the exact value's last place ("ulp"), and
//       the largest error where the first is more than 3 ("absolute")
//     float16, bfloat16: over all inputs, max of (error - 2^-24) / (eps * |exact|)
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <vector>

#include "elementwise_cpu.h"

namespace {

using namespace originet;

constexpr double kAlpha = 0.1;

template <typename real_t>
real_t exact_psi(real_t x) {
  const real_t z = std::exp(-std::fabs(x));
  return (x < 0 ? (1 + real_t(kAlpha) * x) * z : 1 + x) / (1 + z);
}

template <typename real_t>
real_t exact_derivative(real_t x) {
  const real_t a = kAlpha, z = std::exp(-std::fabs(x));
  return x < 0 ? z * (1 + a + a * x + a * z) / ((1 + z) * (1 + z))
               : 1 + z * (x - z) / ((1 + z) * (1 + z));
}

struct Worst {
  double relative = 0, relative_at = 0, ulp = 0, ulp_at = 0, absolute = 0, absolute_at = 0;

  template <typename real_t>
  void take(double x, double got, real_t exact, double eps, double floor) {
    const double error = static_cast<double>(std::fabs(static_cast<real_t>(got) - exact));
    const double ratio = (error - floor) / (eps * static_cast<double>(std::fabs(exact)));
    if (!(error <= floor) && !(ratio <= relative)) { // NaN counts
      relative = ratio;
      relative_at = x;
    }
    int exponent;
    std::frexp(static_cast<double>(exact), &exponent);
    const double ulps = (error - floor) / std::ldexp(eps, exponent - 1);
    if (!(error <= floor) && ratio <= 3 && !(ulps <= ulp)) {
      ulp = ulps;
      ulp_at = x;
    }
    if (!(error <= floor) && !(ratio <= 3) && !(error <= absolute)) {
      absolute = error;
      absolute_at = x;
    }
  }

  void print(const char* type, const char* what) const {
    std::printf("%s %s relative %.4g at %.17g\n", type, what, relative, relative_at);
    std::printf("%s %s ulp %.4g at %.17g\n", type, what, ulp, ulp_at);
    std::printf("%s %s absolute %.4g at %.17g\n", type, what, absolute, absolute_at);
  }
};

// Runs both kernels over x; `exact_t` is the type of the reference.
template <typename stored_t, typename exact_t>
void check(const char* type, const std::vector<stored_t>& x, double eps, double floor) {
  using A = Arithmetic<stored_t>;
  using acc_t = typename A::type;
  const Slope<acc_t> alpha(kAlpha);
  const auto n = static_cast<int64_t>(x.size());
  std::vector<stored_t> y(x.size()), derivative(x.size());
  const std::vector<stored_t> ones(x.size(), A::store(acc_t(1)));
  using Forward = RReluForward<acc_t>;
  using Backward = RReluBackward<acc_t>;
  elementwise(Forward{alpha}, ElementPointers<stored_t, Forward>{{x.data()}, {y.data()}}, 0, n);
  elementwise(
      Backward{alpha},
      ElementPointers<stored_t, Backward>{{ones.data(), x.data()}, {derivative.data()}}, 0, n);
  Worst forward, backward;
  for (int64_t i = 0; i < n; ++i) {
    const acc_t value = A::load(x[i]);
    if (!std::isfinite(value)) {
      continue; // limits are tested from Python
    }
    forward.take<exact_t>(value, A::load(y[i]), exact_psi<exact_t>(value), eps, floor);
    backward.take<exact_t>(
        value, A::load(derivative[i]), exact_derivative<exact_t>(value), eps, floor);
  }
  forward.print(type, "forward");
  backward.print(type, "backward");
}

// Every step-th finite number of a type, both signs.
template <typename real_t, typename bits_t>
std::vector<real_t> sweep(bits_t step) {
  std::vector<real_t> values;
  const auto end = bit_cast<bits_t>(std::numeric_limits<real_t>::infinity());
  for (bits_t bits = 0; bits < end; bits += step) {
    values.push_back(bit_cast<real_t>(bits));
    values.push_back(-values.back());
  }
  return values;
}

template <typename stored_t>
std::vector<stored_t> all_16_bit_values() {
  std::vector<stored_t> values;
  for (int bits = 0; bits < 65536; ++bits) {
    values.push_back(static_cast<stored_t>(bits));
  }
  return values;
}

} // namespace

int main(int argc, char** argv) {
  // Prime steps, so that all low bits come up.
  const uint32_t step = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1009;
  auto floats = sweep<float, uint32_t>(step);
  for (const float around : {-10.0f, -11.0f, -1.0f, -0.0f, 0.0f, 1.0f}) {
    float below = around, above = around;
    for (int i = 0; i < 2000; ++i) {
      floats.push_back(below = std::nextafter(below, -HUGE_VALF));
      floats.push_back(above = std::nextafter(above, HUGE_VALF));
    }
  }
  check<float, double>("float32", floats, 0x1p-23, 0x1p-149);
  const auto doubles = sweep<double, uint64_t>(uint64_t(step) * 0x1000000007u);
  check<double, long double>("float64", doubles, 0x1p-52, 0x1p-1074);
  check<HalfBits, double>("float16", all_16_bit_values<HalfBits>(), 0x1p-10, 0x1p-24);
  check<BFloat16Bits, double>("bfloat16", all_16_bit_values<BFloat16Bits>(), 0x1p-7, 0x1p-24);
}
