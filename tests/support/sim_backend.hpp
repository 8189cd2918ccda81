// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// `sim://name?seed=7&cut_after=500`: simulated RDMA between nodes of one process (sim_link.hpp). Either side's URI
/// may hold the parameters; the connecting side's come first.

#include "backends/loopback/in_process_names.hpp"

namespace kfx::test {

class sim_backend final : public backend::backend {
 public:
  std::string_view name() const noexcept override { return "sim"; }
  int rank() const noexcept override { return 0; }
  bool available(std::string*) const override { return true; }
  void connect(kfx::backend::context&, const kfx::backend::uri&, kfx::backend::on_connected) override;
  std::variant<std::unique_ptr<kfx::backend::listener>, kfx::backend::failure> listen(
      kfx::backend::context& ctx, const kfx::backend::uri& at, kfx::backend::on_accepted accepted) override {
    return names_.listen(ctx, at, std::move(accepted));
  }
  std::string offer(kfx::backend::context&) override { return {}; }
  std::variant<kfx::backend::uri, kfx::backend::failure> reach(kfx::backend::context&, const peer_identity&,
                                                               std::string_view) override {
    return kfx::backend::failure{errc::unreachable, "sim: used only by name"};
  }

 private:
  loopback::in_process_names names_;
};

}  // namespace kfx::test
