// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The memory one side of `kfx perf` moves bytes in or out of.

#include <kfx/kfx.hpp>
#include <memory>
#include <mutex>
#include <vector>

#include "perf_protocol.hpp"

namespace tool::perf {

/// Touched, shared for reading and writing, and from either source. Throws kfx::error (out_of_resources).
class shared_memory {
 public:
  shared_memory(kfx::node& node, memory kind, std::size_t bytes) {
    if (kind == memory::allocated)
      allocated_ = node.allocate(bytes);
    else
      ordinary_.resize(bytes + page);
    if (!span().empty()) std::memset(span().data(), 0x5a, bytes);
    region_ = node.share(span(), kfx::access::read_write);
  }

  kfx::mutable_buffer span() noexcept {
    if (ordinary_.empty()) return allocated_.span();
    // From a page's beginning, as programs have the memory that they move much of.
    void* at = ordinary_.data();
    std::size_t left = ordinary_.size();
    const std::size_t bytes = left - page;
    return {static_cast<std::byte*>(std::align(page, bytes, at, left)), bytes};
  }
  const kfx::region& region() const noexcept { return region_; }

 private:
  static constexpr std::size_t page = 4096;
  kfx::buffer allocated_;
  std::vector<std::byte> ordinary_;
  kfx::region region_;
};

/// Takes the payload of a message into `into`; what follows runs at once when it came with the message, else when it
/// has been fetched. No allocation: messages that wait live in slots that are used again.
class receiver {
 public:
  template <class F>
  void take(kfx::message&& m, kfx::mutable_buffer into, F after) {
    auto o = m.receive(into);
    if (o.ready()) {
      after(std::move(m));
      return;
    }
    kfx::message* slot = take_slot();
    *slot = std::move(m);
    std::move(o).then([this, slot, after](const kfx::result<kfx::done>&) {
      kfx::message whole = std::move(*slot);
      give_back(slot);
      after(std::move(whole));
    });
  }

 private:
  kfx::message* take_slot() {
    std::lock_guard lock(mutex_);
    if (free_.empty()) {
      slots_.push_back(std::make_unique<kfx::message>());
      free_.push_back(slots_.back().get());
      free_.reserve(slots_.size());
    }
    kfx::message* slot = free_.back();
    free_.pop_back();
    return slot;
  }
  void give_back(kfx::message* slot) {
    std::lock_guard lock(mutex_);
    free_.push_back(slot);
  }

  std::mutex mutex_;  // with progress::threads, what follows may run on another thread than the handler
  std::vector<std::unique_ptr<kfx::message>> slots_;
  std::vector<kfx::message*> free_;
};

}  // namespace tool::perf
