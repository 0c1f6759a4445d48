// The instructions in which the threads of a warp exchange values.
#pragma once

#include "arithmetic.h"
#include "thread.h"

namespace ptx {

enum class Shuffle { up, down, bfly, idx };

// The manual's own description of shfl.sync; its segments are what `width` is in CUDA.
template <Shuffle mode>
inline uint32_t shuffle(
    Thread& thread, uint32_t value, uint32_t b, uint32_t c, uint32_t mask, bool& valid, int line) {
  const auto& values = exchange(thread, value, mask, line);
  const auto lane = static_cast<int32_t>(thread.lane());
  const auto distance = static_cast<int32_t>(b & 31), clamp = static_cast<int32_t>(c & 31);
  const auto segment = static_cast<int32_t>(c >> 8 & 31);
  const int32_t last = (lane & segment) | (clamp & ~segment);
  int32_t from;
  switch (mode) {
    case Shuffle::up:
      from = lane - distance;
      break;
    case Shuffle::down:
      from = lane + distance;
      break;
    case Shuffle::bfly:
      from = lane ^ distance;
      break;
    case Shuffle::idx:
      from = (lane & segment) | (distance & ~segment);
      break;
  }
  valid = mode == Shuffle::up ? from >= last : from <= last;
  if (!valid) {
    return value;
  }
  if (from < 0 || from > 31 || (mask >> from & 1) == 0) {
    fail(thread, line, "shfl.sync reads lane " + std::to_string(from) + ", outside of its mask");
  }
  return values[from];
}

inline uint32_t vote_ballot(Thread& thread, bool condition, uint32_t mask, int line) {
  const auto& values = exchange(thread, condition, mask, line);
  uint32_t result = 0;
  for (uint32_t lane = 0; lane < kWarp; ++lane) {
    result |= (mask >> lane & values[lane] & 1) << lane;
  }
  return result;
}
inline bool vote_all(Thread& thread, bool condition, uint32_t mask, int line) {
  return vote_ballot(thread, !condition, mask, line) == 0;
}
inline bool vote_any(Thread& thread, bool condition, uint32_t mask, int line) {
  return vote_ballot(thread, condition, mask, line) != 0;
}
inline bool vote_uni(Thread& thread, bool condition, uint32_t mask, int line) {
  return vote_ballot(thread, condition, mask, line) == (condition ? mask : 0);
}

template <typename T, typename Operation>
T reduce(Thread& thread, T value, uint32_t mask, int line, const Operation& operation) {
  const auto& values = exchange(thread, as<uint32_t>(value), mask, line);
  bool first = true;
  T result{};
  for (uint32_t lane = 0; lane < kWarp; ++lane) {
    if (mask >> lane & 1) {
      result = first ? as<T>(values[lane]) : operation(result, as<T>(values[lane]));
      first = false;
    }
  }
  return result;
}

} // namespace ptx
