// psi and psi' in float32 over all 2^32 inputs, in units of the exact value's last
// place (tests/test_every_float.py). Compiled with -DKERNELS and the flags of an
// instruction set, this is a library of the kernels; without, the program that
// compares libraries:
//
//     every_float ALPHA STEP LEVEL=LIBRARY...
//
// STEP 1 takes every float, another every STEP-th. Prints a line for each level that
// the processor has, each function, and the inputs next to its zero crossing and all
// others: the largest error, where, and how many inputs are more than 1 unit off.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#ifdef KERNELS

#include "elementwise_cpu.h"

using namespace originet;

extern "C" __attribute__((visibility("default"))) void psi(
    const float* x, const float*, float* y, int64_t n, double alpha) {
  using F = RReluForward<float>;
  elementwise(F{Slope<float>(alpha)}, ElementPointers<float, F>{{x}, {y}}, 0, n);
}

extern "C" __attribute__((visibility("default"))) void psi_derivative(
    const float* x, const float* ones, float* y, int64_t n, double alpha) {
  using F = RReluBackward<float>;
  elementwise(F{Slope<float>(alpha)}, ElementPointers<float, F>{{ones, x}, {y}}, 0, n);
}

#else

#include <dlfcn.h>

namespace {

using Kernel = void(const float*, const float*, float*, int64_t, double);

enum Function { kForward, kBackward, kFunctions };
constexpr const char* kNames[kFunctions] = {"forward", "backward"};
constexpr const char* kSymbols[kFunctions] = {"psi", "psi_derivative"};

constexpr uint32_t kInfinityBits = 0x7f800000;
constexpr int64_t kBlock = 8192;
constexpr int64_t kTail = 29; // a length that needs the scalar end of a vector loop

#ifdef __SIZEOF_FLOAT128__
using wide_t = __float128;
#else
using wide_t = long double; // where that has 113 bits
#endif

template <typename to_t, typename from_t>
to_t bits_as(from_t value) {
  return __builtin_bit_cast(to_t, value);
}

// psi or psi' of a finite x, with z = exp(-|x|); all sums in real_t.
template <typename real_t>
real_t exact(Function function, real_t x, real_t z, real_t alpha) {
  const real_t m = x < 0 ? -x : x;
  if (function == kForward) {
    return (x < 0 ? (1 - alpha * m) * z : 1 + m) / (1 + z);
  }
  return x < 0 ? z * (1 + alpha * (1 - m + z)) / ((1 + z) * (1 + z))
               : 1 + z * (m - z) / ((1 + z) * (1 + z));
}

// The same to 60 bits even at the zero crossings.
wide_t exact_wide(Function function, float x, double alpha) {
  const wide_t z = std::exp(-std::fabs(static_cast<long double>(x)));
  return exact<wide_t>(function, x, z, alpha);
}

// The difference in units of the exact value's last place. Beyond the largest float
// infinity counts as 2^128, the next number; NaN is infinitely far off.
double units_off(double got, double exact, double error) {
  const double power = bits_as<double>(bits_as<uint64_t>(exact) & (uint64_t(0x7ff) << 52));
  const double units = error / std::max(power * 0x1p-23, 0x1p-149);
  return got == got ? units : HUGE_VAL;
}

double finite(double value) {
  return std::min(std::max(value, -0x1p128), 0x1p128);
}

double units_off_wide(Function function, float x, double alpha, float got) {
  const wide_t want = exact_wide(function, x, alpha);
  const auto rounded = static_cast<double>(want);
  if (std::fabs(rounded) >= 0x1p128) {
    return units_off(got, 0x1p128, std::fabs(finite(got)) - 0x1p128);
  }
  const wide_t error = want - finite(got);
  return units_off(got, rounded, static_cast<double>(error < 0 ? -error : error));
}

// Next to the zero crossing is where the sum in psi or psi' is less than 2^-16 of its
// largest term.
enum Place { kElsewhere, kCrossing, kPlaces };
constexpr const char* kPlaceNames[kPlaces] = {"elsewhere", "crossing"};

struct Worst {
  double units = -1;
  float x = 0;
  int64_t above_one = 0;

  void merge(const Worst& other) {
    if (other.units > units) {
      units = other.units;
      x = other.x;
    }
    above_one += other.above_one;
  }
};

struct Level {
  std::string name;
  Kernel* kernels[kFunctions];
  Worst worst[kFunctions][kPlaces];
};

// Inputs of one sign, and what is exact for them.
struct Block {
  int64_t n = 0;
  float x[kBlock], ones[kBlock], got[kBlock], tail[kTail];
  double z[kBlock], want[kFunctions][kBlock], units[kPlaces][kBlock];
  double crossing[kFunctions][kBlock]; // 1 or 0

  Block() {
    std::fill_n(ones, kBlock, 1.0f);
  }

  // Fills the block, whose z is known, for inputs of a sign.
  void prepare(const float* magnitudes, float sign, double alpha) {
    for (int64_t i = 0; i < n; ++i) {
      x[i] = sign * magnitudes[i];
    }
    for (int f = 0; f < kFunctions; ++f) {
      for (int64_t i = 0; i < n; ++i) {
        want[f][i] = finite(exact<double>(Function(f), x[i], z[i], alpha));
      }
      // Where the sum cancels, double has too few digits.
      std::fill_n(crossing[f], n, 0.0);
      for (int64_t i = 0; sign < 0 && i < n; ++i) {
        const double m = magnitudes[i], sum = 1 + alpha * (f == kForward ? -m : 1 - m + z[i]);
        const double cancelled = std::fabs(sum) / (1 + std::fabs(alpha) * m);
        if (cancelled < 0x1p-12) {
          want[f][i] = finite(static_cast<double>(exact_wide(Function(f), x[i], alpha)));
        }
        crossing[f][i] = cancelled < 0x1p-16;
      }
    }
  }

  // False if the end of a loop gives other bits than its body.
  bool compare(const Level& level, Function function, double alpha, Worst (&worst)[kPlaces]) {
    level.kernels[function](x, ones, got, n, alpha);
    for (int64_t i = 0; i < n; ++i) {
      const double error = std::fabs(finite(got[i]) - want[function][i]);
      const double off = units_off(got[i], want[function][i], error);
      units[kElsewhere][i] = crossing[function][i] != 0 ? 0 : off;
      units[kCrossing][i] = crossing[function][i] != 0 ? off : 0;
    }
    for (int place = 0; place < kPlaces; ++place) {
      const double* off = units[place];
      double largest = 0;
      int64_t above_one = 0;
#pragma omp simd reduction(max : largest) reduction(+ : above_one)
      for (int64_t i = 0; i < n; ++i) {
        largest = off[i] > largest ? off[i] : largest;
        above_one += off[i] > 1;
      }
      if (largest > worst[place].units) {
        worst[place].units = largest;
        worst[place].x = x[std::max_element(off, off + n) - off];
      }
      worst[place].above_one += above_one;
    }
    const int64_t some = std::min(n, kTail);
    level.kernels[function](x, ones, tail, some, alpha);
    return std::memcmp(tail, got, some * sizeof(float)) == 0;
  }
};

bool processor_has(const std::string& level) {
#ifdef __x86_64__
  __builtin_cpu_init();
  if (level == "avx2") {
    return __builtin_cpu_supports("x86-64-v3");
  }
  if (level == "avx512") {
    return __builtin_cpu_supports("x86-64-v4");
  }
#endif
  return true;
}

[[noreturn]] void fail(const char* what, const std::string& where) {
  std::fprintf(stderr, "%s: %s\n", where.c_str(), what);
  std::exit(1);
}

Level load(const std::string& argument) {
  const auto equals = argument.find('=');
  Level level{argument.substr(0, equals), {}, {}};
  void* library = dlopen(argument.substr(equals + 1).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    fail(dlerror(), level.name);
  }
  for (int f = 0; f < kFunctions; ++f) {
    level.kernels[f] = reinterpret_cast<Kernel*>(dlsym(library, kSymbols[f]));
  }
  return level;
}

// The limits, and NaN for NaN.
void check_special_values(const Level& level, double alpha) {
  const float one = 1, inf = HUGE_VALF;
  const float limits[kFunctions][2] = {{0, inf}, {0, 1}};
  for (int f = 0; f < kFunctions; ++f) {
    float got;
    for (int right = 0; right < 2; ++right) {
      const float x = right ? inf : -inf;
      level.kernels[f](&x, &one, &got, 1, alpha);
      if (got != limits[f][right]) {
        fail("wrong at infinity", level.name);
      }
    }
    std::vector<float> x, ones, y;
    for (uint32_t bits = kInfinityBits + 1; bits < 0x80000000u; bits += 4093) {
      x.push_back(bits_as<float>(bits));
      x.push_back(bits_as<float>(bits | 0x80000000u));
    }
    ones.assign(x.size(), one);
    y.resize(x.size());
    level.kernels[f](x.data(), ones.data(), y.data(), x.size(), alpha);
    if (!std::all_of(y.begin(), y.end(), [](float value) { return std::isnan(value); })) {
      fail("a number for NaN", level.name);
    }
  }
}

} // namespace

int main(int argc, char** argv) {
  const double alpha = std::atof(argv[1]);
  const int64_t step = std::atoll(argv[2]);
  std::vector<Level> levels;
  for (int i = 3; i < argc; ++i) {
    if (processor_has(std::string(argv[i]).substr(0, std::string(argv[i]).find('=')))) {
      levels.push_back(load(argv[i]));
      check_special_values(levels.back(), alpha);
    }
  }
  const int64_t count = (int64_t(kInfinityBits) + step - 1) / step;
  bool same = true;
#pragma omp parallel
  {
    auto block = std::vector<Block>(1);
    std::vector<float> magnitudes(kBlock);
    std::vector<Level> mine = levels;
    bool mine_same = true;
#pragma omp for schedule(dynamic)
    for (int64_t first = 0; first < count; first += kBlock) {
      Block& b = block[0];
      b.n = std::min(kBlock, count - first);
      for (int64_t i = 0; i < b.n; ++i) {
        magnitudes[i] = bits_as<float>(static_cast<uint32_t>((first + i) * step));
        b.z[i] = std::exp(-double(magnitudes[i]));
      }
      for (const float sign : {-1.0f, 1.0f}) {
        b.prepare(magnitudes.data(), sign, alpha);
        for (Level& level : mine) {
          for (int f = 0; f < kFunctions; ++f) {
            mine_same &= b.compare(level, Function(f), alpha, level.worst[f]);
          }
        }
      }
    }
#pragma omp critical
    {
      same &= mine_same;
      for (size_t l = 0; l < levels.size(); ++l) {
        for (int f = 0; f < kFunctions; ++f) {
          for (int place = 0; place < kPlaces; ++place) {
            levels[l].worst[f][place].merge(mine[l].worst[f][place]);
          }
        }
      }
    }
  }
  for (const Level& level : levels) {
    for (int f = 0; f < kFunctions; ++f) {
      for (int place = 0; place < kPlaces; ++place) {
        const Worst& worst = level.worst[f][place];
        const float one = 1;
        float got;
        level.kernels[f](&worst.x, &one, &got, 1, alpha);
        std::printf(
            "%s %s %s %.4f at %.9g above one %lld\n", level.name.c_str(), kNames[f],
            kPlaceNames[place], units_off_wide(Function(f), worst.x, alpha, got), worst.x,
            static_cast<long long>(worst.above_one));
      }
    }
  }
  if (!same) {
    fail("the end of a loop gives other bits than its body", "every_float");
  }
}

#endif
