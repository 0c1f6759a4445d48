// The types by which the CPU loops know torch's dtypes.
#pragma once

#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>

#include "cpu_vector.h"

namespace originet {

// torch's 16-bit types as their bit patterns, the others as themselves.
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
