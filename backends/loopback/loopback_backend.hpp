// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// loop://name: nodes of one process. See README.md.

#include "backends/loopback/in_process_names.hpp"
#include "kfx/backend/backend.hpp"

namespace kfx::loopback {

/// Both ends of a link without a backend around it. Errors: out_of_resources.
std::variant<link_ends, backend::failure> make_link_ends(const std::string& name, bool direct);

class loopback_backend final : public backend::backend {
 public:
  std::string_view name() const noexcept override { return "loop"; }
  int rank() const noexcept override { return 50; }
  bool available(std::string*) const override { return true; }
  void connect(kfx::backend::context&, const kfx::backend::uri&, kfx::backend::on_connected) override;
  std::variant<std::unique_ptr<kfx::backend::listener>, kfx::backend::failure> listen(
      kfx::backend::context&, const kfx::backend::uri&, kfx::backend::on_accepted) override;
  std::string meeting_place(kfx::backend::context& ctx) override { return offer(ctx); }
  std::string offer(kfx::backend::context&) override;
  std::variant<kfx::backend::uri, kfx::backend::failure> reach(kfx::backend::context&, const peer_identity&,
                                                               std::string_view offer) override;

 private:
  in_process_names names_;
};

}  // namespace kfx::loopback
