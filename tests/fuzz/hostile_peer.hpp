// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The other end of a link over rings: honest with its own writer and reader, or not.

#include <vector>

#include "hostile_ring.hpp"
#include "wire/frame.hpp"
#include "wire/line_ring.hpp"
#include "wire/ring_words.hpp"

namespace kfx::fuzz {

using frame = std::vector<std::byte>;

inline std::size_t head_bytes(const frame& f) { return wire::load<wire::head>(f.data()).head_bytes(); }

class hostile_peer {
 public:
  explicit hostile_peer(shared_rings& r)
      : rings_(r), out_(r.in_bytes(), r.own->count), in_(r.out_bytes(), r.peer->count) {}

  /// A frame that a link over such rings can carry.
  frame make_frame(script& s) const {
    wire::head h;
    h.type = static_cast<wire::type>(s.u8());
    h.words = static_cast<std::uint8_t>(4 + s.u8() % 6);
    h.op = s.u8();
    const std::size_t head = h.head_bytes(), chunk = out_.max_chunk();
    const std::uint8_t how = s.u8();
    std::size_t body = how % 64;
    if (how >= 240)
      body = backend::whole_limit + 1 - head + s.u16() % 20000;
    else if (how >= 200)
      body = s.u16() % (std::min(chunk, backend::whole_limit) - head + 1);
    h.length = static_cast<std::uint32_t>(head + body);
    frame f(h.length);
    for (std::size_t i = 0; i < f.size(); ++i) f[i] = static_cast<std::byte>(i * 7 + i / 256 + how);
    wire::put(f.data(), h);
    return f;
  }

  void act(script& s) {
    switch (s.u8() % 13) {
      case 0:
      case 1:
      case 2:
        return speak(s);
      case 3:
        return say_anything(s);
      case 4:
        return alter_last(s);
      case 5:
        return scribble(s);
      case 6:
        return put_word(s.odd() % (rings_.size / 64), s);
      case 7:
        for (std::size_t n = rings_.size / 64, word = s.odd(), i = 0; i < n; ++i) store(i * 64, &word, 6);
        return;
      case 8:
        return lie(s);
      case 9:
        return strike_later(s, trap.strikes);
      case 10:
        return strike_later(s, looks_);
      case 11:
        return change_wants(s);
      default:
        read(1 + s.u8() % 16);
        if (s.u8() % 2) in_.give_back();
    }
  }

  /// Goes on with what it began to say. False: no room, or nothing begun.
  bool go_on() {
    if (body_.empty()) return false;
    const auto place = out_.reserve(1, std::min(body_.size(), out_.max_chunk()));
    if (place.empty()) return false;
    std::memcpy(place.data(), body_.data(), place.size());
    publish(place, wire::chunk_kind::body, place.size());
    body_.erase(body_.begin(), body_.begin() + static_cast<std::ptrdiff_t>(place.size()));
    return true;
  }
  /// What the link said. It is in order and complete as long as this side told the truth.
  bool read(unsigned chunks) {
    bool some = false;
    while (chunks-- > 0) {
      const auto c = in_.front();
      if (!c) break;
      some = true;
      if (!lied) {
        require(heard + c->bytes.size() <= wanted.size());
        require(std::memcmp(wanted.data() + heard, c->bytes.data(), c->bytes.size()) == 0);
        heard += c->bytes.size();
      }
      in_.pop();
    }
    require(lied || !in_.broken());
    return some;
  }
  void give_back() { in_.give_back(); }
  /// While the link's caller looks at `body`.
  void strike_while(const_buffer body) {
    if (looks_.empty() || !rings_.mapped()) return;
    if (looks_.front().loads-- != 0) return;
    const auto all = rings_.in_bytes();
    const std::size_t at = body.empty() ? 0 : static_cast<std::size_t>(body.data() - all.data());
    trap.carry_out(looks_.front(), at);
    looks_.pop_front();
  }

  bool tampered = false;  ///< with what it says
  bool lied = false;      ///< about what it read
  bool gone = false;
  std::deque<frame> spoken;  ///< and not heard yet
  frame wanted;              ///< all that the link is to say
  std::size_t heard = 0;     ///< of that

 private:
  void publish(std::span<std::byte> place, wire::chunk_kind k, std::size_t bytes) {
    out_.publish(k, bytes);
    last_ = static_cast<std::size_t>(place.data() - rings_.in_bytes().data()) - 8;
    last_bytes_ = 8 + bytes;
  }
  void speak(script& s) {
    if (!body_.empty()) {
      go_on();
      return;
    }
    const frame f = make_frame(s);
    const std::size_t head = head_bytes(f);
    const bool bulk = f.size() > backend::whole_limit;
    std::vector<frame> all(1, f);
    std::size_t bytes = bulk ? head : f.size();
    for (unsigned n = bulk ? 0 : s.u8() % 4; n > 0; --n) {
      frame more = make_frame(s);
      const std::size_t at = (bytes + 7) & ~std::size_t{7};
      if (more.size() > backend::whole_limit || at + more.size() > out_.max_chunk()) break;
      bytes = at + more.size();
      all.push_back(std::move(more));
    }
    const auto place = out_.reserve(bytes, bytes);
    if (place.empty()) return;
    std::size_t at = 0;
    for (const frame& one : all) {
      at = (at + 7) & ~std::size_t{7};
      std::memcpy(place.data() + at, one.data(), bulk ? head : one.size());
      at += one.size();
    }
    publish(place, wire::chunk_kind::frames, bytes);
    if (bulk) body_.assign(f.begin() + static_cast<std::ptrdiff_t>(head), f.end());
    for (frame& one : all) spoken.push_back(std::move(one));
  }
  /// A chunk in its place, with whatever content and kind.
  void say_anything(script& s) {
    tampered = true;
    const auto kind = static_cast<wire::chunk_kind>(s.u8() % 5);
    const auto content = s.bytes(1 + s.u8());
    if (content.empty()) return;
    const auto place = out_.reserve(content.size(), content.size());
    if (place.empty()) return;
    std::memcpy(place.data(), content.data(), content.size());
    publish(place, kind, content.size());
  }
  void alter_last(script& s) {
    if (last_bytes_ == 0) return;
    const std::size_t at = last_ + s.odd() % last_bytes_;
    const std::uint64_t value = s.odd();
    store(at, &value, 1 + s.u8() % 8);
  }
  void scribble(script& s) {
    const std::size_t at = s.odd() % rings_.size;
    const auto content = s.bytes(1 + s.u8() % 64);
    store(at, content.data(), content.size());
  }
  void put_word(std::size_t line, script& s) {
    const auto kind = static_cast<wire::chunk_kind>(s.u8() % 5);
    const std::uint64_t word = wire::ring_word(kind, s.odd());
    store(line * 64, &word, sizeof word);
  }
  void store(std::size_t at, const void* from, std::size_t bytes) {
    tampered = true;
    if (bytes > 0) std::memcpy(rings_.in_bytes().data() + at, from, std::min(bytes, rings_.size - at));
  }
  void lie(script& s) {
    lied = true;
    rings_.peer->count = s.u8() % 2 ? rings_.peer->count + 64 * s.odd() : s.odd();
  }
  void strike_later(script& s, std::deque<strike>& list) {
    strike hit;
    hit.loads = s.u8();
    hit.offset = static_cast<std::int32_t>(s.u16() % 257) - 128;
    hit.bytes = s.u8() % 9;
    hit.value = s.odd();
    (hit.bytes ? tampered : lied) = true;
    list.push_back(hit);
  }
  void change_wants(script& s) {
    rings_.own->wants = s.u32();
    rings_.peer->wants = s.u32();
  }

  shared_rings& rings_;
  wire::basic_ring_writer<wire::ring_words> out_;
  wire::basic_ring_reader<wire::ring_words> in_;
  frame body_;  ///< what is left of the one it is saying
  std::size_t last_ = 0, last_bytes_ = 0;
  std::deque<strike> looks_;
};

}  // namespace kfx::fuzz
