// Launches of translated kernels.
#pragma once

#include <cstdint>
#include <string>

#include "thread.h"

namespace ptx {

// Runs a kernel to its end. `arguments` point to one value a parameter. Returns what went wrong, or "".
std::string launch(
    const std::string& kernel, Index grid, Index block, void** arguments, size_t dynamic_shared);

// Where the parameters of a kernel lie, in order; null if there is no such kernel.
const std::vector<Range>* parameters_of(const std::string& kernel);

} // namespace ptx
