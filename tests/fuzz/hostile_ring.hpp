// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The memory that a link over rings shares with its peer, the peer's end of it raw. What the link reads in there can
/// change from one load to the next: the compiler calls a function before each load (clang's trace-loads), and that is
/// where the peer strikes.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <new>
#include <utility>

#include "base/completions.hpp"
#include "kfx/backend/ring_pair.hpp"
#include "script.hpp"

namespace kfx::fuzz {

/// All of it is of its exact size and goes when the link unmaps it: a sanitizer sees what is touched beyond or after.
struct shared_rings {
  struct alignas(64) line {
    std::byte bytes[64]{};
  };
  struct alignas(64) words {
    std::uint64_t count = 0;
    std::uint32_t wants = 0;
  };

  explicit shared_rings(std::size_t bytes)
      : size(bytes),
        in(std::make_unique<line[]>(bytes / 64)),
        out(std::make_unique<line[]>(bytes / 64)),
        own(std::make_unique<words>()),
        peer(std::make_unique<words>()) {}
  void unmap() {
    in.reset();
    out.reset();
    own.reset();
    peer.reset();
  }
  bool mapped() const noexcept { return in != nullptr; }
  std::span<std::byte> in_bytes() const noexcept { return {in[0].bytes, size}; }
  std::span<std::byte> out_bytes() const noexcept { return {out[0].bytes, size}; }

  const std::size_t size;
  std::unique_ptr<line[]> in;   ///< the peer writes it
  std::unique_ptr<line[]> out;  ///< the link writes it
  std::unique_ptr<words> own;   ///< the link's count, and what it sleeps for
  std::unique_ptr<words> peer;  ///< the peer's
};

/// What the peer stores while the link looks.
struct strike {
  std::uint32_t loads = 0;  ///< of the peer's memory, until then
  std::int32_t offset = 0;  ///< from the byte that is loaded then
  std::uint8_t bytes = 0;   ///< of `value`; 0: the count of what the peer read
  std::uint64_t value = 0;
};

/// Before each load. One at a time; armed while the link runs and the sink does not.
class load_trap {
 public:
  shared_rings* rings = nullptr;
  std::deque<strike> strikes;
  std::uint64_t loads = 0;  ///< since the link was called
  std::uint64_t most = 0;   ///< more would be a link that does not come back
  bool armed = false;
  bool struck = false;  ///< some strike was carried out, ever

  __attribute__((no_sanitize("coverage"))) void before(const void* p) noexcept {
    if (!armed || !rings->mapped()) return;
    const auto* at = static_cast<const std::byte*>(p);
    const auto in = reinterpret_cast<std::uintptr_t>(rings->in[0].bytes);
    const std::uintptr_t offset = reinterpret_cast<std::uintptr_t>(at) - in;
    if (offset >= rings->size && p != &rings->peer->count) return;
    require(++loads <= most);
    if (strikes.empty() || strikes.front().loads-- != 0) return;
    armed = false;
    const strike s = strikes.front();
    strikes.pop_front();
    carry_out(s, offset < rings->size ? offset : 0);
    armed = true;
  }
  void carry_out(const strike& s, std::size_t offset) noexcept {
    struck = true;
    if (s.bytes == 0) {
      rings->peer->count = s.value;
      return;
    }
    const std::size_t to = (offset + static_cast<std::size_t>(s.offset)) % rings->size;
    const std::size_t n = std::min<std::size_t>({s.bytes, sizeof s.value, rings->size - to});
    std::memcpy(rings->in_bytes().data() + to, &s.value, n);
  }
};
inline load_trap trap;

/// The link runs.
class in_link {
 public:
  explicit in_link(std::uint64_t most_loads) {
    trap.loads = 0;
    trap.most = most_loads;
    trap.armed = true;
  }
  ~in_link() { trap.armed = false; }
};
/// The sink does, called by the link.
class out_of_link {
 public:
  out_of_link() : was_(std::exchange(trap.armed, false)) {}
  ~out_of_link() { trap.armed = was_; }

 private:
  bool was_;
};

/// One-sided access in which all ends at the next report.
class ending_memory final : public backend::ring_memory {
 public:
  const backend::memory_caps& caps() const noexcept override { return caps_; }
  result<backend::direct_key> share(std::span<const mutable_buffer>, access, backend::sharing) override {
    return make_error_code(errc::not_supported);
  }
  void withdraw(backend::direct_key) override {}
  backend::started put(backend::direct_key, std::uint64_t, std::span<const const_buffer>, backend::cookie id) override {
    flush(id);
    return backend::started::under_way;
  }
  backend::started get(backend::direct_key, std::uint64_t, std::span<const mutable_buffer>,
                       backend::cookie id) override {
    flush(id);
    return backend::started::under_way;
  }
  bool flush(backend::cookie id) override {
    if (ended.prepare()) ended.push(id);
    return true;
  }
  void report(backend::frame_sink& sink) override {
    ended.drain([&](backend::cookie id, std::error_code error) { sink.on_direct(id, error); });
  }
  bool idle() const noexcept override { return ended.empty(); }
  void forget(backend::cookie id) noexcept override { ended.forget(id); }

  base::completions ended;

 private:
  backend::memory_caps caps_;
};

class hostile_pair final : public backend::ring_pair {
 public:
  hostile_pair(shared_rings& rings, const bool& gone, unsigned& woken) : rings_(rings), gone_(gone), woken_(woken) {
    memory_ = {rings.out_bytes(), &rings.peer->count, rings.in_bytes(),
               &rings.own->count, &rings.own->wants,  &rings.peer->wants};
  }
  const memory& map() const noexcept override { return memory_; }
  void wake() noexcept override {
    require(rings_.mapped());
    ++woken_;
  }
  int native_handle() const noexcept override { return handle; }
  bool awake() noexcept override { return !gone_; }
  backend::ring_memory* direct() noexcept override { return &direct_; }
  void close() noexcept override {
    direct_.ended.clear();
    memory_ = {};
    rings_.unmap();
  }
  std::string describe() const override { return "hostile"; }

  static constexpr int handle = 1'000'000;

 private:
  shared_rings& rings_;
  const bool& gone_;
  unsigned& woken_;
  memory memory_;
  ending_memory direct_;
};

}  // namespace kfx::fuzz
