// SPDX-License-Identifier: BSD-2-Clause
#include "perf_client.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <stdexcept>

#include "ticks.hpp"

namespace tool::perf {

using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t largest_footprint = 64u << 20;

std::uint64_t memory_for(const client_options& o, std::uint64_t largest, unsigned deepest) {
  const std::uint64_t wanted = o.footprint ? o.footprint : std::min(largest * deepest, largest_footprint);
  return std::max({wanted, largest, std::uint64_t{64}});
}

long preemptions() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  return used.ru_nivcsw;
}

const char* meaning(status s) {
  switch (s) {
    case status::busy:
      return "it is measuring with somebody else; try again later, or start another server";
    case status::no_memory:
      return "it has no memory for that; take smaller sizes or less depth";
    case status::other_version:
      return "it speaks another version of this benchmark; use the same kfx on both sides";
    default:
      return "it does not understand; use the same kfx on both sides";
  }
}

}  // namespace

client::client(const client_options& o, std::uint64_t largest, unsigned deepest)
    : options_(o),
      node_({.progress = o.progress, .limit = std::chrono::milliseconds(static_cast<std::int64_t>(o.timeout * 1000))}),
      peer_(node_.at(o.uri)) {
  ns_per_tick();
  node_.on_message([this](kfx::message m) {
    if (m.payload_size() == 0) {
      m.let_go();
      return returned();
    }
    receiver_.take(std::move(m), {place(returns_.load(std::memory_order_relaxed)), now_.payload},
                   [this](kfx::message&& whole) {
                     whole.let_go();
                     returned();
                   });
  });
  node_.on_notify([this](const kfx::notification&, const kfx::peer&) { returned(); });
  node_.on_peer([this](const kfx::peer&, kfx::peer_event e) {
    if (e != kfx::peer_event::up) lost_ = true;
  });
  const std::uint64_t bytes = memory_for(o, largest, deepest);
  memory_ = std::make_unique<shared_memory>(node_, o.local, bytes);
  order hello;
  hello.memory = o.remote;
  hello.size = bytes;
  hello.token = memory_->region().token().encode();
  remote_ = kfx::remote_region::decode(tell(hello).token).value();
}

answer client::tell(const order& o) {
  std::array<std::byte, sizeof(answer)> place{};
  auto op = peer_.send(bytes_of(o), {}, {.reply = place});
  if (const auto r = op.complete(); !r) {
    if (r.error() == kfx::errc::dropped)
      throw std::runtime_error(options_.uri + " is a node, but no `kfx perf --server`; start one there");
    throw std::runtime_error(op.explain());
  }
  const auto a = decode<answer>(place);
  if (!a || a->status != status::ok)
    throw std::runtime_error(
        fmt::format("the server at {} refuses: {}", options_.uri, meaning(a ? a->status : status::no_sense)));
  return *a;
}

std::uint64_t client::places_for(const test_case& c) const {
  const std::uint64_t size = std::max<std::uint64_t>(1, c.size);
  const std::uint64_t wanted = options_.footprint ? options_.footprint / size : c.depth;
  return std::clamp<std::uint64_t>(wanted, 1, memory_->region().memory().size() / size);
}

outcome client::run(const test_case& c, const effort& e) {
  now_ = c;
  places_ = places_for(c);
  header_.assign(c.header, std::byte{0});
  const kind k = c.test == test::call ? kind::call : one_way(c.test) ? kind::ping : kind::data;
  if (!header_.empty()) header_[0] = static_cast<std::byte>(k);
  order o;
  o.verb = verb::begin;
  o.test = c.test;
  o.size = c.size;
  o.header = c.header;
  o.payload = c.payload;
  o.places = places_;
  tell(o);
  constexpr std::uint64_t endless = ~std::uint64_t{0};
  const auto until = [](double seconds) { return ticks() + ticks_of(seconds); };
  const outcome warm = e.count ? measure(c, {std::max<std::uint64_t>(1, e.warm_up_count), endless})
                               : measure(c, {endless, until(e.warm_up_seconds)});
  const long before = preemptions();
  outcome out = e.count ? measure(c, {e.count, endless}) : measure(c, {endless, until(e.seconds)});
  out.preempted = preemptions() - before;
  o.verb = verb::end;
  const std::uint64_t expected = (warm.ops + out.ops) / out.per_op;
  const std::uint64_t found = tell(o).count;
  // What it did not see did not happen: then the figure is worth nothing.
  const bool silent = c.test == test::write || c.test == test::write8 || c.test == test::read;
  if (!silent && found != expected)
    throw std::runtime_error(fmt::format("the server saw {} of {} ops of {}", found, expected, name_of(c.test)));
  return out;
}

void client::bye() {
  order o;
  o.verb = verb::bye;
  tell(o);
}

outcome client::measure(const test_case& c, stop_rule rule) {
  std::byte* const memory = memory_->span().data();
  const auto bytes = [memory, &c](std::uint64_t at) { return kfx::const_buffer(memory + at, c.size); };
  const auto room = [memory, &c](std::uint64_t at) { return kfx::mutable_buffer(memory + at, c.size); };
  const auto there = [this, &c](std::uint64_t at) { return remote_.at(at, c.size); };
  switch (c.test) {
    case test::send:
      return pipeline(c, rule, [&](std::uint64_t at, std::uint64_t) {
        return peer_.send(header_, kfx::const_buffer(memory + at, c.payload));
      });
    case test::call:
      return pipeline(c, rule,
                      [&](std::uint64_t at, std::uint64_t) { return peer_.send(header_, {}, {.reply = room(at)}); });
    case test::write:
      return pipeline(c, rule, [&](std::uint64_t at, std::uint64_t) { return peer_.write(bytes(at), there(at)); });
    case test::notify:
      return pipeline(
          c, rule, [&](std::uint64_t at, std::uint64_t i) { return peer_.write(bytes(at), there(at), {.notify = i}); });
    case test::write8:
      return pipeline(c, rule, [&](std::uint64_t at, std::uint64_t) {
        return peer_.write(bytes(at), there(at), {.write8 = true});
      });
    case test::read:
      return pipeline(c, rule, [&](std::uint64_t at, std::uint64_t) { return peer_.read(room(at), there(at)); });
    default:
      return back_and_forth(c, rule);
  }
}

/// Keeps `depth` ops under way. They are waited for in the order submitted, which is that of their completion on one
/// lane but for what the peer does in another one.
template <class Start>
outcome client::pipeline(const test_case& c, stop_rule rule, Start start) {
  outcome out;
  out.what = c;
  out.sampled = c.depth == 1 ? 1 : 16;  // two looks at the clock would be most of a small op
  std::vector<kfx::op<kfx::done>> ops(c.depth);
  std::vector<std::uint64_t> begun(c.depth);
  // complete() moves frames itself, and does it as fast as a poll() loop at depth 1 and better than one at depth.
  const auto wait = [&](kfx::op<kfx::done>& o) {
    while (!o.ready())
      if (const auto r = o.complete(1s); !r && !o.ready() && lost_) throw std::runtime_error(gone());
    if (!o.result()) throw std::runtime_error(o.explain());
  };
  unsigned slot = 0;
  const std::uint64_t end = places_ * std::max<std::uint64_t>(1, c.size);
  std::uint64_t at = 0;  // of this op's bytes; a division for each op would be part of what is measured
  std::uint64_t until_sample = 1;
  const std::uint64_t begin = ticks();
  for (bool more = true; more && out.ops < rule.count; ++out.ops) {
    kfx::op<kfx::done>& o = ops[slot];
    if (o.valid()) {
      wait(o);
      if (begun[slot] != 0) {
        const std::uint64_t now = ticks();
        out.latency.record(now - begun[slot]);
        more = now < rule.until;
        begun[slot] = 0;
      }
    }
    if (--until_sample == 0) {
      begun[slot] = ticks();
      until_sample = out.sampled;
    }
    o = start(at, out.ops);
    if (++slot == c.depth) slot = 0;
    if ((at += c.size) >= end) at = 0;
  }
  for (unsigned i = 0; i < c.depth; ++i) {
    const unsigned s = (slot + i) % c.depth;
    if (!ops[s].valid()) continue;
    wait(ops[s]);
    if (begun[s] != 0) out.latency.record(ticks() - begun[s]);
  }
  out.seconds = seconds_of(ticks() - begin);
  return out;
}

outcome client::back_and_forth(const test_case& c, stop_rule rule) {
  result_ = {};
  result_.what = c;
  result_.per_op = 2;
  rule_ = rule;
  returns_ = 0;
  if (c.test == test::write8_oneway) std::memset(memory_->span().data(), 0, 16);
  seen_ = 0;
  seen_at_ = kfx::clock::now();
  over_ = false;
  const std::uint64_t begin = last_ = ticks();
  ping();
  if (c.test == test::write8_oneway)
    watch_word();
  else
    wait_for_returns();
  result_.seconds = seconds_of(last_ - begin);
  result_.ops = 2 * returns_;
  return std::move(result_);
}

void client::ping() {
  const std::uint64_t i = returns_.load(std::memory_order_relaxed);
  switch (now_.test) {
    case test::notify_oneway:
      return peer_.write(kfx::const_buffer(place(i), now_.size), remote_, {.notify = i}).detach();
    case test::write8_oneway: {
      // Beside the word that the answer comes to. The write before ended when that came; it says so now.
      if (word_write_.valid()) (void)word_write_.complete();
      auto* const out = reinterpret_cast<std::uint64_t*>(memory_->span().data()) + 1;
      *out = ++sequence_;
      word_write_ = peer_.write(std::as_bytes(std::span(out, 1)), remote_.at(0, 8), {.write8 = true});
      return;
    }
    default:
      return peer_.send(header_, kfx::const_buffer(place(i), now_.payload)).detach();
  }
}

/// The answer is here: the next one, or the end. In a handler.
void client::returned() {
  if (over_.load(std::memory_order_relaxed)) return;
  const std::uint64_t now = ticks();
  result_.latency.record(now - last_);
  last_ = now;
  const std::uint64_t n = returns_.load(std::memory_order_relaxed) + 1;
  returns_.store(n, std::memory_order_relaxed);
  if (!rule_.reached(n, now)) return ping();
  over_.store(true, std::memory_order_release);
  if (options_.progress == kfx::progress::threads) finished_.release();
}

void client::wait_for_returns() {
  if (options_.progress == kfx::progress::threads) {
    while (!finished_.try_acquire_for(100ms)) check_alive();
    return;
  }
  for (unsigned i = 1; !over_.load(std::memory_order_relaxed); ++i) {
    node_.poll();
    if (i % 65536 == 0) check_alive();
  }
}

void client::watch_word() {
  auto* const word = reinterpret_cast<std::uint64_t*>(memory_->span().data());
  const bool caller = options_.progress == kfx::progress::caller;
  for (unsigned i = 1; !over_.load(std::memory_order_relaxed); ++i) {
    if (caller) node_.poll();
    if (std::atomic_ref(*word).load(std::memory_order_acquire) == sequence_) returned();
    if (i % 65536 == 0) check_alive();
  }
  (void)finished_.try_acquire();
}

std::string client::gone() const { return "the server at " + options_.uri + " went away: " + peer_.explain(); }

/// Throws when the server is gone, or says nothing for too long.
void client::check_alive() {
  const std::uint64_t n = returns_.load(std::memory_order_relaxed);
  const auto now = kfx::clock::now();
  if (n != seen_) {
    seen_ = n;
    seen_at_ = now;
  }
  if (lost_) throw std::runtime_error(gone());
  if (std::chrono::duration<double>(now - seen_at_).count() > options_.timeout)
    throw std::runtime_error(
        fmt::format("the server at {} has not answered for {} s: {}", options_.uri, options_.timeout, peer_.explain()));
}

}  // namespace tool::perf
