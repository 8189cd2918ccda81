// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// One-sided access between two processes: the initiator's thread copies, inside the call, through a mapping of the
/// owner's buffer or through the kernel.

#include <memory>
#include <string>

#include "backends/shm/shm_cross.hpp"
#include "backends/shm/shm_exports.hpp"
#include "backends/shm/shm_imports.hpp"
#include "base/completions.hpp"
#include "kfx/backend/ring_pair.hpp"

namespace kfx::shm {

class shm_memory final : public backend::ring_memory {
 public:
  struct parts {
    int socket = -1;  ///< of the pair
    page* own = nullptr;
    const page* peer = nullptr;
    std::uint64_t peer_pages = 0;  ///< where `peer` is in the peer's memory
    bulk way = bulk::best;
  };
  explicit shm_memory(const parts&);

  const backend::memory_caps& caps() const noexcept override { return caps_; }
  bool takes(backend::direct_key, std::uint64_t bytes, bool atomic8) override;
  result<backend::direct_key> share(std::span<const mutable_buffer> memory, access rights, backend::sharing) override;
  void withdraw(backend::direct_key key) override { exports_->withdraw(key); }
  backend::started put(backend::direct_key, std::uint64_t offset, std::span<const const_buffer> from,
                       backend::cookie) override;
  backend::started get(backend::direct_key, std::uint64_t offset, std::span<const mutable_buffer> into,
                       backend::cookie) override;
  bool flush(backend::cookie) override;
  void report(backend::frame_sink&) override;
  bool idle() const noexcept override { return ended_.empty(); }
  void forget(backend::cookie id) noexcept override { ended_.forget(id); }

  /// Takes what the peer sent. False: it is gone, or what it says makes no sense.
  bool listen() noexcept;
  /// When this returns the peer touches nothing of this side's, nor this side of the peer's.
  void close() noexcept;
  std::string describe() const;

 private:
  template <class Buffer>
  backend::started move(backend::direct_key, std::uint64_t offset, std::span<const Buffer> local, access wanted,
                        backend::cookie);
  template <class Buffer>
  void copy(const import_table::import&, std::uint64_t offset, std::span<const Buffer> local, std::size_t bytes,
            std::uint64_t stamp, std::optional<std::error_code>& error);
  const import_table::import* look_up(backend::direct_key);
  const import_table::import* listen_for(backend::direct_key);
  std::error_code why_not(const import_table::import*, std::size_t pieces, access wanted) const;

  parts parts_;
  backend::memory_caps caps_;
  neighbour neighbour_;
  bool crosses_ = false;        ///< memory is reached through the kernel
  std::size_t cross_from_ = 0;  ///< transfers of so many bytes and more
  std::string cross_;           ///< why not, or why from there on
  const std::shared_ptr<export_table> exports_;
  import_table imports_;
  base::completions ended_;
  std::uint32_t accesses_ = 0;
  bool broken_ = false;  ///< the peer said what makes no sense, or nothing any more
  bool closed_ = false;
};

}  // namespace kfx::shm
