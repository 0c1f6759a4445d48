// Launches of translated kernels.
#pragma once

#include <cstdint>
#include <string>

#include "thread.h"

namespace ptx {

// Runs a kernel to its end. `arguments` point to one value a parameter. Returns what went wrong, or "".
std::string launch(
    const std::string& kernel, Index grid, Index block, void** arguments, size_t dynamic_shared);

} // namespace ptx
