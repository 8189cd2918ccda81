// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Shared memory: processes of one host that are the same user's.

#include "kfx/backend/backend.hpp"

namespace kfx::shm {

class shm_backend final : public kfx::backend::backend {
 public:
  std::string_view name() const noexcept override { return "shm"; }
  int rank() const noexcept override { return 30; }
  bool available(std::string* why) const override;
  void connect(kfx::backend::context&, const kfx::backend::uri&, kfx::backend::on_connected) override;
  std::variant<std::unique_ptr<kfx::backend::listener>, kfx::backend::failure> listen(
      kfx::backend::context&, const kfx::backend::uri&, kfx::backend::on_accepted) override;
  std::string meeting_place(kfx::backend::context&) override;
  std::string offer(kfx::backend::context&) override;
  std::variant<kfx::backend::uri, kfx::backend::failure> reach(kfx::backend::context&, const peer_identity&,
                                                               std::string_view offer) override;
};

}  // namespace kfx::shm
