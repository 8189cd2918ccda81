// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What the system says of processes.

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>

namespace bench::crowd {

struct memory_use {
  std::uint64_t anonymous = 0;     ///< bytes of heap, stacks and so on that are in memory
  std::uint64_t page_tables = 0;   ///< bytes
  std::uint64_t proportional = 0;  ///< bytes: all of it, what n processes share counted as one n-th
};

/// Of another process, without waking it. Throws std::runtime_error.
memory_use memory_of(pid_t pid);

/// How often the threads of that process that have this name went to sleep and woke up again, since each began.
using wakeups = std::map<std::string, std::uint64_t>;
wakeups wakeups_of(pid_t pid);

/// Bytes of this process's mapped memory files that any process ever touched: rings, and the words in front of them.
std::uint64_t shared_memory_touched();

/// Raises the limit of open files as far as it goes. Throws std::runtime_error when that is less than `needed`.
void allow_open_files(std::uint64_t needed);

}  // namespace bench::crowd
