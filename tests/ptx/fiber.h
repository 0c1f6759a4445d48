// Functions that stop in their middle and continue later: each has a stack of its own.
#pragma once

#include <cstddef>

namespace ptx {

class Fibers {
 public:
  static constexpr int kMost = 1024; // threads of a block

  // Runs fiber `i` from the start of `function` until it calls leave() or returns.
  void start(int i, void (*function)());
  // Runs it on from its last leave().
  void resume(int i);
  // Called in fiber `i`: returns to who started or resumed it.
  void leave(int i);

 private:
  void enter(int i);
  static void run();

  std::byte* stacks_ = nullptr;
  void* pointers_[kMost] = {}; // the stack pointer of each fiber that has left
  void* outside_ = nullptr;    // that of who runs the fibers
  void (*function_)() = nullptr;
  int current_ = 0;
};

extern Fibers fibers;

} // namespace ptx
