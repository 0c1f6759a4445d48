// Who touched a byte of memory, and when: finds accesses that no barrier puts in order.
//
// Time is counted in moments: one begins with each block and at each of its barriers. Within a moment,
// only barriers of a warp order what its threads do.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>

#include "thread.h"

namespace ptx {

// When the current launch, block and moment began.
struct Clock {
  uint32_t launch = 1, block = 1, now = 1;
};
extern Clock moments;

struct Stamp {
  uint32_t moment = 0; // 0: never
  uint16_t warp_moment = 0;
  uint16_t thread : 10 = 0;
  // Of a read: by several threads in its moment, these of several warps; by several blocks; ld.global.nc.
  uint16_t many : 1 = 0;
  uint16_t warps : 1 = 0;
  uint16_t blocks : 1 = 0;
  uint16_t read_only : 1 = 0;
  // Of a write: atomic; by a cp.async that nobody has waited for.
  uint16_t atomic : 1 = 0;
  uint16_t pending : 1 = 0;
};

struct Cell {
  Stamp written, read;
};

// Returns what is wrong with an access to so many bytes, or null, and notes the access. What happened
// before moment `start` is past: that of the launch for global memory, of the block for shared.
const char* touch(Cell* cells, int bytes, const Thread& thread, Access access, uint32_t start);

// Cells of global memory, made where it is touched.
class GlobalShadow {
 public:
  // The cells from an address to the end of its page, which no aligned access crosses.
  Cell* at(uint64_t address);
  // Forgets what earlier launches did, if that takes much memory.
  void trim();

 private:
  static constexpr uint64_t kPage = 4096;
  static constexpr size_t kMostPages = 8192; // 64 KiB each
  std::unordered_map<uint64_t, std::unique_ptr<Cell[]>> pages_;
  struct Recent {
    uint64_t number = ~uint64_t(0);
    Cell* cells = nullptr;
  };
  std::array<Recent, 64> recent_; // by the last bits of the page's number
};

} // namespace ptx
