#include "fiber.h"

#include <cstdio>
#include <cstdlib>

#include <sys/mman.h>
#include <unistd.h>

#ifndef __x86_64__
#error "only x86-64 has a switch of stacks here"
#endif

namespace ptx {

Fibers fibers;

namespace {

constexpr size_t kStack = 512 << 10; // bytes, of which the system only gives those in use

// Saves what a function must preserve on the current stack, and that stack's pointer in *from; then
// takes the stack `to`, which was left so. swapcontext does the same in two system calls.
extern "C" void ptx_switch_stack(void** from, void* to);
asm(R"(
.text
.type ptx_switch_stack, @function
ptx_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size ptx_switch_stack, . - ptx_switch_stack
)");
constexpr int kSavedRegisters = 6;

std::byte* make_stacks(int count) {
  void* memory = mmap(
      nullptr, count * kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
      -1, 0);
  if (memory == MAP_FAILED) {
    std::perror("stacks of emulated threads");
    std::abort();
  }
  auto* stacks = static_cast<std::byte*>(memory);
  for (int i = 0; i < count; ++i) { // a stack that overflows ends the process
    mprotect(stacks + i * kStack, sysconf(_SC_PAGESIZE), PROT_NONE);
  }
  return stacks;
}

} // namespace

void Fibers::start(int i, void (*function)()) {
  if (stacks_ == nullptr) {
    stacks_ = make_stacks(kMost);
  }
  auto** top = reinterpret_cast<void**>(stacks_ + (i + 1) * kStack - 64);
  *--top = nullptr; // where run() would return to; it also aligns the stack
  *--top = reinterpret_cast<void*>(&run);
  for (int saved = 0; saved < kSavedRegisters; ++saved) {
    *--top = nullptr;
  }
  pointers_[i] = top;
  function_ = function;
  enter(i);
}

void Fibers::resume(int i) {
  enter(i);
}

void Fibers::enter(int i) {
  current_ = i;
  ptx_switch_stack(&outside_, pointers_[i]);
}

void Fibers::leave(int i) {
  ptx_switch_stack(&pointers_[i], outside_);
}

void Fibers::run() {
  fibers.function_();
  ptx_switch_stack(&fibers.pointers_[fibers.current_], fibers.outside_);
  __builtin_unreachable();
}

} // namespace ptx
