// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What LNet is told about the end of an op.

#include <system_error>

#include "lnd.hpp"

namespace kfxlnd {

struct status {
  int error = 0;  ///< 0 or -errno
  lnet::health_status health = lnet::health_status::ok;
};
status status_of(std::error_code) noexcept;

}  // namespace kfxlnd
