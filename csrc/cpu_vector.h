// What the vectorised CPU loops share: run-time dispatch over instruction sets
// and 16-bit conversions that compile to vector code. No torch here.
#pragma once

#include <cstdint>

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>
#define ORIGINET_F16C 1
#endif

#include "rrelu_math.h" // ORIGINET_HD, bit_cast

// Compiles a function once per level. The loader picks the best level that the
// processor has; cpu_dispatch_level() in library.cpp names it.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(ORIGINET_NO_MULTIVERSION)
#define ORIGINET_MULTIVERSION \
  __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#define ORIGINET_MULTIVERSION_X86 1
#else
#define ORIGINET_MULTIVERSION
#endif

namespace originet {

// Whether such a function runs with registers of 64 bytes.
inline bool has_avx512() {
#ifdef ORIGINET_MULTIVERSION_X86
  return __builtin_cpu_supports("x86-64-v4");
#elif defined(__AVX512F__)
  return true;
#else
  return false;
#endif
}

// The bit patterns of torch's 16-bit types. The conversions are branch-free integer
// and float arithmetic. Without F16C and AVX512-BF16, the compiler does not vectorise
// the conversions of c10::Half and c10::BFloat16.
enum class HalfBits : uint16_t {}; // enums: loops over structs vectorise less well
enum class BFloat16Bits : uint16_t {};

// The arithmetic type of a stored type, and the conversions between the two.
template <typename stored_t>
struct Arithmetic {
  using type = stored_t;
  static ORIGINET_HD stored_t load(stored_t value) {
    return value;
  }
  static ORIGINET_HD stored_t store(stored_t value) {
    return value;
  }
};

template <>
struct Arithmetic<BFloat16Bits> {
  using type = float;
  static ORIGINET_HD float load(BFloat16Bits value) {
    return bit_cast<float>(static_cast<uint32_t>(value) << 16);
  }
  // Round to nearest, ties to even; NaN stays NaN.
  static ORIGINET_HD BFloat16Bits store(float value) {
    const uint32_t bits = bit_cast<uint32_t>(value);
    const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
    return static_cast<BFloat16Bits>(nan ? 0x7fc0u : rounded);
  }
};

template <>
struct Arithmetic<HalfBits> {
  using type = float;
  static ORIGINET_HD float load(HalfBits value) {
    const uint32_t bits = static_cast<uint32_t>(value);
    const uint32_t magnitude = bits & 0x7fffu;
    const uint32_t sign = (bits & 0x8000u) << 16;
    // Normal and subnormal numbers alike: as a float, the shifted bits are the
    // value divided by 2^(127 - 15). All ones in the exponent: inf or NaN.
    const float finite = bit_cast<float>(magnitude << 13) * 0x1p112f;
    const uint32_t special = (magnitude << 13) | 0x7f800000u;
    return bit_cast<float>(sign | (magnitude >= 0x7c00u ? special : bit_cast<uint32_t>(finite)));
  }
  // Round to nearest, ties to even; overflow gives inf; NaN stays NaN.
  static ORIGINET_HD HalfBits store(float value) {
    const uint32_t sign = (bit_cast<uint32_t>(value) >> 16) & 0x8000u;
    const uint32_t magnitude = bit_cast<uint32_t>(value) & 0x7fffffffu;
    // Normal: change the exponent's bias and round at bit 13.
    const uint32_t normal = (magnitude - (112u << 23) + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
    // Subnormal: adding 0.5 leaves the value in units of 2^-24 in the low bits,
    // rounded by the addition.
    const uint32_t subnormal = bit_cast<uint32_t>(bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
    uint32_t result = magnitude < (113u << 23) ? subnormal : normal;
    result = magnitude >= 0x477ff000u ? 0x7c00u : result; // 65520 and above
    result = magnitude > 0x7f800000u ? 0x7e00u : result;
    return static_cast<HalfBits>(sign | result);
  }
};

#ifdef ORIGINET_F16C
inline bool has_f16c() {
  static const bool has = [] { // clang's __builtin_cpu_supports() does not know "f16c"
    unsigned eax, ebx, ecx, edx;
    return __builtin_cpu_supports("avx") && __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 &&
           (ecx & bit_F16C) != 0;
  }();
  return has;
}

// How many elements ahead to prefetch. While a block is computed nothing else is read,
// so the processor's own prefetching starts afresh with each block.
constexpr int64_t kAhead = 1024;

__attribute__((target("avx,f16c"))) inline void widen_f16c(
    const HalfBits* from, float* to, int64_t n) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    _mm_prefetch(reinterpret_cast<const char*>(from + i + kAhead), _MM_HINT_T0);
    _mm256_storeu_ps(
        to + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i))));
  }
  for (; i < n; ++i) {
    to[i] = _cvtsh_ss(static_cast<uint16_t>(from[i]));
  }
}

__attribute__((target("avx,f16c"))) inline void narrow_f16c(
    const float* from, HalfBits* to, int64_t n) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    _mm_storeu_si128(
        reinterpret_cast<__m128i*>(to + i),
        _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT));
  }
  for (; i < n; ++i) {
    to[i] = static_cast<HalfBits>(_cvtss_sh(from[i], _MM_FROUND_TO_NEAREST_INT));
  }
}
#endif

} // namespace originet
