// SPDX-License-Identifier: BSD-2-Clause
// A link over rings whose other end writes what it likes, when it likes, also between two loads of the link and while
// the link's caller looks. Input: the size of the rings, then what both sides do, step by step.

#include <array>
#include <map>

#include "hostile_peer.hpp"
#include "kfx/error.hpp"
#include "wire/ring_link.hpp"

using namespace kfx;
using namespace kfx::fuzz;

extern "C" {
#define KFX_BEFORE_LOAD(bytes) \
  __attribute__((no_sanitize("coverage"))) void __sanitizer_cov_load##bytes(const void* p) { trap.before(p); }
KFX_BEFORE_LOAD(1)
KFX_BEFORE_LOAD(2)
KFX_BEFORE_LOAD(4)
KFX_BEFORE_LOAD(8)
KFX_BEFORE_LOAD(16)
}

namespace {

constexpr unsigned most_steps = 1000;
/// What a call may load of the peer's memory. The worst that a peer can bring about is a body in chunks of a single
/// byte with a wrap before each; a poll takes 256 KiB of it.
constexpr std::uint64_t loads_a_call(unsigned frames) { return 2 * 256 * 1024 + 1000 + 32 * std::uint64_t{frames}; }

/// What the link's caller sees and does inside of the link.
class watchful_sink final : public backend::frame_sink {
 public:
  watchful_sink(shared_rings& rings, hostile_peer& peer, script& s) : rings_(rings), peer_(peer), script_(s) {}

  bool on_frame(const_buffer head, const_buffer body) override {
    out_of_link here;
    require(!closed && landing_ == nullptr);
    check_head(head, body.size());
    require(body.empty() || inside(body));
    ++frames;
    if (!peer_.tampered) {
      const frame& f = next();
      require(body.empty() || std::memcmp(f.data() + head.size(), body.data(), body.size()) == 0);
      peer_.spoken.pop_front();
    }
    look(head, body);
    return goes_on();
  }
  std::span<const mutable_buffer> on_bulk(const_buffer head, std::size_t body) override {
    out_of_link here;
    require(!closed && landing_ == nullptr && head.size() + body > backend::whole_limit);
    check_head(head, body);
    if (!peer_.tampered) head_ = (void(next()), head.size());
    look(head, {});
    interfere();  // before there is a landing that could be withdrawn
    bulk_ = !closed;
    if (closed) return {};
    // Exactly: a sanitizer sees one byte too many.
    const std::uint8_t s = script_.u8();
    landing_bytes_ = s % 4 == 0 ? body * s / 256 : body;
    landing_ = std::make_unique<std::byte[]>(landing_bytes_);
    list_.clear();
    for (std::size_t i = 0, n = 1 + s % 3; i < n; ++i) {
      const std::size_t from = landing_bytes_ * i / n;
      list_.emplace_back(landing_.get() + from, landing_bytes_ * (i + 1) / n - from);
    }
    return list_;
  }
  bool on_bulk_done() override {
    out_of_link here;
    require(!closed && bulk_);
    bulk_ = false;
    ++frames;
    if (!peer_.tampered) {
      const frame& f = peer_.spoken.front();
      const std::size_t n = landing_ ? std::min(landing_bytes_, f.size() - head_) : 0;
      require(n == 0 || std::memcmp(landing_.get(), f.data() + head_, n) == 0);
      peer_.spoken.pop_front();
    }
    landing_.reset();
    return goes_on();
  }
  void on_sent(backend::cookie id) override {
    out_of_link here;
    require(!closed && lent_.erase(id) == 1);
    interfere();
  }
  void on_quiet(backend::cookie) override { std::abort(); }
  void on_direct(backend::cookie id, std::error_code error) override {
    out_of_link here;
    require(!closed && !error && direct_.erase(id) == 1);
    interfere();
  }

  /// One call of the link, from outside or from inside of another.
  void act() {
    switch (script_.u8() % 8) {
      case 0:
        return commit();
      case 1:
      case 2:
        return post();
      case 3:
        return quiesce();
      case 4:
        link->divert();
        landing_.reset();
        return;
      case 5:
        if (link->direct()->flush(++last_id_)) direct_.emplace(last_id_, nullptr);
        return;
      case 6:
        if (script_.u8() % 8 == 0) close();
        return;
      default:
        require(!link->describe().empty());
    }
  }
  void close() {
    link->close();
    closed = true;
    lent_.clear();  // nobody touches it any more
    direct_.clear();
    landing_.reset();
  }
  /// At the next calls of the sink.
  void interfere_later(unsigned times) { interferences_ += times; }
  bool all_returned() const { return lent_.empty() && direct_.empty(); }

  backend::link* link = nullptr;
  unsigned frames = 0;
  bool closed = false;
  bool refused = false;

 private:
  using memory = std::unique_ptr<std::byte[]>;

  bool inside(const_buffer b) const {
    const auto all = rings_.in_bytes();
    return b.data() >= all.data() && b.size() <= all.size() &&
           static_cast<std::size_t>(b.data() - all.data()) <= all.size() - b.size();
  }
  void check_head(const_buffer head, std::size_t body) const {
    require(head.size() >= wire::head_size && head.size() <= wire::max_head && !inside(head.first(1)));
    const auto h = wire::load<wire::head>(head.data());
    require(wire::sound(h) && h.head_bytes() == head.size() && h.body_bytes() == body);
    require(peer_.tampered || std::memcmp(next().data(), head.data(), head.size()) == 0);
  }
  const frame& next() const {
    require(!peer_.spoken.empty());
    return peer_.spoken.front();
  }
  /// The head that was handed over stays as it is, whatever happens to the ring meanwhile.
  void look(const_buffer head, const_buffer body) {
    std::array<std::byte, wire::max_head> before;
    std::copy(head.begin(), head.end(), before.begin());
    peer_.strike_while(body);
    require(std::equal(head.begin(), head.end(), before.begin()));
  }
  bool goes_on() {
    interfere();
    if (script_.u8() < 250) return true;
    refused = true;
    return false;
  }
  void interfere() {
    if (interferences_ == 0) return;
    --interferences_;
    act();
  }

  void commit() {
    const frame f = peer_.make_frame(script_);
    if (f.size() > link->caps().max_window) return;
    const auto window = link->reserve(f.size());
    if (window.empty() || script_.u8() % 8 == 0) return;
    require(window.size() >= f.size());
    std::memcpy(window.data(), f.data(), f.size());
    link->commit(f.size());
    peer_.wanted.insert(peer_.wanted.end(), f.begin(), f.end());
  }
  void post() {
    const frame f = peer_.make_frame(script_);
    const std::size_t head = head_bytes(f), body = f.size() - head;
    auto owned = std::make_unique<std::byte[]>(body);
    std::copy(f.begin() + static_cast<std::ptrdiff_t>(head), f.end(), owned.get());
    const const_buffer all(owned.get(), body);
    const const_buffer parts[] = {all.first(body / 3), all.subspan(body / 3)};
    if (!link->post(const_buffer(f).first(head), parts, ++last_id_)) return;
    lent_.emplace(last_id_, std::move(owned));
    peer_.wanted.insert(peer_.wanted.end(), f.begin(), f.end());
  }
  void quiesce() {
    const backend::cookie id = last_id_ - script_.u8() % 4;
    require(link->quiesce(id));
    lent_.erase(id);
    direct_.erase(id);
  }

  shared_rings& rings_;
  hostile_peer& peer_;
  script& script_;
  std::map<backend::cookie, memory> lent_, direct_;
  backend::cookie last_id_ = 0;
  memory landing_;
  std::size_t landing_bytes_ = 0;
  std::vector<mutable_buffer> list_;
  std::size_t head_ = 0;  ///< bytes of the head of the body under way
  bool bulk_ = false;
  unsigned interferences_ = 0;
};

class play {
 public:
  play(const std::uint8_t* data, std::size_t size)
      : script_(data, size),
        rings_(std::size_t{512} << script_.u8() % 8),
        peer_(rings_),
        sink_(rings_, peer_, script_),
        link_(std::make_unique<hostile_pair>(rings_, peer_.gone, woken_)) {
    trap = {};
    trap.rings = &rings_;
    sink_.link = &link_;
  }

  void run() {
    for (unsigned i = 0; i < most_steps && !script_.ended() && !sink_.closed; ++i) step();
    if (!sink_.closed && !peer_.tampered && !peer_.lied && !peer_.gone) settle();
    sink_.close();
    require(link_.poll(sink_, 1).error == std::errc::connection_reset);
    require(link_.flush(sink_) == std::errc::connection_reset);
    require(link_.reserve(1).empty() && !link_.post({}, {}, 1) && link_.quiesce(1) && link_.arm().fd < 0);
  }

 private:
  void step() {
    const std::uint8_t what = script_.u8();
    if (what < 128) return peer_.act(script_);
    switch (what % 8) {
      case 0:
      case 1:
      case 2:
        return poll(1 + script_.u8() % 32);
      case 3:
        return flush();
      case 4:
        return arm();
      case 5:
        return sink_.interfere_later(1);
      case 6:
        peer_.gone = peer_.gone || script_.u8() % 16 == 0;
        return;
      default:
        in_link here(loads_a_call(0));
        sink_.act();
    }
  }
  void poll(unsigned budget) {
    sink_.frames = 0;
    backend::link::polled p;
    {
      in_link here(loads_a_call(budget));
      p = link_.poll(sink_, budget);
    }
    require(p.frames == sink_.frames && p.frames <= budget);
    check(p.error);
    // As the engine does.
    if (sink_.refused && !sink_.closed) sink_.close();
  }
  void flush() {
    std::error_code error;
    {
      in_link here(loads_a_call(0));
      error = link_.flush(sink_);
    }
    check(error);
  }
  void arm() {
    in_link here(loads_a_call(0));
    const auto h = link_.arm();
    require(h.fd < 0 || (h.fd == hostile_pair::handle && !dead_));
  }
  /// A link ends once, for a reason.
  void check(std::error_code error) {
    if (sink_.closed) return;
    require(!dead_ || error == dead_);
    if (error)
      require(error == errc::protocol_error ? peer_.tampered || peer_.lied
                                            : error == std::errc::connection_reset && peer_.gone);
    dead_ = error;
  }
  /// Both are honest, and so all arrives.
  void settle() {
    // What the link takes of a body is seen in the room that it makes.
    for (unsigned idle = 0; idle < 3 && !sink_.closed;) {
      bool moved = peer_.go_on();
      const std::size_t left = peer_.spoken.size();
      flush();
      for (unsigned frames = 1; frames != 0 && !sink_.closed; frames = sink_.frames) poll(64);
      if (sink_.closed) return;
      moved |= peer_.read(1000) || left != peer_.spoken.size();
      peer_.give_back();
      idle = moved ? 0 : idle + 1;
    }
    if (sink_.closed) return;
    require(peer_.spoken.empty() && peer_.heard == peer_.wanted.size() && sink_.all_returned());
  }

  script script_;
  shared_rings rings_;
  unsigned woken_ = 0;
  hostile_peer peer_;
  watchful_sink sink_;
  wire::ring_link link_;
  std::error_code dead_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  play(data, size).run();
  return 0;
}
