// SPDX-License-Identifier: BSD-2-Clause
#include "kfxlnd.hpp"

#include <cstdio>

#include "address.hpp"
#include "interface.hpp"

namespace kfxlnd {
namespace {

interface& of(lnet::ni& ni) noexcept {
  return static_cast<interface&>(*ni.data);
}

class driver final : public lnet::lnet_lnd {
 public:
  lnet::net_kind lnd_type() const noexcept override { return lnet::kind_kfx; }

  int lnd_startup(lnet::ni& ni) override try {
    parameters p;
    if (const int rc = p.read(ni)) return rc;
    timeout_ = p.timeout;
    const auto address = address_of(ni.interface.name);
    if (!address) return -ENODEV;
    ni.nid.address = *address;
    auto made = std::make_unique<interface>(ni, std::move(p));
    interface& started = *made;
    ni.data = std::move(made);
    started.listen();
    return 0;
  } catch (const kfx::error& e) {
    ni.data.reset();
    std::fprintf(stderr, "kfxlnd: %s cannot start: %s\n", lnet::to_string(ni.nid).c_str(), e.what());
    return e.code() == kfx::errc::address_in_use ? -EADDRINUSE : -EINVAL;
  }

  void lnd_shutdown(lnet::ni& ni) override {
    // Calls from its last handlers still find it there.
    delete ni.data.get();
    (void)ni.data.release();
  }

  int lnd_ctl(lnet::ni& ni, lnet::control& c) override {
    if (c.what == lnet::control::close_connection) return of(ni).close(c.nid) != 0 ? 0 : -ENOENT;
    c.answer = of(ni).describe_peers();
    return 0;
  }

  int lnd_send(lnet::ni& ni, void*, lnet::message& m) override { return of(ni).send(m); }
  int lnd_recv(lnet::ni& ni, void* cookie, lnet::message* m, bool, std::span<const lnet::fragment> to,
               std::size_t) override {
    return of(ni).receive(cookie, m, to);
  }
  std::chrono::seconds lnd_get_timeout() const noexcept override { return timeout_; }

 private:
  std::chrono::seconds timeout_{50};
};

}  // namespace

std::unique_ptr<lnet::lnet_lnd> make_driver() { return std::make_unique<driver>(); }

}  // namespace kfxlnd
