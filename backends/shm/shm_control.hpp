// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What goes over a link's socket: a single byte wakes, anything longer tells of memory.

#include <cstdint>

#include "backends/shm/descriptor.hpp"

namespace kfx::shm {

struct control {
  enum kind : std::uint32_t {
    mapped = 1,  ///< a key of memory in a file; the file comes with the first
    cross = 2,   ///< a key of memory at an address
    forget = 3,  ///< a file that no key names any more: unmap it
  };
  std::uint32_t what = 0;
  std::uint32_t key = 0;
  std::uint32_t file = 0;
  std::uint32_t rights = 0;
  std::uint64_t length = 0;   ///< of the key's memory, which begins with the file or at
  std::uint64_t address = 0;  ///< of the owner's process
  std::uint64_t size = 0;     ///< of the file
};
static_assert(sizeof(control) == 40);

/// `fd` < 0: none. False: not now, or never (errno); nothing was sent.
bool send_control(int socket, const control&, int fd) noexcept;

enum class arrival {
  nothing,
  wake,
  control,
  ended,
  nonsense,
};
/// Takes one message. `given` is what came with it, if one descriptor did.
arrival receive(int socket, control&, descriptor& given) noexcept;

}  // namespace kfx::shm
