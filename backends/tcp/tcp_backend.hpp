// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// TCP: reaches every host there is a route to, one byte stream a link.

#include "kfx/backend/backend.hpp"

namespace kfx::backend {

class tcp_backend final : public backend {
 public:
  std::string_view name() const noexcept override { return "tcp"; }
  int rank() const noexcept override { return 10; }
  bool available(std::string*) const override { return true; }
  void connect(context&, const uri&, on_connected) override;
  std::variant<std::unique_ptr<listener>, failure> listen(context&, const uri&, on_accepted) override;
  std::string device(const uri&) override;
  /// "": who reached this node by another way got its listen addresses there.
  std::string offer(context&) override { return {}; }
  std::variant<uri, failure> reach(context&, const peer_identity&, std::string_view offer) override;
};

std::unique_ptr<backend> make_tcp();

}  // namespace kfx::backend
