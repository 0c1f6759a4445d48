// Functions of CUDA that torch's libraries need to be loaded, but that nothing here calls. build.py
// lists them all; those that are defined elsewhere take the place of these.
#pragma once

#include <cstdio>

#define ABSENT(name)                                            \
  extern "C" __attribute__((weak)) int name() {                 \
    std::fprintf(stderr, "fake GPU: %s is not there\n", #name); \
    return 801; /* cudaErrorNotSupported */                     \
  }
