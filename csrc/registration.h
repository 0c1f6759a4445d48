// Registers the ops and their kernels. Each file does so once, in the namespace that it stands in.
#pragma once

#include <torch/csrc/stable/library.h>

namespace originet {

// The namespace of torch.ops. build_tools/hub.py writes another into copies of the library, so that
// several can be loaded side by side; hence it is no constant that a compiler could copy.
extern const char* const ops_namespace;

} // namespace originet

#define ORIGINET_SCHEMAS(m) ORIGINET_REGISTER(DEF, nullptr, m)
#define ORIGINET_KERNELS(key, m) ORIGINET_REGISTER(IMPL, C10_STRINGIZE(key), m)

#define ORIGINET_REGISTER(kind, key, m)                                                    \
  static void register_all(torch::stable::detail::StableLibrary&);                         \
  static const torch::stable::detail::StableTorchLibraryInit registered(                   \
      torch::stable::detail::StableLibrary::Kind::kind, &register_all, ops_namespace, key, \
      __FILE__, __LINE__);                                                                 \
  static void register_all(torch::stable::detail::StableLibrary& m)
