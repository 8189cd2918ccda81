// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// `faulty+<scheme>`: another backend whose links have the faults that the URI asks for (faults.hpp).

#include "kfx/backend/backend.hpp"
#include "support/faulty_link.hpp"

namespace kfx::test {

class faulty_backend final : public backend::backend {
 public:
  explicit faulty_backend(std::string inner) : inner_(std::move(inner)), name_("faulty+" + inner_) {}

  std::string_view name() const noexcept override { return name_; }
  int rank() const noexcept override { return 0; }
  bool available(std::string* why) const override;
  void connect(kfx::backend::context&, const kfx::backend::uri&, kfx::backend::on_connected) override;
  std::variant<std::unique_ptr<kfx::backend::listener>, kfx::backend::failure> listen(
      kfx::backend::context&, const kfx::backend::uri&, kfx::backend::on_accepted) override;
  /// Faults are asked for, never chosen.
  std::string offer(kfx::backend::context&) override { return {}; }
  std::variant<kfx::backend::uri, kfx::backend::failure> reach(kfx::backend::context&, const peer_identity&,
                                                               std::string_view) override {
    return kfx::backend::failure{errc::unreachable, name_ + ": used only by name"};
  }

 private:
  const std::string inner_;
  const std::string name_;
};

}  // namespace kfx::test
