// The types that the CPU loops use for torch's dtypes.
#pragma once

#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>

#include "cpu_vector.h"

namespace originet {

// Bit patterns for torch's 16-bit types; all other types stand for themselves.
template <typename scalar_t>
struct Stored {
  using type = scalar_t;
};
template <>
struct Stored<c10::Half> {
  using type = HalfBits;
};
template <>
struct Stored<c10::BFloat16> {
  using type = BFloat16Bits;
};

} // namespace originet
