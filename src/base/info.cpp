// SPDX-License-Identifier: BSD-2-Clause
#include "kfx/info.hpp"

#include "kfx/backend/backend.hpp"

namespace kfx {

std::vector<backend_info> backends() {
  std::vector<backend_info> list;
  for (backend::backend* b : backend::all_backends()) {
    backend_info info;
    info.name = b->name();
    info.available = b->available(&info.why);
    if (info.available) info.why.clear();
    list.push_back(std::move(info));
  }
  return list;
}

}  // namespace kfx
