// SPDX-License-Identifier: BSD-2-Clause
// The base is tested without the layers above it, hence without the backends built into the library.
#include <memory>
#include <vector>

#include "kfx/backend/backend.hpp"

namespace kfx::backend {
std::vector<std::unique_ptr<backend>> builtin_backends() { return {}; }
}  // namespace kfx::backend
