// SPDX-License-Identifier: BSD-2-Clause
#include "base/asymmetric_fence.hpp"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace kfx::base::fences {
namespace {

long membarrier(int command) noexcept { return syscall(SYS_membarrier, command, 0, 0); }

/// A filter of system calls (containers have them) may refuse either.
bool announce() noexcept {
  return membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0 &&
         membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0;
}

}  // namespace

bool announce_everywhere() noexcept {
  return membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) == 0 && membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED) == 0;
}

// Of a process and its children: a fork keeps the announcement. Zero until it ran: then both sides fence.
const bool have_membarrier = announce();

void heavy_fence_by_kernel() noexcept {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

}  // namespace kfx::base::fences

namespace kfx::base {

void heavy_fence_everywhere() noexcept {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  fences::membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED);
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

}  // namespace kfx::base
