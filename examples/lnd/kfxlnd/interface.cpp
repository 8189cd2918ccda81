// SPDX-License-Identifier: BSD-2-Clause
#include "interface.hpp"

#include <algorithm>
#include <charconv>

#include "address.hpp"
#include "status.hpp"

namespace kfxlnd {
namespace {

/// Data that is worth it goes beside the small messages, not before them.
constexpr std::size_t bulk = 8192;

kfx::lane lane_for(std::size_t bytes) noexcept { return bytes > bulk ? kfx::unordered : kfx::default_lane; }

std::error_code errno_code(int e) { return {e, std::generic_category()}; }

/// The NI's partitions of CPUs, one after the other. Empty where there is one for all of them.
std::string partitions_of(const lnet::ni& ni) {
  std::string text;
  if (!ni.table || ni.table->count() == 1) return text;
  for (std::size_t i = 0; i < ni.cpts.size(); ++i) {
    text += (i ? " " : "") + std::to_string(i) + "[";
    for (const unsigned cpu : ni.table->cpus(ni.cpts[i])) text += (text.back() == '[' ? "" : ",") + std::to_string(cpu);
    text += "]";
  }
  return text;
}

kfx::options options_of(const lnet::ni& ni, const parameters& p) {
  kfx::options o;
  o.name = "lnet " + lnet::to_string(ni.nid);
  o.partitions = partitions_of(ni);
  o.limit = p.timeout;
  return o;
}

/// Here and now where it is over already, which most receives of little are; else on the node's executor.
template <class F>
void when_over(kfx::op<kfx::done>&& o, F f) {
  if (!o.ready()) return std::move(o).then(std::move(f));
  const auto r = o.result();
  f(r);
}

bool number(const lnet::ni& ni, std::string_view name, auto& value) {
  const auto found = ni.tunables.find(name);
  if (found == ni.tunables.end()) return true;
  const std::string& text = found->second;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

/// The driver is through with that message.
void over(lnet::message& m, std::error_code error) {
  const status s = status_of(error);
  m.health = s.health;
  lnet_finalize(m, s.error);
}

}  // namespace

int parameters::read(const lnet::ni& ni) {
  long long seconds = timeout.count();
  if (!number(ni, "timeout", seconds) || !number(ni, "min_rdma", min_rdma) || seconds <= 0 || seconds > 86400)
    return -EINVAL;
  timeout = std::chrono::seconds(seconds);
  if (const auto found = ni.tunables.find("uri"); found != ni.tunables.end()) uri = found->second;
  return 0;
}

/// A message on its way out: its own bytes stay until its op has ended.
struct interface::sent {
  lnet::message& m;
  std::array<std::byte, wire_message::largest> bytes{};
};

/// A message that came, until LNet says where its payload goes.
struct interface::received {
  kfx::message message;
  std::optional<kfx::remote_region> sink;
};

interface::interface(lnet::ni& ni, parameters p)
    : ni_(ni), parameters_(std::move(p)), node_(options_of(ni, parameters_)) {
  node_.on_message([this](kfx::message m) { arrived(std::move(m)); });
  node_.on_peer([this](const kfx::peer& p, kfx::peer_event e) { changed(p, e); });
}

std::string interface::uri_of_own() const { return uri_of(parameters_.uri, ni_.nid); }

kfx::deadline interface::deadline_of(const lnet::message& m) const {
  return std::min(m.deadline, lnet::clock::now() + parameters_.timeout);
}

kfx::peer interface::peer_of(lnet::nid n) {
  std::lock_guard lock(mutex_);
  known& k = peers_[n];
  if (!k.peer.valid()) {
    k = {node_.at(uri_of(parameters_.uri, n)), true};
    k.peer.set_tag(n.packed());
  }
  return k.peer;
}

int interface::send(lnet::message& m) try {
  if (m.deadline <= lnet::clock::now()) {
    m.health = lnet::health_status::local_timeout;
    return -ETIMEDOUT;
  }
  const kfx::peer to = peer_of(m.target.nid);
  auto s = std::make_unique<sent>(sent{m});
  if (m.hdr.type == lnet::msg_type::get && m.hdr.length >= std::max<std::size_t>(parameters_.min_rdma, 1))
    return send_get(to, std::move(s));
  const kfx::const_buffer header = wire_message{m.hdr, std::nullopt}.encode(s->bytes);
  const std::vector<kfx::const_buffer> payload(m.payload.begin(), m.payload.end());
  const kfx::op_options how{.deadline = deadline_of(m), .lane = lane_for(m.length)};
  to.send(header, payload, how).then([s = std::move(s)](const kfx::result<kfx::done>& r) {
    over(s->m, r ? std::error_code() : r.error());
  });
  return 0;
} catch (const kfx::error& e) {
  m.health = lnet::health_status::local_error;
  return e.code() == kfx::errc::out_of_resources ? -ENOMEM : -EINVAL;
} catch (const std::bad_alloc&) {
  m.health = lnet::health_status::local_error;
  return -ENOMEM;
}

/// The target writes into the sink: one message, one transfer, and its end is the offer's.
int interface::send_get(const kfx::peer& to, std::unique_ptr<sent> s) {
  lnet::message* const reply = lnet_create_reply_msg(ni_, s->m);
  if (!reply) return -ENOMEM;
  const kfx::op_options how{.deadline = deadline_of(s->m)};
  kfx::offer sink = to.offer(reply->payload, kfx::access::write, how);
  const kfx::const_buffer header = wire_message{s->m.hdr, sink.token()}.encode(s->bytes);
  const kfx::op_id offered = sink.id();
  std::move(sink).then([this, reply](const kfx::result<kfx::done>& r) {
    if (r) lnet_set_reply_msg_len(ni_, *reply, r->bytes);
    over(*reply, r ? std::error_code() : r.error());
  });
  to.send(header, {}, how).then([to, offered, s = std::move(s)](const kfx::result<kfx::done>& r) {
    if (!r) to.cancel(offered);
    over(s->m, r ? std::error_code() : r.error());
  });
  return 0;
}

void interface::arrived(kfx::message&& m) {
  const auto w = wire_message::decode(m.header());
  const kfx::peer from = m.from();
  if (w && from.tag() == 0) {
    from.set_tag(w->hdr.src_nid.packed());
    std::lock_guard lock(mutex_);
    peers_.try_emplace(w->hdr.src_nid, known{from, false});
  }
  int rc = -EPROTO;
  if (w && w->hdr.payload_length == m.payload_size()) {
    // LNet's from here on, unless it refuses.
    auto* const r = new received{std::move(m), w->sink};
    rc = lnet_parse(ni_, w->hdr, lnet::nid::unpack(from.tag()), r, w->sink.has_value());
    if (rc < 0) {
      m = std::move(r->message);
      delete r;
    }
  }
  if (rc >= 0) return;
  m.reject(errno_code(EPROTO));
  from.set_tag(0);  // who it said it was counts no more
  from.close(errno_code(EPROTO));
}

int interface::receive(void* cookie, lnet::message* m, std::span<const lnet::fragment> to) {
  std::unique_ptr<received> r(static_cast<received*>(cookie));
  if (r->sink) return answer_get(std::move(r), m);
  if (!m) return 0;
  kfx::message& message = r->message;
  const std::size_t wanted = lnet::length_of(to);
  when_over(message.receive(kfx::mutable_buffers(to)),
            [m, wanted, r = std::move(r)](const kfx::result<kfx::done>& done) {
              r->message.let_go();
              const bool all = done && done->bytes == wanted;
              over(*m, !done ? done.error() : all ? std::error_code() : make_error_code(kfx::errc::protocol_error));
            });
  return 0;
}

int interface::answer_get(std::unique_ptr<received> r, lnet::message* m) {
  const kfx::peer to = r->message.from();
  if (!m) {
    to.reject(*r->sink, errno_code(ENODATA)).detach();
    return 0;
  }
  const std::vector<kfx::const_buffer> from(m->payload.begin(), m->payload.end());
  const kfx::op_options how{.deadline = deadline_of(*m), .lane = lane_for(m->length)};
  to.write(from, r->sink->at(0, m->length), how).then([m](const kfx::result<kfx::done>& done) {
    over(*m, done ? std::error_code() : done.error());
  });
  return 0;
}

void interface::changed(const kfx::peer& p, kfx::peer_event e) {
  if (p.tag() == 0) return;
  const lnet::nid n = lnet::nid::unpack(p.tag());
  if (e == kfx::peer_event::down) {
    // Who came and went may not come back by itself; the next message to it looks for it.
    std::lock_guard lock(mutex_);
    if (const auto k = peers_.find(n); k != peers_.end() && !k->second.named && k->second.peer == p) peers_.erase(k);
  }
  lnet_notify(ni_, n, e == kfx::peer_event::up);
}

std::vector<std::string> interface::describe_peers() {
  std::lock_guard lock(mutex_);
  std::vector<std::string> lines;
  for (const auto& [n, k] : peers_) lines.push_back(lnet::to_string(n) + ": " + k.peer.explain());
  return lines;
}

std::size_t interface::close(lnet::nid n) {
  std::vector<kfx::peer> those;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [other, k] : peers_)
      if (n.is_any() || other == n) those.push_back(k.peer);
  }
  for (const kfx::peer& p : those) p.close();
  return those.size();
}

}  // namespace kfxlnd
