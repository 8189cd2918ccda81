// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Bare measurements between two processes. Each forks its other side, which ends with it; a side that hears nothing
/// for a minute is ended by its alarm. They throw std::exception.

#include <map>
#include <string>

namespace bench::reference {

struct place {
  int cpu = -1, other_cpu = -1;  ///< negative: anywhere
  int milliseconds = 200;        ///< for each figure
};

/// Name with its unit, value.
using figures = std::map<std::string, double>;

/// One cache line to the other CPU, without anything in it.
figures hop(const place&);
/// 8 bytes in a slot of 64 whose sequence number is stored last: one way, there and back, and a stream.
figures ring(const place&);
/// memcpy between two mappings of one memfd, by size: bytes a second.
figures copy(const place&);
/// process_vm_writev into the other process, by size: bytes a second.
figures process_vm(const place&);
/// A spinning TCP connection over 127.0.0.1: see bench/raw_socket.hpp.
figures tcp(const place&);

}  // namespace bench::reference
