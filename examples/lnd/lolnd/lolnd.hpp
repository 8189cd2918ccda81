// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The loopback driver, 0@lo: the smallest that there is. What is sent has come at once; its bytes are copied when LNet
/// says where to.

#include "lnd.hpp"

namespace lnet {

class lolnd final : public lnet_lnd {
 public:
  net_kind lnd_type() const noexcept override { return kind_lo; }
  int lnd_startup(ni&) override;
  void lnd_shutdown(ni&) override {}
  int lnd_send(ni&, void* cookie, message&) override;
  int lnd_recv(ni&, void* cookie, message*, bool delayed, std::span<const fragment> to, std::size_t rlen) override;
  std::chrono::seconds lnd_get_timeout() const noexcept override { return std::chrono::seconds(1); }
};

}  // namespace lnet
