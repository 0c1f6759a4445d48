// What a translated kernel knows of the thread that it runs as, and what it asks of the runtime: where
// an address lies, after all checks, and to wait for other threads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

namespace ptx {

struct Index {
  uint32_t x, y, z;
};

constexpr uint32_t kWarp = 32; // threads

// A cp.async on its way.
struct Copy {
  uint8_t* to;
  const uint8_t* from;
  int bytes, filled; // the bytes from `filled` on become zero
  uint32_t shared_address;
};

struct Thread {
  Index tid, ctaid, ntid, nctaid;
  uint32_t index; // in its block
  uint8_t* parameters;
  uint8_t* shared;
  uint8_t* local;
  uint32_t warp_moment;                  // barriers of its warp since the last one of the block
  std::array<uint32_t, kWarp> received;  // by the last exchange
  std::vector<std::vector<Copy>> copies; // groups of cp.async that it has committed
  std::vector<Copy> uncommitted;

  uint32_t lane() const {
    return index % kWarp;
  }
  uint32_t warp() const {
    return index / kWarp;
  }
};

enum class Access {
  kLoad,
  kLoadReadOnly, // ld.global.nc: the kernel must not write to what it reads so
  kStore,
  kAtomic,
};

// Where an address of a state space lies in the host's memory. Fails, by an exception that ends the
// launch, if such an access is a mistake; `line` is that of the instruction in the PTX.
uint8_t* global(Thread& thread, uint64_t address, int bytes, Access access, int line);
uint8_t* shared(Thread& thread, uint32_t address, int bytes, Access access, int line);
uint8_t* parameter(Thread& thread, uint64_t address, int bytes, Access access, int line);
uint8_t* local(Thread& thread, uint64_t address, int bytes, Access access, int line);
// Any of them, by address.
uint8_t* generic(Thread& thread, uint64_t address, int bytes, Access access, int line);

[[noreturn]] void fail(const Thread& thread, int line, const std::string& what);

void wait_for_block(Thread& thread, int line);               // bar.sync
void wait_for_warp(Thread& thread, uint32_t mask, int line); // bar.warp.sync
// Returns what each lane of `mask` has offered, once all have come.
const std::array<uint32_t, kWarp>& exchange(
    Thread& thread, uint32_t value, uint32_t mask, int line);

void copy_async(
    Thread& thread, uint32_t to, uint64_t from, int bytes, uint32_t source_bytes, int line);
void commit_copies(Thread& thread);
void wait_for_copies(Thread& thread, size_t groups_left);

using KernelFunction = void(Thread&);

// A range of bytes in the parameters or in shared memory.
struct Range {
  int offset, bytes;
};

// A kernel as its translation describes it.
struct Kernel {
  std::string name;
  KernelFunction* function;
  std::vector<Range> parameters; // in order
  std::vector<Range> shared;
  int dynamic_shared; // where dynamic shared memory starts, or -1
  int local_bytes;    // of each thread
  bool waits;         // for other threads
};

struct Register {
  explicit Register(const Kernel& kernel);
};

// Registers have a type of their own; instructions read and write bits. A narrower read takes the low
// bits, a wider write extends by value, as for ld.s8.
template <typename T, typename R>
[[gnu::always_inline]] inline T as(R value) {
  if constexpr (sizeof(T) == sizeof(R) && !std::is_same_v<T, bool> && !std::is_same_v<R, bool>) {
    T result;
    __builtin_memcpy(&result, &value, sizeof result);
    return result;
  } else {
    static_assert(std::is_integral_v<R> && (std::is_integral_v<T> || sizeof(T) < sizeof(R)));
    if constexpr (std::is_integral_v<T>) {
      return static_cast<T>(value);
    } else { // a 16-bit float in a wider register
      T result;
      __builtin_memcpy(&result, &value, sizeof result);
      return result;
    }
  }
}

template <typename R, typename T>
[[gnu::always_inline]] inline void set(R& target, T value) {
  target = as<R>(value);
}

template <typename T>
[[gnu::always_inline]] inline T read(const uint8_t* from) {
  T value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}

template <typename T>
[[gnu::always_inline]] inline void write(uint8_t* to, T value) {
  __builtin_memcpy(to, &value, sizeof value);
}

} // namespace ptx
