#include "shadow.h"

#include <cstring>

namespace ptx {

Clock moments;

namespace {

// Whether what a stamp notes happens before what the thread does now.
bool in_order(const Stamp& stamp, const Thread& thread, uint32_t start) {
  if (stamp.moment < start) {
    return true;
  }
  if (stamp.blocks || stamp.moment < moments.block) {
    return false;
  }
  if (stamp.moment < moments.now) {
    return true;
  }
  if (stamp.thread == thread.index && !stamp.many) {
    return true;
  }
  return !stamp.warps && stamp.thread / kWarp == thread.warp() &&
         stamp.warp_moment < thread.warp_moment;
}

Stamp stamp_of(const Thread& thread) {
  Stamp stamp;
  stamp.moment = moments.now;
  stamp.warp_moment = static_cast<uint16_t>(thread.warp_moment);
  stamp.thread = static_cast<uint16_t>(thread.index);
  return stamp;
}

const char* touch_byte(Cell& cell, const Thread& thread, Access access, uint32_t start) {
  const bool was_written = cell.written.moment >= start, was_read = cell.read.moment >= start;
  if (was_written && cell.written.pending) {
    return "access to what cp.async has not copied yet";
  }
  const bool both_atomic = access == Access::kAtomic && cell.written.atomic;
  if (was_written && !both_atomic && !in_order(cell.written, thread, start)) {
    return "race: written by another thread, and no barrier since";
  }
  if (access == Access::kLoad || access == Access::kLoadReadOnly) {
    if (access == Access::kLoadReadOnly && was_written) {
      return "ld.global.nc of what the kernel has written";
    }
    Stamp now = stamp_of(thread);
    const Stamp& before = cell.read;
    now.read_only = access == Access::kLoadReadOnly || (was_read && before.read_only);
    if (was_read) {
      now.blocks = before.blocks || before.moment < moments.block;
      if (before.moment == moments.now && !in_order(before, thread, start)) {
        now.many = 1;
        now.warps = before.warps || before.thread / kWarp != thread.warp();
      }
    }
    cell.read = now;
    return nullptr;
  }
  if (was_read && cell.read.read_only) {
    return "write to what the kernel has read by ld.global.nc";
  }
  if (was_read && !in_order(cell.read, thread, start)) {
    return "race: read by another thread, and no barrier since";
  }
  cell.written = stamp_of(thread);
  cell.written.atomic = access == Access::kAtomic;
  return nullptr;
}

bool same(const Cell& one, const Cell& other) {
  static_assert(sizeof(Cell) == 16); // no padding
  return std::memcmp(&one, &other, sizeof(Cell)) == 0;
}

} // namespace

const char* touch(Cell* cells, int bytes, const Thread& thread, Access access, uint32_t start) {
  // Mostly, all bytes have been touched together before.
  const Cell first = cells[0];
  if (const char* wrong = touch_byte(cells[0], thread, access, start)) {
    return wrong;
  }
  for (int i = 1; i < bytes; ++i) {
    if (same(cells[i], first)) {
      cells[i] = cells[0];
    } else if (const char* wrong = touch_byte(cells[i], thread, access, start)) {
      return wrong;
    }
  }
  return nullptr;
}

Cell* GlobalShadow::at(uint64_t address) {
  const uint64_t number = address / kPage;
  Recent& recent = recent_[number % recent_.size()];
  if (recent.number != number) {
    auto& page = pages_[number];
    if (page == nullptr) {
      page = std::make_unique<Cell[]>(kPage);
    }
    recent = {number, page.get()};
  }
  return recent.cells + address % kPage;
}

void GlobalShadow::trim() {
  if (pages_.size() > kMostPages) {
    pages_.clear();
    recent_ = {};
  }
}

} // namespace ptx
