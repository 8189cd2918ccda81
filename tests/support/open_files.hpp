// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <dirent.h>

#include <cstddef>

namespace kfx::test {

/// Entries of this process's descriptor table. One more each time than there are, so for comparing.
inline std::size_t open_files() {
  std::size_t n = 0;
  DIR* d = ::opendir("/proc/self/fd");
  while (::readdir(d)) ++n;
  ::closedir(d);
  return n;
}

}  // namespace kfx::test
