// Runs the blocks of a launch one after the other, in random order, and the threads of a block in turns:
// each runs until it waits for others, and then a random one that can goes on. A mistake of the kernel
// throws, ends the launch, and comes out of it as an error of CUDA would.
#include "runtime.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <mutex>
#include <numeric>
#include <optional>
#include <random>
#include <stdexcept>

#include "fiber.h"
#include "shadow.h"

// Of AddressSanitizer's run-time library, if it is loaded. Nothing here is compiled with the sanitizer:
// of kernels, each of which is one long function, that takes hours.
extern "C" __attribute__((weak)) void* __asan_region_is_poisoned(void* start, size_t bytes);

namespace ptx {
namespace {

constexpr size_t kShared = 227 << 10; // bytes that a block of an H100 can have, and gaps
constexpr size_t kParameters = 64 << 10;

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Launched {
  Kernel kernel;
  int64_t launches = 0;
};

// A window of memory, of which only some bytes belong to variables.
struct Window {
  std::vector<uint8_t> bytes;
  std::vector<Range> variables; // few

  explicit Window(size_t size) : bytes(size) {}

  bool holds(uint64_t offset, int count) const {
    return std::any_of(variables.begin(), variables.end(), [&](const Range& range) {
      const uint64_t within = offset - range.offset;
      const auto size = static_cast<uint64_t>(range.bytes);
      return within < size && within + count <= size;
    });
  }
};

enum class State { kNew, kReady, kAtBlockBarrier, kAtWarpBarrier, kExchanging, kDone };

struct Waiting {
  State state = State::kNew;
  int line = 0;
  uint32_t mask = 0, offered = 0;
};

std::map<std::string, Launched>& kernels() {
  static std::map<std::string, Launched> all;
  return all;
}

// One launch runs at a time, as the calls come from any thread of the host.
std::mutex one_launch;
uint64_t seed;
std::mt19937_64 random_order;
const Kernel* kernel;
Window shared_memory(kShared), parameter_memory(kParameters);
size_t shared_end; // of what the kernel has
std::vector<Cell> shared_shadow(kShared);
GlobalShadow global_shadow;
std::vector<uint8_t> local_memory;
std::vector<Thread> threads;
std::vector<Waiting> waiting;
std::optional<std::string> failure;
Thread* running;
int64_t failures;

void read_seed() {
  const char* given = std::getenv("PTX_SEED");
  seed = given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
  random_order.seed(seed);
}

bool check_races() {
  static const bool races = std::getenv("PTX_NO_RACES") == nullptr;
  return races;
}

std::string hexadecimal(uint64_t value) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

const char* name_of(Access access) {
  return access == Access::kStore ? "store" : access == Access::kAtomic ? "atomic access" : "load";
}

std::string describe(const char* space, uint64_t address, int bytes, Access access) {
  return std::string(name_of(access)) + " of " + std::to_string(bytes) + " bytes at " + space +
         " " + hexadecimal(address);
}

void check_aligned(
    const Thread& thread, const char* space, uint64_t address, int bytes, Access access, int line) {
  if (address % bytes != 0) {
    fail(thread, line, "misaligned " + describe(space, address, bytes, access));
  }
}

// -- threads in turns -------------------------------------------------------------------------------

// Runs a thread until it waits or ends.
void run_thread() {
  try {
    kernel->function(*running);
  } catch (const Error& error) {
    failure = error.what();
  }
  waiting[running->index].state = State::kDone;
}

void run_until_it_waits(uint32_t i) {
  running = &threads[i];
  if (!kernel->waits) {
    run_thread();
  } else if (waiting[i].state == State::kNew) {
    fibers.start(static_cast<int>(i), run_thread);
  } else {
    fibers.resume(static_cast<int>(i));
  }
  if (failure) {
    throw Error(*failure);
  }
}

void wait(Thread& thread, State state, uint32_t mask, uint32_t offered, int line) {
  waiting[thread.index] = {state, line, mask, offered};
  fibers.leave(static_cast<int>(thread.index));
  running = &thread;
}

// The threads of a warp that were started, as a mask.
uint32_t lanes_of(uint32_t warp) {
  const size_t left = threads.size() - warp * kWarp;
  return left >= kWarp ? ~uint32_t(0) : (uint32_t(1) << left) - 1;
}

// Lets the lanes go on with which thread `i` waits, if all of them have come.
void try_warp(uint32_t i) {
  const uint32_t warp = threads[i].warp();
  const Waiting mine = waiting[i];
  const uint32_t members = mine.mask & lanes_of(warp);
  std::array<uint32_t, kWarp> offered{};
  uint32_t moment = 0;
  for (uint32_t lane = 0; lane < kWarp; ++lane) {
    if ((members >> lane & 1) == 0) {
      continue;
    }
    const uint32_t other = warp * kWarp + lane;
    if (waiting[other].state == State::kNew || waiting[other].state == State::kReady) {
      return;
    }
    if (waiting[other].state != mine.state || waiting[other].line != mine.line ||
        waiting[other].mask != mine.mask) {
      fail(
          threads[i], mine.line,
          "waits for lane " + std::to_string(lane) + ", which " +
              (waiting[other].state == State::kDone
                   ? std::string("has ended")
                   : "waits at line " + std::to_string(waiting[other].line)));
    }
    offered[lane] = waiting[other].offered;
    moment = std::max(moment, threads[other].warp_moment);
  }
  for (uint32_t lane = 0; lane < kWarp; ++lane) {
    if (members >> lane & 1) {
      Thread& member = threads[warp * kWarp + lane];
      member.received = offered;
      if (mine.state == State::kAtWarpBarrier) {
        member.warp_moment = moment + 1;
      }
      waiting[member.index].state = State::kReady;
    }
  }
}

// Lets all threads go on, if all wait at the barrier of the block.
void try_block() {
  const auto at_barrier = [](const Waiting& w) { return w.state == State::kAtBlockBarrier; };
  for (uint32_t i = 0; i < threads.size(); ++i) {
    if (!at_barrier(waiting[i])) {
      const auto other = std::find_if(waiting.begin(), waiting.end(), at_barrier) - waiting.begin();
      fail(
          threads[other], waiting[other].line,
          "waits at a barrier that thread " + std::to_string(i) +
              (waiting[i].state == State::kDone
                   ? " has ended without"
                   : " cannot reach from line " + std::to_string(waiting[i].line)));
    }
    if (waiting[i].line != waiting[0].line) {
      fail(
          threads[i], waiting[i].line,
          "waits at another barrier than thread 0, which is at line " +
              std::to_string(waiting[0].line));
    }
  }
  ++moments.now;
  for (uint32_t i = 0; i < threads.size(); ++i) {
    threads[i].warp_moment = 0;
    waiting[i].state = State::kReady;
  }
}

void run_block(Index place, Index grid, Index block) {
  moments.block = ++moments.now;
  std::fill_n(shared_memory.bytes.begin(), shared_end, 0xff); // NaN as float and double
  std::fill(local_memory.begin(), local_memory.end(), 0xff);
  const auto count = static_cast<uint32_t>(threads.size());
  for (uint32_t i = 0; i < count; ++i) {
    Thread& thread = threads[i];
    thread.tid = {i % block.x, i / block.x % block.y, i / block.x / block.y};
    thread.ctaid = place;
    thread.ntid = block;
    thread.nctaid = grid;
    thread.index = i;
    thread.parameters = parameter_memory.bytes.data();
    thread.shared = shared_memory.bytes.data();
    thread.local = local_memory.data() + i * kernel->local_bytes;
    thread.warp_moment = 0;
    thread.copies.clear();
    thread.uncommitted.clear();
    waiting[i] = {};
  }
  std::vector<uint32_t> ready(count);
  while (true) {
    ready.clear();
    for (uint32_t i = 0; i < count; ++i) {
      if (waiting[i].state == State::kNew || waiting[i].state == State::kReady) {
        ready.push_back(i);
      }
    }
    if (ready.empty()) {
      const auto done = [](const Waiting& w) { return w.state == State::kDone; };
      if (std::all_of(waiting.begin(), waiting.end(), done)) {
        return;
      }
      try_block();
      continue;
    }
    std::shuffle(ready.begin(), ready.end(), random_order);
    for (const uint32_t i : ready) {
      run_until_it_waits(i);
      const State state = waiting[i].state;
      if (state == State::kAtWarpBarrier || state == State::kExchanging) {
        try_warp(i);
      }
    }
  }
}

void run_grid(Index grid, Index block) {
  const uint64_t blocks = uint64_t(grid.x) * grid.y * grid.z;
  // A random walk that visits every block once: steps of a number that shares no factor with theirs.
  const uint64_t first = random_order() % blocks;
  uint64_t step = 1 + random_order() % blocks;
  while (std::gcd(step, blocks) != 1) {
    step = 1 + random_order() % blocks;
  }
  for (uint64_t k = 0; k < blocks; ++k) {
    const auto b =
        static_cast<uint64_t>((static_cast<unsigned __int128>(k) * step + first) % blocks);
    const Index place{
        static_cast<uint32_t>(b % grid.x), static_cast<uint32_t>(b / grid.x % grid.y),
        static_cast<uint32_t>(b / grid.x / grid.y)};
    run_block(place, grid, block);
  }
}

// At the end of the process, adds a line to a file for each kernel: how often it was launched, and its
// name. The last line counts the launches that failed.
void write_report() {
  std::FILE* file = std::fopen(std::getenv("PTX_REPORT"), "a");
  if (file == nullptr) {
    std::perror("PTX_REPORT");
    std::_Exit(1);
  }
  for (const auto& [name, launched] : kernels()) {
    std::fprintf(file, "%lld %s\n", static_cast<long long>(launched.launches), name.c_str());
  }
  std::fprintf(file, "%lld failed\n", static_cast<long long>(failures));
  std::fclose(file);
}

void start_once() {
  static bool started = false;
  if (!started) {
    started = true;
    read_seed();
    if (std::getenv("PTX_REPORT") != nullptr) {
      std::atexit(write_report);
    }
  }
}

} // namespace

Register::Register(const Kernel& kernel) {
  kernels()[kernel.name] = {kernel};
}

void fail(const Thread& thread, int line, const std::string& what) {
  const Index& b = thread.ctaid;
  throw Error(
      what + "; thread " + std::to_string(thread.index) + " of block (" + std::to_string(b.x) +
      ", " + std::to_string(b.y) + ", " + std::to_string(b.z) + "), line " + std::to_string(line) +
      " of the PTX, in " + kernel->name + " (PTX_SEED=" + std::to_string(seed) + ")");
}

// -- memory -----------------------------------------------------------------------------------------

uint8_t* global(Thread& thread, uint64_t address, int bytes, Access access, int line) {
  check_aligned(thread, "global", address, bytes, access, line);
  if (__asan_region_is_poisoned != nullptr &&
      __asan_region_is_poisoned(reinterpret_cast<void*>(address), bytes) != nullptr) {
    fail(thread, line, "outside of any allocation, " + describe("global", address, bytes, access));
  }
  if (check_races()) {
    Cell* cells = global_shadow.at(address);
    if (const char* wrong = touch(cells, bytes, thread, access, moments.launch)) {
      fail(thread, line, wrong + (", " + describe("global", address, bytes, access)));
    }
  }
  return reinterpret_cast<uint8_t*>(address);
}

uint8_t* shared(Thread& thread, uint32_t address, int bytes, Access access, int line) {
  check_aligned(thread, "shared", address, bytes, access, line);
  if (!shared_memory.holds(address, bytes)) {
    fail(thread, line, "outside of shared memory, " + describe("shared", address, bytes, access));
  }
  Cell* cells = &shared_shadow[address];
  const bool written = std::all_of(
      cells, cells + bytes, [](const Cell& cell) { return cell.written.moment >= moments.block; });
  if (access != Access::kStore && !written) {
    fail(
        thread, line,
        "shared memory that was never written, " + describe("shared", address, bytes, access));
  }
  if (const char* wrong = touch(cells, bytes, thread, access, moments.block)) {
    fail(thread, line, wrong + (", " + describe("shared", address, bytes, access)));
  }
  return shared_memory.bytes.data() + address;
}

uint8_t* parameter(Thread& thread, uint64_t address, int bytes, Access access, int line) {
  const uint64_t offset = address - reinterpret_cast<uint64_t>(parameter_memory.bytes.data());
  check_aligned(thread, "parameter", offset, bytes, access, line);
  if (!parameter_memory.holds(offset, bytes)) {
    fail(
        thread, line, "outside of the parameters, " + describe("parameter", offset, bytes, access));
  }
  return reinterpret_cast<uint8_t*>(address);
}

uint8_t* local(Thread& thread, uint64_t address, int bytes, Access access, int line) {
  const uint64_t offset = address - reinterpret_cast<uint64_t>(thread.local);
  check_aligned(thread, "local", offset, bytes, access, line);
  if (offset + bytes > static_cast<uint64_t>(kernel->local_bytes)) {
    fail(thread, line, "outside of local memory, " + describe("local", offset, bytes, access));
  }
  return reinterpret_cast<uint8_t*>(address);
}

uint8_t* generic(Thread& thread, uint64_t address, int bytes, Access access, int line) {
  const auto within = [&](const uint8_t* start, size_t size) {
    return address - reinterpret_cast<uint64_t>(start) < size;
  };
  if (within(thread.shared, kShared)) {
    const uint64_t offset = address - reinterpret_cast<uint64_t>(thread.shared);
    return shared(thread, static_cast<uint32_t>(offset), bytes, access, line);
  }
  if (within(thread.parameters, kParameters)) {
    return parameter(thread, address, bytes, access, line);
  }
  if (within(local_memory.data(), local_memory.size())) {
    return local(thread, address, bytes, access, line);
  }
  return global(thread, address, bytes, access, line);
}

void copy_async(
    Thread& thread, uint32_t to, uint64_t from, int bytes, uint32_t source_bytes, int line) {
  if (source_bytes > static_cast<uint32_t>(bytes)) {
    fail(thread, line, "cp.async of more bytes than its size");
  }
  check_aligned(thread, "global", from, bytes, Access::kLoad, line);
  // Byte by byte, as the bytes may be fewer than the alignment.
  for (uint32_t i = 0; i < source_bytes; ++i) {
    global(thread, from + i, 1, Access::kLoad, line);
  }
  uint8_t* target = shared(thread, to, bytes, Access::kStore, line);
  for (int i = 0; i < bytes; ++i) {
    shared_shadow[to + i].written.pending = 1;
  }
  thread.uncommitted.push_back(
      {target, reinterpret_cast<const uint8_t*>(from), bytes, static_cast<int>(source_bytes), to});
}

void commit_copies(Thread& thread) {
  thread.copies.push_back(std::move(thread.uncommitted));
  thread.uncommitted.clear();
}

// The copies happen here, as late as they may.
void wait_for_copies(Thread& thread, size_t groups_left) {
  while (thread.copies.size() > groups_left) {
    for (const Copy& copy : thread.copies.front()) {
      std::memcpy(copy.to, copy.from, copy.filled);
      std::memset(copy.to + copy.filled, 0, copy.bytes - copy.filled);
      for (int i = 0; i < copy.bytes; ++i) {
        Stamp& written = shared_shadow[copy.shared_address + i].written;
        written.pending = 0;
        written.moment = moments.now;
        written.warp_moment = static_cast<uint16_t>(thread.warp_moment);
      }
    }
    thread.copies.erase(thread.copies.begin());
  }
}

// -- other threads ----------------------------------------------------------------------------------

void wait_for_block(Thread& thread, int line) {
  wait(thread, State::kAtBlockBarrier, 0, 0, line);
}

void wait_for_warp(Thread& thread, uint32_t mask, int line) {
  // Memory is ordered for the whole warp or not at all.
  if ((mask & lanes_of(thread.warp())) != lanes_of(thread.warp())) {
    fail(thread, line, "bar.warp.sync of a part of a warp is not emulated");
  }
  wait(thread, State::kAtWarpBarrier, mask, 0, line);
}

const std::array<uint32_t, kWarp>& exchange(
    Thread& thread, uint32_t value, uint32_t mask, int line) {
  if ((mask >> thread.lane() & 1) == 0) {
    fail(thread, line, "the mask does not hold the lane itself");
  }
  wait(thread, State::kExchanging, mask, value, line);
  return thread.received;
}

const std::vector<Range>* parameters_of(const std::string& kernel) {
  const std::lock_guard lock(one_launch);
  const auto found = kernels().find(kernel);
  return found == kernels().end() ? nullptr : &found->second.kernel.parameters;
}

std::string launch(
    const std::string& name, Index grid, Index block, void** arguments, size_t dynamic_shared) {
  const std::lock_guard lock(one_launch);
  start_once();
  const auto found = kernels().find(name);
  if (found == kernels().end()) {
    return "no kernel " + name;
  }
  ++found->second.launches;
  kernel = &found->second.kernel;
  const uint64_t block_threads = uint64_t(block.x) * block.y * block.z;
  if (block_threads == 0 || block_threads > Fibers::kMost || grid.x == 0 || grid.y == 0 ||
      grid.z == 0 || grid.x > INT32_MAX || grid.y > 65535 || grid.z > 65535) {
    return "invalid configuration argument";
  }

  std::vector<Range> shared_ranges = kernel->shared;
  if (kernel->dynamic_shared >= 0) {
    shared_ranges.push_back({kernel->dynamic_shared, static_cast<int>(dynamic_shared)});
  }
  shared_end = 0;
  for (const Range& range : shared_ranges) {
    shared_end = std::max<size_t>(shared_end, range.offset + range.bytes);
  }
  if (shared_end > kShared) {
    return "too much shared memory";
  }
  shared_memory.variables = shared_ranges;
  parameter_memory.variables = kernel->parameters;
  for (size_t i = 0; i < kernel->parameters.size(); ++i) {
    const Range& range = kernel->parameters[i];
    std::memcpy(parameter_memory.bytes.data() + range.offset, arguments[i], range.bytes);
  }
  threads.resize(block_threads);
  waiting.resize(block_threads);
  local_memory.resize(block_threads * kernel->local_bytes);
  if (moments.now > UINT32_MAX / 2) {
    moments = {};
    global_shadow = {};
    std::fill(shared_shadow.begin(), shared_shadow.end(), Cell());
  }
  global_shadow.trim();
  moments.launch = moments.now + 1;

  failure.reset();
  try {
    run_grid(grid, block);
  } catch (const Error& error) {
    ++failures;
    return error.what();
  }
  return "";
}

} // namespace ptx

// For tests, which call it from Python. Returns what went wrong, until the next call.
extern "C" const char* ptx_launch(
    const char* name,
    const uint32_t grid[3],
    const uint32_t block[3],
    void** arguments,
    size_t dynamic_shared) {
  static std::string wrong;
  wrong = ptx::launch(
      name, {grid[0], grid[1], grid[2]}, {block[0], block[1], block[2]}, arguments, dynamic_shared);
  return wrong.c_str();
}
