// SPDX-License-Identifier: BSD-2-Clause
#include "fake_lnd.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

using namespace lnet;

namespace lnd_test {

struct fake_net::end final : ni_data {
  lnet::ni* ni = nullptr;
  bool closing = false, closed = false;
  unsigned running = 0;          ///< steps
  std::set<message*> entrusted;  ///< by lnd_send or lnd_recv, not finalized
};

/// The NI's part of it.
struct handle final : ni_data {
  std::shared_ptr<ni_data> of;
};

struct fake_net::packet {
  lnet::header hdr;
  lnet::nid from;
  std::vector<std::byte> bytes;
  unsigned received = 0;
  // A GET by RDMA: whoever takes these out finalizes them.
  std::shared_ptr<end> initiator;
  message* get = nullptr;
  message* reply = nullptr;
};

class fake_net::lnd final : public lnet_lnd {
 public:
  lnd(fake_net& net, net_kind kind) : net_(net), kind_(kind) {}
  net_kind lnd_type() const noexcept override { return kind_; }
  int lnd_startup(ni&) override;
  void lnd_shutdown(ni&) override;
  int lnd_send(ni&, void* cookie, message&) override;
  int lnd_recv(ni&, void* cookie, message*, bool delayed, std::span<const fragment> to, std::size_t rlen) override;
  int lnd_eager_recv(ni&, void*& cookie, const header&) override;
  void lnd_notify_peer_down(ni&, nid) override;
  int lnd_ctl(ni&, control&) override;
  std::chrono::seconds lnd_get_timeout() const noexcept override { return std::chrono::seconds(1); }

 private:
  static std::shared_ptr<end> end_of(ni& n) { return std::static_pointer_cast<end>(static_cast<handle&>(*n.data).of); }
  fake_net& net_;
  net_kind kind_;
};

fake_net::fake_net(unsigned threads, judge j) : judge_(std::move(j)) {
  for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

fake_net::~fake_net() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  moved_.notify_all();
  for (auto& t : threads_) t.join();
}

driver_ptr fake_net::driver(net_kind kind) { return std::make_unique<lnd>(*this, kind); }

void fake_net::set_judge(judge j) {
  std::lock_guard lock(mutex_);
  judge_ = std::move(j);
}

// --- steps

void fake_net::post(std::shared_ptr<end> who, std::function<void(bool)> run) {
  {
    std::lock_guard lock(mutex_);
    steps_.push_back({std::move(who), std::move(run)});
  }
  moved_.notify_all();
}

/// Takes one step, of `only` if that is not null. False: there is none.
bool fake_net::take(std::unique_lock<std::mutex>& lock, const end* only) {
  auto at = std::find_if(steps_.begin(), steps_.end(), [&](const step& s) { return !only || s.who.get() == only; });
  if (at == steps_.end()) return false;
  if (shuffle && !only) {
    random_ = random_ * 6364136223846793005u + 1442695040888963407u;
    at = steps_.begin() + static_cast<std::ptrdiff_t>((random_ >> 33) % steps_.size());
  }
  const step s = std::move(*at);
  steps_.erase(at);
  const bool aborted = s.who->closing;
  ++s.who->running;
  lock.unlock();
  s.run(aborted);
  lock.lock();
  --s.who->running;
  moved_.notify_all();
  return true;
}

void fake_net::work() {
  std::unique_lock lock(mutex_);
  while (!closing_)
    if (!take(lock, nullptr)) moved_.wait(lock);
}

std::size_t fake_net::pump() {
  std::unique_lock lock(mutex_);
  std::size_t n = 0;
  while (take(lock, nullptr)) ++n;
  return n;
}

bool fake_net::pump_one() {
  std::unique_lock lock(mutex_);
  return take(lock, nullptr);
}

std::size_t fake_net::held() const {
  std::lock_guard lock(mutex_);
  return held_.size();
}

std::size_t fake_net::release() {
  std::unique_lock lock(mutex_);
  const std::size_t n = held_.size();
  for (step& s : held_) steps_.push_back(std::move(s));
  held_.clear();
  lock.unlock();
  moved_.notify_all();
  return n;
}

void fake_net::complain(std::string what) {
  std::lock_guard lock(mutex_);
  violations_.push_back(std::move(what));
}

std::vector<std::string> fake_net::violations() const {
  std::lock_guard lock(mutex_);
  auto list = violations_;
  if (!parsed_.empty()) list.push_back(std::to_string(parsed_.size()) + " parsed without lnd_recv");
  return list;
}

fake_net::seen fake_net::counts() const {
  std::lock_guard lock(mutex_);
  return seen_;
}

// --- messages

void fake_net::finish(const std::shared_ptr<end>& who, message& m, health_status health, int status) {
  {
    std::lock_guard lock(mutex_);
    if (who->entrusted.erase(&m) == 0) violations_.push_back("finalizes what it was not given");
  }
  m.health = health;
  lnet_finalize(m, status);
  moved_.notify_all();
}

/// What was sent goes on its way.
void fake_net::carry(const std::shared_ptr<end>& from, message& m, fate f, bool aborted) {
  if (aborted) return finish(from, m, health_status::local_aborted, -ESHUTDOWN);
  if (f.what == fate::fail) return finish(from, m, f.health, f.status);
  if (f.what == fate::lose) return finish(from, m, health_status::ok, 0);
  std::shared_ptr<end> to;
  {
    std::lock_guard lock(mutex_);
    const auto known = ends_.find(m.hdr.dest_nid);
    if (known != ends_.end()) to = known->second;
  }
  if (!to) return finish(from, m, health_status::remote_dropped, -ECONNREFUSED);
  auto p = std::make_shared<packet>();
  p->hdr = *header::decode(m.hdr.encode());
  p->from = from->ni->nid;
  for (const fragment piece : m.payload) p->bytes.insert(p->bytes.end(), piece.begin(), piece.end());
  if (p->bytes.size() != m.length || (m.hdr.type != msg_type::get && m.length != m.hdr.payload_length))
    complain("a message whose payload is not as long as it says");
  if (!rdma || m.hdr.type != msg_type::get) {
    arrive(to, p);
    return finish(from, m, health_status::ok, 0);
  }
  message* const reply = lnet_create_reply_msg(*from->ni, m);
  if (!reply) return finish(from, m, health_status::ok, -ENOENT);
  {
    std::lock_guard lock(mutex_);
    from->entrusted.insert(reply);
    p->initiator = from;
    p->get = &m;
    p->reply = reply;
  }
  arrive(to, p);
}

void fake_net::arrive(const std::shared_ptr<end>& to, const std::shared_ptr<packet>& p) {
  post(to, [this, to, p](bool aborted) {
    if (aborted || parse(to, p) != 0) answer(p, nullptr, -ECONNRESET, health_status::remote_dropped);
  });
}

int fake_net::parse(const std::shared_ptr<end>& to, const std::shared_ptr<packet>& p) {
  {
    std::lock_guard lock(mutex_);
    if (to->closed) violations_.push_back("lnet_parse after lnd_shutdown");
    parsed_[p.get()] = p;
    ++seen_.types[p->hdr.type];
  }
  const int rc = lnet_parse(*to->ni, p->hdr, p->from, p.get(), p->initiator != nullptr);
  std::lock_guard lock(mutex_);
  ++seen_.parsed;
  if (rc == 0) return 0;
  if (p->received != 0) violations_.push_back("lnd_recv for what lnet_parse refused");
  parsed_.erase(p.get());
  return rc;
}

/// Ends a GET by RDMA at its initiator, if it is one, and was not ended before.
void fake_net::answer(const std::shared_ptr<packet>& p, message* source, int status, health_status health) {
  message *get = nullptr, *reply = nullptr;
  {
    std::lock_guard lock(mutex_);
    get = std::exchange(p->get, nullptr);
    reply = std::exchange(p->reply, nullptr);
    if (!get) return;
    if (source && status == 0) {
      std::vector<std::byte> bytes;
      for (const fragment piece : source->payload) bytes.insert(bytes.end(), piece.begin(), piece.end());
      auto rest = std::span<const std::byte>(bytes);
      for (const fragment piece : reply->payload) {
        const std::size_t n = std::min(piece.size(), rest.size());
        if (n != 0) std::memcpy(piece.data(), rest.data(), n);
        rest = rest.subspan(n);
      }
      if (!rest.empty()) violations_.push_back("a source that is longer than its sink");
      lnet_set_reply_msg_len(*p->initiator->ni, *reply, bytes.size());
    }
  }
  const bool found_nothing = status == -ENODATA;
  post(p->initiator, [this, who = p->initiator, get, reply, status, health, found_nothing](bool) {
    finish(who, *get, found_nothing ? health_status::ok : health, found_nothing ? 0 : status);
    finish(who, *reply, health, status);
  });
}

int fake_net::inject(nid at, const header& h, nid from, std::vector<std::byte> payload) {
  std::shared_ptr<end> to;
  {
    std::lock_guard lock(mutex_);
    to = ends_.at(at);
  }
  auto p = std::make_shared<packet>();
  p->hdr = h;
  p->from = from;
  p->bytes = std::move(payload);
  return parse(to, p);
}

void fake_net::tell(nid at, nid peer, bool alive) {
  std::shared_ptr<end> to;
  {
    std::lock_guard lock(mutex_);
    to = ends_.at(at);
  }
  lnet_notify(*to->ni, peer, alive);
}

// --- the driver

int fake_net::lnd::lnd_startup(ni& n) {
  const auto address = parse_nid(n.interface.name + "@tcp");
  if (!address) return -ENODEV;
  n.nid.address = address->address;
  if (net_.credits) n.max_tx_credits = net_.credits;
  if (net_.peer_credits) n.peer_tx_credits = net_.peer_credits;
  auto made = std::make_shared<end>();
  made->ni = &n;
  auto h = std::make_unique<handle>();
  h->of = made;
  n.data = std::move(h);
  {
    std::lock_guard lock(net_.mutex_);
    net_.ends_[n.nid] = made;
  }
  if (!net_.at_startup) return 0;
  const int rc = net_.at_startup(n);
  if (rc != 0) {
    std::lock_guard lock(net_.mutex_);
    net_.ends_.erase(n.nid);
  }
  return rc;
}

void fake_net::lnd::lnd_shutdown(ni& n) {
  const auto e = end_of(n);
  std::unique_lock lock(net_.mutex_);
  e->closing = true;
  if (const auto known = net_.ends_.find(n.nid); known != net_.ends_.end() && known->second == e)
    net_.ends_.erase(known);
  std::vector<std::shared_ptr<packet>> own;
  for (auto& [raw, p] : net_.parsed_)
    if (p->initiator == e) own.push_back(p);
  for (auto at = net_.held_.begin(); at != net_.held_.end();)
    if (at->who == e) {
      net_.steps_.push_back(std::move(*at));
      at = net_.held_.erase(at);
    } else {
      ++at;
    }
  lock.unlock();
  for (const auto& p : own) net_.answer(p, nullptr, -ESHUTDOWN, health_status::local_aborted);
  lock.lock();
  for (;;) {
    if (net_.take(lock, e.get())) continue;
    if (e->running == 0 && e->entrusted.empty()) break;
    // Without threads, what it waits for is up to the others' steps.
    if (net_.threads_.empty() && net_.take(lock, nullptr)) continue;
    net_.moved_.wait(lock);
  }
  e->closed = true;
}

int fake_net::lnd::lnd_send(ni& n, void*, message& m) {
  const auto e = end_of(n);
  judge j;
  {
    std::lock_guard lock(net_.mutex_);
    j = net_.judge_;
    ++net_.seen_.sent;
    if (e->closing) net_.violations_.push_back("lnd_send during or after lnd_shutdown");
    if (m.deadline == clock::time_point::max()) net_.violations_.push_back("a message without a deadline");
    if (m.target.nid != m.hdr.dest_nid || m.hdr.src_nid != n.nid) net_.violations_.push_back("a message for elsewhere");
  }
  const fate f = j ? j(n, m.hdr) : fate{};
  if (f.what == fate::refuse) {
    m.health = f.health;
    return f.status;
  }
  {
    std::lock_guard lock(net_.mutex_);
    if (!e->entrusted.insert(&m).second) net_.violations_.push_back("the same message twice");
    if (f.hold) {
      net_.held_.push_back({e, [net = &net_, e, &m, f](bool aborted) { net->carry(e, m, f, aborted); }});
      return 0;
    }
  }
  net_.post(e, [net = &net_, e, &m, f](bool aborted) { net->carry(e, m, f, aborted); });
  return 0;
}

int fake_net::lnd::lnd_recv(ni& n, void* cookie, message* m, bool delayed, std::span<const fragment> to,
                            std::size_t rlen) {
  const auto e = end_of(n);
  std::shared_ptr<packet> p;
  {
    std::lock_guard lock(net_.mutex_);
    const auto known = net_.parsed_.find(static_cast<packet*>(cookie));
    if (known == net_.parsed_.end()) {
      net_.violations_.push_back("lnd_recv twice, or for nothing");
      return 0;
    }
    p = known->second;
    net_.parsed_.erase(known);
    ++p->received;
    ++net_.seen_.received;
    net_.seen_.discarded += m == nullptr;
    net_.seen_.delayed += delayed;
    if (m && !net_.rdma && rlen != p->bytes.size()) net_.violations_.push_back("another rlen than came");
    if (m) e->entrusted.insert(m);
  }
  if (p->initiator) {
    net_.answer(p, m, m ? 0 : -ENODATA, health_status::ok);
  } else {
    auto rest = std::span<const std::byte>(p->bytes);
    for (const fragment piece : to) {
      const std::size_t length = std::min(piece.size(), rest.size());
      if (length != 0) std::memcpy(piece.data(), rest.data(), length);
      rest = rest.subspan(length);
    }
  }
  if (!m) return 0;
  if (net_.late_receive)
    net_.post(e, [net = &net_, e, m](bool) { net->finish(e, *m, health_status::ok, 0); });
  else
    net_.finish(e, *m, health_status::ok, 0);
  return 0;
}

int fake_net::lnd::lnd_eager_recv(ni&, void*&, const header&) {
  std::lock_guard lock(net_.mutex_);
  ++net_.seen_.eager;
  return 0;
}

void fake_net::lnd::lnd_notify_peer_down(ni&, nid) {
  std::lock_guard lock(net_.mutex_);
  ++net_.seen_.peers_down;
}

int fake_net::lnd::lnd_ctl(ni& n, control& c) {
  if (c.what != control::describe) return -EINVAL;
  c.answer.push_back(to_string(n.nid));
  return 0;
}

}  // namespace lnd_test
