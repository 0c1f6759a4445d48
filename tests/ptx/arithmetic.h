// PTX's arithmetic as C++ functions. Names are those of the instructions; T is the instruction's type.
// What the manual leaves open is chosen to find those who rely on it: approximate instructions are off
// by as much as they may be.
#pragma once

#include <algorithm>
#include <cfloat>
#include <climits>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "thread.h"

namespace ptx {

#define PTX_INLINE [[gnu::always_inline]] inline

// 16-bit floats, in the bits of a register.
struct f16 {
  uint16_t bits;
};
struct bf16 {
  uint16_t bits;
};

template <typename T>
constexpr bool is_float =
    std::is_floating_point_v<T> || std::is_same_v<T, f16> || std::is_same_v<T, bf16>;

template <typename T>
using Unsigned = std::make_unsigned_t<T>;

template <typename T>
using Wide = std::conditional_t<
    sizeof(T) == 2,
    std::conditional_t<std::is_signed_v<T>, int32_t, uint32_t>,
    std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>>;

// -- floats of 16 bits ------------------------------------------------------------------------------

PTX_INLINE float to_float(float x) {
  return x;
}
PTX_INLINE float to_float(bf16 x) {
  return as<float>(uint32_t(x.bits) << 16);
}
PTX_INLINE float to_float(f16 x) {
  return float(as<_Float16>(x.bits));
}

// Rounds to nearest even.
template <typename T>
PTX_INLINE T from_float(float x) {
  if constexpr (std::is_same_v<T, float>) {
    return x;
  } else if (x != x) {
    return {0x7fff};
  } else if constexpr (std::is_same_v<T, f16>) {
    return {as<uint16_t>(_Float16(x))};
  } else {
    const auto bits = as<uint32_t>(x);
    return {uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
  }
}

// To float, such that one more rounding, to 22 bits or fewer, is that of x.
inline float round_to_odd(long double x) {
  auto nearest = static_cast<float>(x);
  if (nearest == x || x != x || std::isinf(nearest)) {
    return nearest;
  }
  auto bits = as<uint32_t>(nearest);
  if (std::fabs(static_cast<long double>(nearest)) > std::fabs(x)) {
    --bits; // now towards zero
  }
  return as<float>(bits | 1);
}

// -- denormals and saturation -----------------------------------------------------------------------

PTX_INLINE float ftz(float x) {
  return std::fabs(x) < FLT_MIN ? std::copysign(0.0f, x) : x;
}
template <typename T>
PTX_INLINE T ftz(T x) {
  static_assert(!std::is_floating_point_v<T> || std::is_same_v<T, double>);
  if constexpr (std::is_same_v<T, f16>) {
    return (x.bits & 0x7c00) == 0 ? f16{uint16_t(x.bits & 0x8000)} : x;
  } else if constexpr (std::is_same_v<T, bf16>) {
    return (x.bits & 0x7f80) == 0 ? bf16{uint16_t(x.bits & 0x8000)} : x;
  } else if constexpr (std::is_same_v<T, double>) {
    return std::fabs(x) < DBL_MIN ? std::copysign(0.0, x) : x;
  } else {
    return x;
  }
}

// To [0, 1]; NaN gives 0.
template <typename T>
PTX_INLINE T sat(T x) {
  if constexpr (std::is_floating_point_v<T>) {
    return x > T(0) ? (x < T(1) ? x : T(1)) : T(0);
  } else {
    return from_float<T>(sat(to_float(x)));
  }
}

// -- integers and floats ----------------------------------------------------------------------------

// Keeps the compiler from fusing a product with a sum, for instructions that name their rounding.
template <typename T>
PTX_INLINE T rounded(T x) {
  if constexpr (std::is_floating_point_v<T>) {
    asm volatile("" : "+x"(x));
  }
  return x;
}

// In 16 bits, a result is the exact one, rounded once.
#define PTX_BINARY(name, op)                                                                \
  template <typename T>                                                                     \
  PTX_INLINE T name(T a, T b) {                                                             \
    if constexpr (std::is_floating_point_v<T>) {                                            \
      return a op b;                                                                        \
    } else if constexpr (is_float<T>) {                                                     \
      return from_float<T>(round_to_odd(                                                    \
          static_cast<long double>(to_float(a)) op static_cast<long double>(to_float(b)))); \
    } else {                                                                                \
      return static_cast<T>(uint64_t(a) op uint64_t(b));                                    \
    }                                                                                       \
  }
PTX_BINARY(add, +)
PTX_BINARY(sub, -)
PTX_BINARY(mul, *)
#undef PTX_BINARY

template <typename T>
PTX_INLINE T fma(T a, T b, T c) {
  return from_float<T>(
      round_to_odd(static_cast<long double>(to_float(a)) * to_float(b) + to_float(c)));
}

template <typename T>
PTX_INLINE Wide<T> mul_wide(T a, T b) {
  return Wide<T>(a) * Wide<T>(b);
}
template <typename T>
PTX_INLINE T mul_hi(T a, T b) {
  using product_t = std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>;
  return static_cast<T>(product_t(a) * product_t(b) >> (8 * sizeof(T)));
}

template <typename T>
PTX_INLINE T div(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    if (b == 0 || (std::is_signed_v<T> && b == T(-1))) {
      return b == 0 ? T(-1) : static_cast<T>(0 - Unsigned<T>(a));
    }
  }
  return a / b;
}
template <typename T>
PTX_INLINE T rem(T a, T b) {
  return b == 0 ? a : std::is_signed_v<T> && b == T(-1) ? T(0) : static_cast<T>(a % b);
}

template <typename T>
PTX_INLINE T neg(T a) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(0 - Unsigned<T>(a));
  } else {
    return {uint16_t(a.bits ^ 0x8000)};
  }
}
template <typename T>
PTX_INLINE T abs(T a) {
  if constexpr (std::is_integral_v<T>) {
    return a < 0 ? neg(a) : a;
  } else if constexpr (std::is_floating_point_v<T>) {
    return std::fabs(a);
  } else {
    return {uint16_t(a.bits & 0x7fff)};
  }
}

// Of floats, a number wins over NaN, and -0 is below +0.
template <typename T>
PTX_INLINE T min(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    return a < b ? a : b;
  } else if constexpr (std::is_floating_point_v<T>) {
    if (a == b) {
      return std::signbit(a) ? a : b;
    }
    return a != a ? b : b != b ? a : a < b ? a : b;
  } else {
    return from_float<T>(min(to_float(a), to_float(b)));
  }
}
template <typename T>
PTX_INLINE T max(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    return a > b ? a : b;
  } else if constexpr (std::is_floating_point_v<T>) {
    if (a == b) {
      return std::signbit(a) ? b : a;
    }
    return a != a ? b : b != b ? a : a > b ? a : b;
  } else {
    return from_float<T>(max(to_float(a), to_float(b)));
  }
}
template <typename T>
PTX_INLINE T min_nan(T a, T b) {
  const auto x = to_float(a), y = to_float(b);
  return x != x || y != y ? from_float<T>(NAN) : min(a, b);
}
template <typename T>
PTX_INLINE T max_nan(T a, T b) {
  const auto x = to_float(a), y = to_float(b);
  return x != x || y != y ? from_float<T>(NAN) : max(a, b);
}

template <typename T>
PTX_INLINE T sad(T a, T b, T c) { // |a - b| + c
  return add<T>(c, a < b ? sub<T>(b, a) : sub<T>(a, b));
}

// -- bits -------------------------------------------------------------------------------------------

// Shifts by the width or more give 0, or the sign.
template <typename T>
PTX_INLINE T shl(T a, uint32_t n) {
  return n >= 8 * sizeof(T) ? T(0) : static_cast<T>(uint64_t(a) << n);
}
template <typename T>
PTX_INLINE T shr(T a, uint32_t n) {
  return n < 8 * sizeof(T) ? static_cast<T>(a >> n) : a < 0 ? T(-1) : T(0);
}
// Of the 64 bits b:a, funnel shifts; .wrap takes the low five bits of the distance, .clamp at most 32.
PTX_INLINE uint32_t shf_l(uint32_t a, uint32_t b, uint32_t n) {
  return uint32_t((uint64_t(b) << 32 | a) << n >> 32);
}
PTX_INLINE uint32_t shf_r(uint32_t a, uint32_t b, uint32_t n) {
  return uint32_t((uint64_t(b) << 32 | a) >> n);
}
PTX_INLINE uint32_t lop3(uint32_t a, uint32_t b, uint32_t c, uint32_t table) {
  uint32_t result = 0;
  for (int row = 0; row < 8; ++row) {
    if (table >> row & 1) {
      result |= (row & 4 ? a : ~a) & (row & 2 ? b : ~b) & (row & 1 ? c : ~c);
    }
  }
  return result;
}
// Each hexadecimal digit of `selector` picks one of the eight bytes b:a, or its sign.
PTX_INLINE uint32_t prmt(uint32_t a, uint32_t b, uint32_t selector) {
  const uint64_t bytes = uint64_t(b) << 32 | a;
  uint32_t result = 0;
  for (int i = 0; i < 4; ++i) {
    const uint32_t digit = selector >> (4 * i) & 15;
    const auto byte = static_cast<uint8_t>(bytes >> (8 * (digit & 7)));
    const uint32_t chosen = digit & 8 ? (byte & 0x80 ? 0xff : 0) : byte;
    result |= chosen << (8 * i);
  }
  return result;
}
template <typename T>
PTX_INLINE T bfe(T a, uint32_t position, uint32_t length) {
  position &= 0xff;
  length &= 0xff;
  constexpr uint32_t kBits = 8 * sizeof(T);
  if (length == 0) {
    return 0;
  }
  Unsigned<T> result = position < kBits ? Unsigned<T>(a) >> position : 0;
  const bool sign = std::is_signed_v<T> &&
                    (Unsigned<T>(a) >> std::min(position + length - 1, kBits - 1) & 1) != 0;
  const uint32_t whole = position < kBits ? std::min(length, kBits - position) : 0;
  if (whole < kBits) {
    const auto mask = static_cast<Unsigned<T>>((Unsigned<T>(1) << whole) - 1);
    result = sign ? result | static_cast<Unsigned<T>>(~mask) : result & mask;
  }
  if (!sign && length < kBits) {
    result &= static_cast<Unsigned<T>>((Unsigned<T>(1) << length) - 1);
  }
  return static_cast<T>(result);
}
template <typename T>
PTX_INLINE T bfi(T a, T b, uint32_t position, uint32_t length) { // a into b
  position &= 0xff;
  length &= 0xff;
  constexpr uint32_t kBits = 8 * sizeof(T);
  if (position >= kBits || length == 0) {
    return b;
  }
  const T mask = (length >= kBits ? ~T(0) : static_cast<T>((T(1) << length) - 1)) << position;
  return static_cast<T>((b & ~mask) | (static_cast<T>(a << position) & mask));
}
template <typename T>
PTX_INLINE uint32_t popc(T a) {
  return __builtin_popcountll(a);
}
template <typename T>
PTX_INLINE uint32_t clz(T a) {
  return a == 0 ? 8 * sizeof(T) : __builtin_clzll(a) - (64 - 8 * sizeof(T));
}
template <typename T>
PTX_INLINE T brev(T a) {
  T result = 0;
  for (size_t i = 0; i < 8 * sizeof(T); ++i) {
    result = static_cast<T>(result << 1 | (a >> i & 1));
  }
  return result;
}

// -- four bytes or two halves a register ------------------------------------------------------------

template <typename A, typename B, typename Sum> // int8_t or uint8_t
PTX_INLINE Sum dp4a(uint32_t a, uint32_t b, Sum c) {
  for (int i = 0; i < 32; i += 8) {
    c = add<Sum>(c, static_cast<Sum>(int32_t(A(a >> i)) * int32_t(B(b >> i))));
  }
  return c;
}
// Bytes of |a - b|, or with `sum` these added up to c.
template <typename Byte>
PTX_INLINE uint32_t vabsdiff4(uint32_t a, uint32_t b, uint32_t c, bool sum) {
  uint32_t result = sum ? c : 0;
  for (int i = 0; i < 32; i += 8) {
    const uint32_t difference = std::abs(int32_t(Byte(a >> i)) - int32_t(Byte(b >> i)));
    result += sum ? difference : (difference & 0xff) << i;
  }
  return result;
}

template <typename Half, typename Operation, typename... Arguments>
PTX_INLINE uint32_t pairwise(const Operation& operation, Arguments... arguments) {
  const auto low = operation(Half{uint16_t(arguments)}...);
  const auto high = operation(Half{uint16_t(arguments >> 16)}...);
  return uint32_t(high.bits) << 16 | low.bits;
}

// -- comparisons ------------------------------------------------------------------------------------

// The comparisons of setp; those ending in u also hold if an operand is NaN.
#define PTX_COMPARE(name, ordered, expression)                     \
  template <typename T>                                            \
  PTX_INLINE bool name(T first, T second) {                        \
    if constexpr (std::is_arithmetic_v<T>) {                       \
      const T a = first, b = second;                               \
      const bool nan = a != a || b != b;                           \
      return ordered ? !nan && (expression) : nan || (expression); \
    } else {                                                       \
      return name<float>(to_float(first), to_float(second));       \
    }                                                              \
  }
PTX_COMPARE(eq, true, a == b)
PTX_COMPARE(ne, true, a != b)
PTX_COMPARE(lt, true, a < b)
PTX_COMPARE(le, true, a <= b)
PTX_COMPARE(gt, true, a > b)
PTX_COMPARE(ge, true, a >= b)
PTX_COMPARE(equ, false, a == b)
PTX_COMPARE(neu, false, a != b)
PTX_COMPARE(ltu, false, a < b)
PTX_COMPARE(leu, false, a <= b)
PTX_COMPARE(gtu, false, a > b)
PTX_COMPARE(geu, false, a >= b)
PTX_COMPARE(num, true, true)
PTX_COMPARE(nan, false, false)
#undef PTX_COMPARE

// -- conversions ------------------------------------------------------------------------------------

enum class Rounding { kNearest, kZero, kDown, kUp };

inline long double round_to_integer(long double x, Rounding rounding) {
  switch (rounding) {
    case Rounding::kNearest:
      return std::rint(x);
    case Rounding::kZero:
      return std::trunc(x);
    case Rounding::kDown:
      return std::floor(x);
    case Rounding::kUp:
      return std::ceil(x);
  }
  __builtin_unreachable();
}

template <typename T>
PTX_INLINE long double exactly(T x) {
  if constexpr (std::is_arithmetic_v<T>) {
    return x;
  } else {
    return to_float(x);
  }
}

// The neighbour of a finite x in a direction.
template <typename T>
inline T neighbour(T x, bool up) {
  if constexpr (std::is_floating_point_v<T>) {
    return std::nextafter(
        x, up ? std::numeric_limits<T>::infinity() : -std::numeric_limits<T>::infinity());
  } else {
    if ((x.bits & 0x7fff) == 0) {
      return {uint16_t(up ? 0x0001 : 0x8001)};
    }
    const bool negative = (x.bits & 0x8000) != 0;
    return {uint16_t(x.bits + (up != negative ? 1 : -1))};
  }
}

template <typename D, typename S>
inline D round_float(S value, Rounding rounding) {
  const long double x = exactly(value);
  D result;
  if constexpr (std::is_floating_point_v<D>) {
    result = static_cast<D>(x);
  } else {
    result = from_float<D>(round_to_odd(x));
  }
  const long double reached = exactly(result);
  if (rounding == Rounding::kNearest || reached == x || x != x) {
    return result;
  }
  const bool up = rounding == Rounding::kUp || (rounding == Rounding::kZero && x < 0);
  if (up ? reached < x : reached > x) {
    result = neighbour(result, up);
  }
  return result;
}

// cvt with a rounding to an integer, such as .rni: to an integer type, or to an integral float.
template <typename D, typename S>
PTX_INLINE D convert_to_integer(S value, Rounding rounding) {
  const long double x = round_to_integer(exactly(value), rounding);
  if constexpr (is_float<D>) {
    return round_float<D>(x, Rounding::kNearest);
  } else {
    if (x != x) {
      return 0;
    }
    // Beyond the type's range, the nearest value that it has.
    return x <= static_cast<long double>(std::numeric_limits<D>::min())
               ? std::numeric_limits<D>::min()
           : x >= static_cast<long double>(std::numeric_limits<D>::max())
               ? std::numeric_limits<D>::max()
               : static_cast<D>(x);
  }
}

template <typename D, typename S>
PTX_INLINE D convert(S value, Rounding rounding) {
  if constexpr (std::is_floating_point_v<D> && !std::is_arithmetic_v<S>) {
    return to_float(value);
  } else if constexpr (std::is_same_v<S, float>) {
    return rounding == Rounding::kNearest ? from_float<D>(value) : round_float<D>(value, rounding);
  } else {
    return round_float<D>(value, rounding);
  }
}

// cvt.sat between integers.
template <typename D, typename S>
PTX_INLINE D clamp_integer(S value) {
  const auto x = static_cast<__int128>(value);
  const __int128 least = std::numeric_limits<D>::min(), most = std::numeric_limits<D>::max();
  return static_cast<D>(x < least ? least : x > most ? most : x);
}

// -- approximations ---------------------------------------------------------------------------------

// The right value, off by up to so many units in the last place; always the same for the same value, as
// hardware is. Infinities, zeros and NaN are exact.
inline float off(float exact, int most) {
  if (!(std::fabs(exact) >= FLT_MIN) || std::isinf(exact)) {
    return exact;
  }
  uint32_t hash = as<uint32_t>(exact) * 2654435761u + 12345u;
  hash ^= hash >> 15;
  hash *= 2246822519u;
  const int distance = static_cast<int>((hash >> 16) % (2 * most + 1)) - most;
  return as<float>(as<uint32_t>(exact) + distance);
}

inline float ex2_approx(float x) {
  return x == 0 ? 1.0f : off(static_cast<float>(std::exp2(static_cast<double>(x))), 2);
}
inline float lg2_approx(float x) {
  const double exact = std::log2(static_cast<double>(x));
  // Between 0.5 and 2 the error is absolute.
  if (x > 0.5f && x < 2.0f) {
    return static_cast<float>(exact + (as<uint32_t>(x) & 1 ? 0x1p-22 : -0x1p-22));
  }
  return off(static_cast<float>(exact), 1);
}
inline float rcp_approx(float x) {
  return off(1.0f / x, 1);
}
inline float sqrt_approx(float x) {
  return off(std::sqrt(x), 1);
}
inline float rsqrt_approx(float x) {
  return off(static_cast<float>(1.0 / std::sqrt(static_cast<double>(x))), 2);
}
inline float tanh_approx(float x) {
  const double exact = std::tanh(static_cast<double>(x));
  return static_cast<float>(exact * (as<uint32_t>(x) & 1 ? 1 + 0x1p-11 : 1 - 0x1p-11));
}
// Above 2^126, where 1 / b is denormal, the quotient is 0, or NaN for an infinite a.
inline float div_approx(float a, float b) {
  if (std::fabs(b) > 0x1p126f && !std::isinf(b)) {
    return std::isinf(a) || a != a ? NAN : std::copysign(0.0f, a) * std::copysign(1.0f, b);
  }
  return off(static_cast<float>(static_cast<double>(a) / static_cast<double>(b)), 2);
}
inline float div_full(float a, float b) {
  return off(static_cast<float>(static_cast<double>(a) / static_cast<double>(b)), 2);
}
// The upper half of the bits, the lower being 0; here, one unit of the last place below.
inline double rcp_approx_upper(double x) {
  const double exact = 1.0 / ftz(x);
  const uint64_t bits = as<uint64_t>(exact) & 0xffffffff00000000ull;
  return std::isfinite(exact) && exact != 0 ? as<double>(bits - (uint64_t(1) << 32))
                                            : as<double>(bits);
}

} // namespace ptx
