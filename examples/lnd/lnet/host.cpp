// SPDX-License-Identifier: BSD-2-Clause
#include "host.hpp"

#include <cerrno>

#include "core.hpp"

namespace lnet {

host::host(host_options o, std::vector<driver_ptr> drivers)
    : core_(std::make_unique<core>(std::move(o), std::move(drivers))) {}
host::~host() = default;

int host::me_attach(unsigned portal, process_id match, std::uint64_t match_bits, std::uint64_t ignore_bits,
                    unlink_op op, insert_position where, me_handle& out) {
  if (core_->closing()) return -ESHUTDOWN;
  return core_->things.attach_me(portal, match, match_bits, ignore_bits, op, where, out);
}
int host::me_unlink(me_handle e) { return core_->unlink_me(e); }
int host::md_attach(me_handle e, const memory_descriptor& d, unlink_op op, md_handle& out) {
  return core_->attach_md(e, d, op, out);
}
int host::md_bind(const memory_descriptor& d, unlink_op op, md_handle& out) {
  if (core_->closing()) return -ESHUTDOWN;
  return core_->things.bind(d, op, out);
}
int host::md_unlink(md_handle d) { return core_->unlink_md(d); }
int host::set_lazy_portal(unsigned portal) { return core_->things.set_lazy(portal); }
int host::clear_lazy_portal(unsigned portal) { return core_->clear_lazy(portal); }

int host::put(nid self, md_handle d, ack_request ack, process_id target, unsigned portal, std::uint64_t match_bits,
              std::size_t offset, std::uint64_t hdr_data) {
  return core_->put(self, d, ack, target, portal, match_bits, offset, hdr_data);
}
int host::get(nid self, md_handle d, process_id target, unsigned portal, std::uint64_t match_bits, std::size_t offset) {
  return core_->get(self, d, target, portal, match_bits, offset);
}

int host::ping(nid target, std::chrono::milliseconds limit, std::vector<nid>& found) {
  return core_->ping(target, limit, found);
}
int host::peer_add(nid primary, const std::vector<nid>& others) { return core_->ways().join(primary, others, true); }
int host::peer_delete(nid primary) { return core_->ways().disband(primary); }

int host::net_add(const net_spec& n, std::string& why) { return core_->net_add(n, why); }
int host::net_delete(net n) { return core_->net_delete(n); }
process_id host::id(std::size_t number) const { return core_->id(number); }
std::vector<ni_info> host::nis() const { return core_->ways().nis(); }
std::vector<peer_info> host::peers() const { return core_->ways().peers(); }
counters host::stats() const { return core_->stats(); }
void host::reset_stats() { core_->reset_stats(); }
int host::set_health(nid id, int value) { return core_->ways().set_health(id, value); }
int host::control(net where, lnet::control& request) { return core_->control(where, request); }
const cpt_table& host::cpts() const noexcept { return core_->cpts(); }

}  // namespace lnet
