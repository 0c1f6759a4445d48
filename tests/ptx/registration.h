// What nvcc's host code tells the CUDA runtime before it launches a kernel.
#pragma once

#include <string>

namespace ptx {

// A kernel's name in the PTX, from the address that stands for it on the host. Throws
// std::out_of_range if there is none.
std::string kernel_name(const void* host);

} // namespace ptx
