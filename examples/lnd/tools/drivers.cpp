// SPDX-License-Identifier: BSD-2-Clause
#include "drivers.hpp"

#include "kfxlnd.hpp"

std::vector<lnet::driver_ptr> make_drivers() {
  std::vector<lnet::driver_ptr> list;
  list.push_back(kfxlnd::make_driver());
  return list;
}
