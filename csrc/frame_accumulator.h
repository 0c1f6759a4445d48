// Running sums over a stream of frames, behind originet_ext/accumulator.py.
#pragma once

#include <pybind11/pybind11.h>

namespace originet {

// Adds `accumulate_sums`, `accumulate_frames` and `accumulate_motion` to the module.
void add_frame_accumulator(pybind11::module_& module);

} // namespace originet
