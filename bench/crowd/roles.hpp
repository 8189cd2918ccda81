// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What the processes of a crowd are: one with the node that is looked at, and some with many nodes that connect to it.

#include <chrono>
#include <kfx/kfx.hpp>
#include <string>
#include <vector>

#include "child.hpp"

namespace bench::crowd {

/// Bytes of a message that is not empty, and of its reply.
inline constexpr std::size_t body_bytes = 4096;

/// A node that nobody drops for being idle.
kfx::options quiet_options(std::chrono::milliseconds keepalive, kfx::progress, const std::string& listen = {});

/// The node that is looked at. "address"; "counts" → messages, connections that came up, and that went down; "shared"
/// → bytes (proc.hpp).
void be_hub(line& l, std::chrono::milliseconds keepalive, kfx::progress mode, const std::string& listen);

/// Many nodes, driven in turn by one thread that sleeps while there is nothing to do.
/// "greet BYTES URI…": each node sends each of these messages of so many bytes in all (0: one that is empty) and waits
/// until they are through; "visit BYTES URI…": the same, one node after another. → ops that failed, seconds, what the
/// first failure was.
void be_peers(line& l, unsigned nodes, std::chrono::milliseconds keepalive);

/// One of two processes that play ping-pong, on a CPU of its own. It has two nodes: 0 knows nobody else, 1 has a crowd.
/// "address NODE"; "join NODE URI"; "serve NODE": answers until the other side has enough; "measure NODE SECONDS" → ns
/// one way, the median.
void be_end(line& l, int cpu, kfx::progress mode, const std::string& listen);

}  // namespace bench::crowd
