#pragma once

#include <Python.h>

namespace originet {

// Adds `direct_call` and `direct_call_` (direct_call.cpp) to a module. Returns "" or
// why direct calls do not work with this torch; then they decline everything.
const char* add_direct_calls(PyObject* module);

} // namespace originet
