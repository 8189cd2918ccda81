// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The drivers that the programs here have besides LNet's own loopback.

#include <vector>

#include "host.hpp"

std::vector<lnet::driver_ptr> make_drivers();
