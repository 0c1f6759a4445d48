// What originet_ext/_library.py calls by ctypes. The library uses nothing of Python, so that one
// serves all versions of Python; what is not marked so stays inside.
#pragma once

#ifdef _WIN32
#define ORIGINET_EXPORTED extern "C" __declspec(dllexport)
#else
#define ORIGINET_EXPORTED extern "C" __attribute__((visibility("default")))
#endif
