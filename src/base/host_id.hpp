// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Who this process and this host are, for choosing a transport. Any thread.

#include <string>

namespace kfx::base {

/// 32 hexadecimal digits, the same for all processes of one running host (containers included), new after a boot.
/// Equality is a hint, not a proof: two hosts restored from one snapshot share it. A backend that builds on it
/// shows by its own means that memory or a socket is really common.
const std::string& host_id();

/// The same for all nodes of one process, and no other process's; a forked child has its own.
std::string process_id();

}  // namespace kfx::base
