// SPDX-License-Identifier: BSD-2-Clause
// Everything at once, at random: what arrives is what was sent, everybody hears of everything once, whatever fails.
#include <array>
#include <atomic>
#include <cerrno>

#include "../base/seed.hpp"
#include "core_fixture.hpp"

using namespace lnd_test;
using kfx_test::below;
using kfx_test::rng;

namespace {

fragment_list random_pieces(rng& r, std::vector<std::byte>& of) {
  fragment_list list;
  const std::size_t most = 1 + below(r, 9);
  for (std::size_t done = 0; done < of.size();) {
    const std::size_t n = list.size() + 1 < most ? below(r, of.size() - done + 1) : of.size() - done;
    list.push_back(std::span(of).subspan(done, n));
    done += n;
  }
  return list;
}

/// One PUT or GET of a host, with what it may be told of it.
struct operation {
  bool is_get = false, ack = false, given_up = false;
  std::uint64_t number = 0;
  std::vector<std::byte> bytes;
  std::size_t offset = 0;
  std::atomic<int> sends{0}, answers{0}, unlinked{0}, failed{0}, answered_well{0};
  std::size_t got = 0;
};

constexpr std::size_t area = 1 << 16;

/// Takes PUTs, each at a place of its own, and has bytes that are a function of where they are.
struct target_side {
  std::vector<std::byte> space = std::vector<std::byte>(area), source = pattern(area, 7);
  std::atomic<int> taken{0}, bad{0};
  std::atomic<bool> over{false};
};

class player {
 public:
  player(fake_net& net, const char* nets, const host_options& base, std::uint64_t seed) : random_(seed) {
    host_options o = base;
    o.networks = nets;
    h_.emplace(o, drivers(net.driver()));
    memory_descriptor d;
    d.memory = random_pieces(random_, side_.space);
    d.options = md_op_put | md_manage_remote;
    d.events = std::make_shared<event_queue>([this](const event& e) {
      if (side_.over) ++side_.bad;
      if (e.type == event_type::put) ++side_.taken;
    });
    offer(*h_, 1, 1, d);
    d.memory = random_pieces(random_, side_.source);
    d.options = md_op_get | md_manage_remote | md_truncate;
    offer(*h_, 2, 1, d);
  }
  ~player() { stop(); }
  void stop() {
    h_.reset();
    side_.over = true;
  }

  void run(process_id to, int count) {
    for (int i = 0; i < count; ++i) start(to);
  }

  /// No message is left, and every credit is back.
  bool quiet() const {
    const auto nis = h_->nis();
    const auto peers = h_->peers();
    return h_->stats().allocated == 0 &&
           std::all_of(nis.begin(), nis.end(), [](const ni_info& n) { return n.available_credits == n.credits; }) &&
           std::all_of(peers.begin(), peers.end(), [](const peer_info& p) {
             return std::all_of(p.nis.begin(), p.nis.end(), [](const peer_ni_info& n) {
               return n.available_credits == static_cast<int>(n.credits) && n.queued_bytes == 0;
             });
           });
  }
  /// Everything that was to be answered, and nobody gave up, was.
  bool all_answered() const {
    return std::all_of(operations_.begin(), operations_.end(),
                       [](const operation& o) { return o.given_up || o.answered_well == (o.is_get || o.ack ? 1 : 0); });
  }

  /// After all hosts are gone.
  void check() const {
    CHECK(side_.bad == 0);
    for (const operation& o : operations_) {
      INFO((o.is_get ? "GET " : "PUT ") << o.number << ", " << o.bytes.size() << " bytes at " << o.offset);
      CHECK(o.sends == 1);
      CHECK(o.unlinked == 1);
      CHECK(o.answers <= (o.is_get || o.ack ? 1 : 0));
      if (!o.is_get || o.answered_well == 0) continue;
      const std::size_t expected = o.offset < area ? std::min(o.bytes.size(), area - o.offset) : 0;
      CHECK(o.got == expected);
      CHECK(std::equal(o.bytes.begin(), o.bytes.begin() + static_cast<std::ptrdiff_t>(expected),
                       side_.source.begin() + static_cast<std::ptrdiff_t>(std::min(o.offset, area))));
    }
  }
  int answered() const {
    int n = 0;
    for (const operation& o : operations_) n += o.answered_well;
    return n;
  }
  int taken() const { return side_.taken; }
  /// Whether each PUT that was acknowledged left its bytes with the other, unless a later one wrote there.
  void check_arrivals(const player& other) const {
    for (auto o = operations_.rbegin(); o != operations_.rend(); ++o) {
      if (o->is_get || o->answered_well == 0) continue;
      const bool same = std::equal(o->bytes.begin(), o->bytes.end(),
                                   other.side_.space.begin() + static_cast<std::ptrdiff_t>(o->offset));
      INFO("PUT " << o->number << ", " << o->bytes.size() << " bytes at " << o->offset);
      CHECK(same);
    }
  }

 private:
  void start(process_id to) {
    operation& o = operations_.emplace_back();
    o.number = operations_.size();
    o.is_get = below(random_, 2) == 0;
    o.ack = below(random_, 4) != 0;
    if (o.is_get) {
      o.offset = below(random_, area + 100);
      o.bytes.resize(kfx_test::log_uniform(random_, 13));
    } else {
      // One after the other, so that none writes over another's.
      o.bytes = pattern(std::min<std::size_t>(kfx_test::log_uniform(random_, 9), area - free_), unsigned(o.number));
      o.offset = free_;
      free_ += o.bytes.size();
    }
    memory_descriptor d;
    d.memory = random_pieces(random_, o.bytes);
    d.threshold = o.is_get || o.ack ? 2 : 1;
    d.events = std::make_shared<event_queue>([this, &o](const event& e) {
      if (side_.over || o.unlinked != 0) ++side_.bad;
      if (e.type == event_type::send) ++o.sends;
      if (e.type == event_type::send && e.status != 0) ++o.failed;
      if (e.type == event_type::ack || e.type == event_type::reply) {
        ++o.answers;
        o.got = e.mlength;
        if (e.status == 0) ++o.answered_well;
      }
      if (e.unlinked) ++o.unlinked;
    });
    const md_handle handle = bind(*h_, d);
    const int rc = o.is_get ? h_->get(nid::any(), handle, to, 2, 1, o.offset)
                            : h_->put(nid::any(), handle, o.ack ? ack_request::ack : ack_request::no_ack, to, 1, 1,
                                      o.offset, o.number);
    if (rc != 0) side_.bad += 1000;
    // Some change their mind.
    if (below(random_, 50) != 0) return;
    o.given_up = true;
    h_->md_unlink(handle);
  }

  rng random_;
  target_side side_;
  std::deque<operation> operations_;
  std::size_t free_ = 0;
  std::optional<host> h_;
};

fake_net::judge moody(std::uint64_t seed, unsigned percent) {
  const auto state = std::make_shared<std::atomic<std::uint64_t>>(seed);
  return [state, percent](const ni&, const header&) {
    rng r(state->fetch_add(0x9e3779b97f4a7c15u));
    fate f;
    if (below(r, 100) >= percent) return f;
    f.what = std::array{fate::refuse, fate::fail, fate::fail, fate::lose}[below(r, 4)];
    f.health = static_cast<health_status>(1 + below(r, static_cast<std::uint64_t>(health_status::network_timeout)));
    return f;
  };
}

}  // namespace

TEST_CASE("random traffic, both ways, with small credits") {
  const std::uint64_t seed = kfx_test::seed("random traffic");
  rng r(seed);
  for (int round = 0; round < 12; ++round) {
    const unsigned percent = round % 3 == 0 ? 0 : 20;
    fake_net net(2, moody(r(), percent));
    net.rdma = round % 2 == 0;
    net.late_receive = below(r, 2) == 0;
    net.shuffle = below(r, 2) == 0;
    host_options o;
    o.credits = 1 + static_cast<unsigned>(below(r, 20));
    o.peer_credits = 1 + static_cast<unsigned>(below(r, 4));
    o.recovery_interval = 1ms;
    const char* const nets_a = round % 4 < 2 ? "tcp(10.0.0.1)" : "tcp(10.0.0.1,10.0.0.3)";
    std::optional<player> a{std::in_place, net, nets_a, o, r()}, b{std::in_place, net, "tcp(10.0.0.2)", o, r()};
    std::thread other([&] { b->run(host_a, 400); });
    a->run(host_b, 400);
    other.join();
    // Some go under traffic, in any order.
    if (percent == 0 || below(r, 2) == 0) {
      // Nothing is lost where nothing fails.
      if (percent == 0) CHECK(eventually([&] { return a->all_answered() && b->all_answered(); }));
      CHECK(eventually([&] { return a->quiet() && b->quiet(); }));
    }
    (below(r, 2) ? a : b)->stop();
    a->stop();
    b->stop();
    a->check();
    b->check();
    if (percent == 0) {
      a->check_arrivals(*b);
      b->check_arrivals(*a);
    }
    a.reset();
    b.reset();
    check_debts(net);
  }
}

TEST_CASE("random traffic on the loopback NI") {
  const std::uint64_t seed = kfx_test::seed("random traffic on lo");
  fake_net none(0);
  player p(none, "", {}, seed);
  p.run(self, 2000);
  p.stop();
  p.check();
  CHECK(p.taken() > 500);
  CHECK(p.answered() > 500);
}
