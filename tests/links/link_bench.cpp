// SPDX-License-Identifier: BSD-2-Clause
#include "links/link_bench.hpp"

#include <sys/mman.h>

#include <bit>
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "wire/make_link.hpp"

namespace kfx::test {

std::uint64_t seed_for(const char* what) {
  const char* set = std::getenv("KFX_TEST_SEED");
  const std::uint64_t seed = set ? std::strtoull(set, nullptr, 0) : std::random_device{}();
  std::printf("%s: KFX_TEST_SEED=%llu\n", what, static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  return seed;
}

std::size_t random_size(rng& r, std::size_t most) {
  const std::size_t top = std::size_t{1} << (r() % (std::bit_width(most) + 1));
  return std::min<std::size_t>(r() % top, most);
}

bytes random_bytes(rng& r, std::size_t size) {
  bytes b((size + 7) & ~std::size_t{7});
  for (std::size_t i = 0; i < b.size(); i += 8) {
    const std::uint64_t word = r();
    std::memcpy(b.data() + i, &word, 8);
  }
  b.resize(size);
  return b;
}

namespace {

backend::uri parsed(const std::string& text) {
  std::string why;
  auto at = backend::uri::parse(text, &why);
  INFO(why);
  REQUIRE(at.has_value());
  return *at;
}

}  // namespace

connected::connected(const link_place& place) : context_{io_, std::string(32, 'a'), "host", "process", options_} {
  const backend::uri at = parsed(place.listen);
  backend::backend* const made_by = backend::find_backend(at.scheme);
  INFO("backend " << at.scheme);
  REQUIRE(made_by);
  auto listening =
      made_by->listen(context_, at, [this](backend::channel c) { ends_[1] = wire::make_link(std::move(c)); });
  if (auto* why = std::get_if<backend::failure>(&listening)) FAIL(why->why);
  listener_ = std::move(std::get<std::unique_ptr<backend::listener>>(listening));

  std::string address = listener_->address();
  if (!place.connect_query.empty())
    address += (address.find('?') == std::string::npos ? '?' : '&') + place.connect_query;
  std::string why;
  made_by->connect(context_, parsed(address), [&](std::variant<backend::channel, backend::failure> outcome) {
    if (auto* failed = std::get_if<backend::failure>(&outcome))
      why = failed->why;
    else
      ends_[0] = wire::make_link(std::move(std::get<backend::channel>(outcome)));
  });
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (why.empty() && !(ends_[0] && ends_[1]) && std::chrono::steady_clock::now() < deadline)
    io_.run_one_until(deadline);
  INFO(why);
  REQUIRE(ends_[0]);
  REQUIRE(ends_[1]);
}

frame random_frame(rng& r, std::size_t body) {
  const std::size_t words = 4 + r() % 6;
  frame f{random_bytes(r, words * 8), random_bytes(r, body)};
  const auto length = static_cast<std::uint32_t>(words * 8 + body);
  std::memcpy(f.head.data(), &length, sizeof length);
  f.head[4] = std::byte{16};
  f.head[5] = static_cast<std::byte>(words);
  return f;
}

pages::pages(std::size_t size, bool allocated) : size_(size) {
  if (allocated) {
    allocated_ = memory::slab::make({size, -1, false});
    data_ = allocated_->data();
    return;
  }
  void* const at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(at != MAP_FAILED);
  data_ = static_cast<std::byte*>(at);
}
pages::~pages() {
  if (!allocated_) ::munmap(data_, size_);
}
void pages::take_away() {
  // Not REQUIRE: called from threads, too.
  if (::mprotect(data_, size_, PROT_NONE) != 0) std::abort();
}

bool recorder::on_frame(const_buffer head, const_buffer body) {
  frames.push_back({bytes(head.begin(), head.end()), bytes(body.begin(), body.end())});
  return true;
}

std::span<const mutable_buffer> recorder::on_bulk(const_buffer head, std::size_t size) {
  ++bulks;
  bulk_ = {bytes(head.begin(), head.end()), {}};
  own_landing_ = !landing;
  if (!own_landing_) return landing(size);
  bulk_.body.resize(size);
  own_[0] = bulk_.body;
  return own_;
}

bool recorder::on_bulk_done() {
  ++bulks_done;
  if (own_landing_) frames.push_back(std::move(bulk_));
  return true;
}

bool side::turn(unsigned budget) {
  if (error) return false;
  error = link.flush(seen);
  if (error) return false;
  const auto got = link.poll(seen, budget);
  error = got.error;
  return got.frames > 0 || got.partial;
}

bool side::build(const frame& f) {
  const std::size_t size = f.head.size() + f.body.size();
  const auto window = link.reserve(size);
  if (window.size() < size) return false;
  std::memcpy(window.data(), f.head.data(), f.head.size());
  if (!f.body.empty()) std::memcpy(window.data() + f.head.size(), f.body.data(), f.body.size());
  link.commit(size);
  return true;
}

bool turn_until(side& a, side& b, const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!done()) {
    a.turn();
    b.turn();
    if (std::chrono::steady_clock::now() > deadline || (a.error && b.error)) return done();
  }
  return true;
}

bool turn_until(side& a, const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!done()) {
    a.turn();
    if (std::chrono::steady_clock::now() > deadline || a.error) return done();
  }
  return true;
}

}  // namespace kfx::test
