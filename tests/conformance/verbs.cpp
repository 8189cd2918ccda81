// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// The verbs move exactly the bytes they were given, whatever the size and however scattered.

#include <algorithm>
#include <cstring>
#include <map>

#include "suite.hpp"

namespace kfx::test {
namespace {

constexpr std::size_t largest = 16u << 20;
constexpr std::size_t room = 32u << 20;

/// Receives what is sent into random pieces and keeps it by number; echoes what wants a reply.
class receiver {
 public:
  /// Declare it before the nodes: their handlers use it until they are gone.
  void serve(node& n) {
    n.on_message([this](message m) { take(std::move(m)); });
  }
  /// The payload of message `id`; the sender's op ended before.
  std::vector<std::byte> payload(std::uint64_t id) {
    std::lock_guard lock(m_);
    auto it = kept_.find(id);
    if (it == kept_.end()) return {};
    auto bytes = std::move(it->second);
    kept_.erase(it);
    return bytes;
  }
  findings wrong;

 private:
  struct transfer {
    message m;
    tag t;
    std::vector<std::byte> bytes;
  };
  void take(message m) {
    auto x = std::make_shared<transfer>(transfer{std::move(m), {}, {}});
    x->t = tag::of(x->m);
    x->bytes.resize(x->m.payload_size());
    random_source rng("receiver", x->t.id);
    const auto pieces = shuffled_pieces(rng, x->bytes, 200);
    x->m.receive(pieces, [this, x, pieces](boost::system::error_code e, done d) {
      wrong.check(!e, "a receive failed");
      wrong.check(e || d.bytes == x->bytes.size(), "a receive took another number of bytes");
      std::vector<std::byte> in_order;
      in_order.reserve(x->bytes.size());
      for (const mutable_buffer& p : pieces) in_order.insert(in_order.end(), p.begin(), p.end());
      x->bytes = std::move(in_order);
      if (x->m.wants_reply()) return echo(x);
      {
        std::lock_guard lock(m_);
        kept_[x->t.id] = std::move(x->bytes);
      }
      x->m = {};
    });
  }
  void echo(const std::shared_ptr<transfer>& x) {
    message m = std::move(x->m);
    m.reply(x->t.bytes(), x->bytes,
            [this, x](boost::system::error_code e, done) { wrong.check(!e, "a reply failed"); });
  }

  std::mutex m_;
  std::map<std::uint64_t, std::vector<std::byte>> kept_;
};

/// One random op and what has to be true when it is done.
struct trial {
  op<done> running;
  std::function<bool(const done&)> good;
  std::string what;
};

/// Makes random trials in a region; those of one round use disjoint parts of it.
class trials {
 public:
  trials(world& w, receiver& r, std::string_view label) : w_(w), r_(r), rng_(label), sink_(room) {}

  std::size_t round() {
    std::vector<trial> running;
    std::size_t used = 0;
    const std::size_t depth = rng_.between(1, 8);
    while (running.size() < depth) {
      const std::size_t n = std::min(rng_.size(largest), room - used);
      running.push_back(make(used, n));
      used += n;
      if (used == room) break;
    }
    for (trial& t : running) {
      const done d = must(t.running);
      INFO(t.what << " of op number " << number_ << " at the latest");
      REQUIRE(t.good(d));
    }
    r_.wrong.require_none();
    return running.size();
  }

 private:
  op_options options() {
    op_options o;
    o.lane = rng_.one_in(8) ? unordered : static_cast<lane>(rng_.below(6));
    return o;
  }
  trial make(std::size_t at, std::size_t n) {
    ++number_;
    switch (rng_.below(4)) {
      case 0:
        return write(at, n);
      case 1:
        return read(at, n);
      case 2:
        return send(n);
      default:
        return call(at, n);
    }
  }
  trial write(std::size_t at, std::size_t n) {
    const auto from = noise_pieces(rng_, n, limits::fragments);
    const mutable_buffer target = w_.memory.part(at, n);
    trial t;
    t.what = "write of " + std::to_string(n);
    t.good = [from, target, n](const done& d) { return d.bytes == n && same(from, target); };
    t.running = w_.peer.write(from, w_.remote.at(at, n), options());
    return t;
  }
  trial read(std::size_t at, std::size_t n) {
    const const_buffer source = noise(rng_, n);
    const mutable_buffer theirs = w_.memory.part(at, n);
    std::copy(source.begin(), source.end(), theirs.begin());
    const auto into = shuffled_pieces(rng_, sink_.part(at, n), limits::fragments);
    trial t;
    t.what = "read of " + std::to_string(n);
    t.good = [into, source, n](const done& d) { return d.bytes == n && same(into, source); };
    t.running = w_.peer.read(into, w_.remote.at(at, n), options());
    return t;
  }
  trial send(std::size_t n) {
    const auto payload = noise_pieces(rng_, n, limits::fragments);
    const tag h{1, number_};
    trial t;
    t.what = "send of " + std::to_string(n);
    headers_[number_ % headers_.size()] = h;
    t.good = [this, payload, id = number_, n](const done& d) { return d.bytes == n && same(payload, r_.payload(id)); };
    t.running = w_.peer.send(headers_[number_ % headers_.size()].bytes(), payload, options());
    return t;
  }
  trial call(std::size_t at, std::size_t n) {
    const std::size_t body = n > sizeof(tag) ? n - sizeof(tag) : 0;
    const auto payload = noise_pieces(rng_, body, limits::fragments);
    const mutable_buffer into = n > sizeof(tag) ? sink_.part(at, n) : small_[number_ % small_.size()].span();
    tag& h = headers_[number_ % headers_.size()];
    h = {2, number_};
    op_options o = options();
    o.reply = into;
    trial t;
    t.what = "call with " + std::to_string(body);
    t.good = [payload, into, body, id = number_](const done& d) {
      tag back;
      std::memcpy(&back, into.data(), sizeof back);
      return d.bytes == sizeof(tag) + body && back.id == id && same(payload, into.subspan(sizeof(tag), body));
    };
    t.running = w_.peer.send(h.bytes(), payload, o);
    return t;
  }

  static std::vector<guarded> small_buffers() {
    std::vector<guarded> v;
    for (int i = 0; i < 8; ++i) v.emplace_back(sizeof(tag));
    return v;
  }

  world& w_;
  receiver& r_;
  random_source rng_;
  guarded sink_;
  std::vector<guarded> small_ = small_buffers();
  std::array<tag, 16> headers_{};
  std::uint64_t number_ = 0;
};

}  // namespace

TEST_CASE("random reads, writes, sends and calls are byte for byte", "[verbs]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  INFO("seed " << process_seed() << ", mode " << static_cast<int>(mode));
  receiver r;
  world w(mode, room);
  r.serve(**w.server);
  w.connect();
  trials t(w, r, mode == progress::threads ? "verbs-threads" : "verbs-caller");
  const std::size_t wanted = repeats("KFX_TEST_OPS", 10000) / (mode == progress::threads ? 2 : 4);
  std::size_t ops = 0;
  while (ops < wanted) ops += t.round();
  CHECK(ops >= wanted);
}

TEST_CASE("every size around a boundary of the implementation", "[verbs]") {
  receiver r;
  world w(progress::threads, 4u << 20);
  r.serve(**w.server);
  w.connect();
  random_source rng("boundaries");
  INFO("seed " << process_seed());
  guarded sink(w.memory.size());
  std::uint64_t id = 0;
  for (const std::size_t middle : {8u, 64u, 4096u, 8192u, 16384u, 65536u, 262144u, 1u << 20, 2u << 20}) {
    for (std::size_t n = middle - 2; n <= middle + 2; ++n) {
      INFO("size " << n);
      const const_buffer bytes = noise(rng, n);
      REQUIRE(must(w.peer.write(bytes, w.remote.at(1, n))).bytes == n);
      REQUIRE(same(bytes, w.memory.part(1, n)));
      REQUIRE(must(w.peer.read(sink.part(3, n), w.remote.at(1, n))).bytes == n);
      REQUIRE(same(bytes, sink.part(3, n)));
      const tag h{1, ++id};
      REQUIRE(must(w.peer.send(h.bytes(), bytes)).bytes == n);
      REQUIRE(same(bytes, r.payload(id)));
    }
  }
  r.wrong.require_none();
}

TEST_CASE("a write changes nothing beside its range", "[verbs]") {
  world w(progress::threads, 1 << 16);
  w.connect();
  random_source rng("beside");
  INFO("seed " << process_seed());
  for (int i = 0; i < 200; ++i) {
    w.memory.fill(std::byte{0xa5});
    const std::size_t n = rng.size(20000);
    const std::size_t at = rng.below(w.memory.size() - n);
    must(w.peer.write(noise(rng, n), w.remote.at(at, n)));
    const auto is_untouched = [](std::byte b) { return b == std::byte{0xa5}; };
    REQUIRE(std::all_of(w.memory.data(), w.memory.data() + at, is_untouched));
    REQUIRE(std::all_of(w.memory.data() + at + n, w.memory.data() + w.memory.size(), is_untouched));
  }
}

TEST_CASE("nothing at all can be written, read, sent and answered", "[verbs]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  counter seen, told;
  world w(mode);
  (*w.server)->on_message([&](message m) {
    seen.add();
    if (m.wants_reply()) m.reply(const_buffers{});
  });
  w.connect();
  CHECK(must(w.peer.write(const_buffers{}, w.remote)).bytes == 0);
  CHECK(must(w.peer.write(const_buffers{}, w.remote.at(w.remote.length()))).bytes == 0);
  CHECK(must(w.peer.read(mutable_buffers{}, w.remote)).bytes == 0);
  CHECK(must(w.peer.send(const_buffers{})).bytes == 0);
  std::array<std::byte, 8> reply{};
  CHECK(must(w.peer.send(const_buffers{}, {}, {.reply = reply})).bytes == 0);
  const std::vector<const_buffer> empties(7);
  CHECK(must(w.peer.write(empties, w.remote)).bytes == 0);
  CHECK(must(w.peer.send(empties, empties)).bytes == 0);
  CHECK(seen.reaches(3));
  (*w.server)->on_notify([&](const notification& n, const kfx::peer&) {
    if (n.length == 0 && n.imm == 77 && n.in(w.shared)) told.add();
  });
  must(w.peer.write(const_buffers{}, w.remote, {.notify = 77}));
  CHECK(told.reaches(1));
}

TEST_CASE("headers of every length arrive whole", "[verbs]") {
  std::mutex m;
  std::vector<std::byte> last;
  world w;
  (*w.server)->on_message([&](message msg) {
    std::lock_guard lock(m);
    last.assign(msg.header().begin(), msg.header().end());
  });
  w.connect();
  random_source rng("headers");
  INFO("seed " << process_seed());
  for (int i = 0; i < 300; ++i) {
    const std::size_t n = i == 0 ? limits::header : rng.size(limits::header);
    const const_buffer header = noise(rng, n);
    must(w.peer.send(header, noise(rng, rng.size(20000))));
    std::lock_guard lock(m);
    REQUIRE(same(header, last));
  }
}

TEST_CASE("eight bytes written with write8 are never seen torn", "[verbs]") {
  world w;
  w.connect();
  auto* place = reinterpret_cast<std::uint64_t*>(w.memory.data() + 4096);
  REQUIRE(reinterpret_cast<std::uintptr_t>(place) % 8 == 0);
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> torn{0}, seen{0};
  std::thread reader([&] {
    while (!stop) {
      const std::uint64_t v = std::atomic_ref(*place).load(std::memory_order_acquire);
      if ((v >> 32) != (v & 0xffffffff)) ++torn;
      ++seen;
    }
  });
  while (seen == 0) std::this_thread::yield();
  for (std::uint64_t i = 1; i <= repeats("KFX_TEST_OPS", 10000) / 5; ++i) {
    const std::uint64_t v = i << 32 | i;
    auto o = w.peer.write(std::span(&v, 1), w.remote.at(4096, 8), {.write8 = true});
    (void)outcome(o);
    if (const auto e = o.result(); !e) {
      stop = true;
      reader.join();
      FAIL("write8 number " << i << ": " << o.explain());
    }
  }
  stop = true;
  reader.join();
  CHECK(torn == 0);
  CHECK(seen > 0);
  const std::uint64_t v = 0;
  CHECK(error_of(w.peer.write(std::span(&v, 1), w.remote.at(4097, 8), {.write8 = true})) == errc::misaligned);
}

TEST_CASE("tokens travel as bytes and can be sliced", "[verbs]") {
  world w;
  w.connect();
  const auto bytes = w.remote.encode();
  const auto copy = remote_region::decode(bytes);
  REQUIRE(copy.has_value());
  CHECK(*copy == w.remote);
  CHECK(copy->length() == w.memory.size());
  CHECK(copy->readable());
  CHECK(copy->writable());
  CHECK_FALSE(copy->single_use());
  CHECK_FALSE(copy->persistent());
  random_source rng("slices");
  const const_buffer block = noise(rng, 100);
  must(w.peer.write(block, copy->at(1000).at(500, 4000).at(24, 100)));
  CHECK(same(block, w.memory.part(1524, 100)));
  CHECK(remote_region::decode(const_buffer(bytes).first(39)).has_error());
}

TEST_CASE("buffers from the node and plain containers", "[verbs]") {
  world w;
  w.connect();
  buffer mine = (*w.client)->allocate(300000);
  REQUIRE(mine.size() >= 300000);
  random_source rng("containers");
  const const_buffer block = noise(rng, mine.size());
  std::copy(block.begin(), block.end(), mine.data());
  must(w.peer.write(mine.span(), w.remote.at(0, mine.size())));
  CHECK(same(block, w.memory.part(0, mine.size())));
  const std::string text = "plain text";
  must(w.peer.write(text, w.remote.at(7, text.size())));
  std::vector<std::uint32_t> back(2);
  must(w.peer.read(back, w.remote.at(7, 8)));
  CHECK(std::memcmp(back.data(), text.data(), 8) == 0);
  std::array<char, 4> few{};
  must(w.peer.read(boost::asio::buffer(few), w.remote.at(7, 4)));
  CHECK(std::string_view(few.data(), 4) == "plai");
}

TEST_CASE("the server uses its client's memory as well", "[verbs]") {
  guarded theirs(1 << 20);
  kfx::peer back;
  counter met;
  world w;
  const region region = (*w.client)->share(theirs.span(), access::read_write);
  (*w.server)->on_message([&](message m) {
    back = m.from();
    met.add();
  });
  w.connect();
  must(w.peer.send(tag{}.bytes()));
  REQUIRE(met.reaches(1));
  random_source rng("back");
  INFO("seed " << process_seed());
  for (int i = 0; i < 50; ++i) {
    const std::size_t n = rng.size(theirs.size());
    const auto pieces = noise_pieces(rng, n, 30);
    must(back.write(pieces, region.token().at(0, n)));
    REQUIRE(same(pieces, theirs.part(0, n)));
    std::vector<std::byte> copy(n);
    must(back.read(copy, region.token().at(0, n)));
    REQUIRE(same(pieces, copy));
  }
}

}  // namespace kfx::test
