#pragma once

#include <Python.h>

namespace originet {

// Adds `direct_call` (direct_call.cpp) to a module. Returns "" or why direct calls
// do not work with this torch; then every one of them gives None.
const char* add_direct_call(PyObject* module);

} // namespace originet
