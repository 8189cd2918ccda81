// SPDX-License-Identifier: BSD-2-Clause
#include "drivers.hpp"

std::vector<lnet::driver_ptr> make_drivers() { return {}; }
