// SPDX-License-Identifier: BSD-2-Clause
#include "suite.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>

#include "kfxlnd.hpp"

namespace lnd_test {

namespace {

/// Nobody listens there, at any of the addresses that tests use.
bool is_free(unsigned port) {
  for (unsigned host = 1; host <= 6; ++host) {
    const int s = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int yes = 1;
    ::setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(static_cast<std::uint16_t>(port));
    at.sin_addr.s_addr = htonl(0x7f000000u | host);
    const bool bound = ::bind(s, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0;
    ::close(s);
    if (!bound) return false;
  }
  return true;
}

}  // namespace

std::string uri_pattern() {
  const char* given = std::getenv("KFX_LND_URI");
  std::string pattern = given ? given : "loop://lnd-#-%a";
  static std::atomic<unsigned> used{0};
  unsigned n = static_cast<unsigned>(::getpid()) * 64 + used++;
  // A place nobody has used: a name, or a port that is not one of those the system hands out.
  const bool port = pattern.find(":#") != std::string::npos;
  while (port && !is_free(10000 + n % 22000)) n += 7;
  const std::string unique = port ? std::to_string(10000 + n % 22000) : std::to_string(n);
  for (auto at = pattern.find('#'); at != std::string::npos; at = pattern.find('#')) pattern.replace(at, 1, unique);
  return pattern;
}

std::size_t rounds(std::size_t normal) {
  const char* text = std::getenv("KFX_TEST_ROUNDS");
  const std::size_t n = text ? std::strtoull(text, nullptr, 10) : 0;
  return n != 0 ? std::min(n, normal) : normal;
}

std::uint64_t seed() {
  static const std::uint64_t value = [] {
    const char* text = std::getenv("KFX_TEST_SEED");
    return text ? std::strtoull(text, nullptr, 10) : std::random_device{}();
  }();
  return value;
}

lnet::nid nid_of(unsigned number, unsigned net) {
  return {0x7f000000u | number, {lnet::kind_kfx, static_cast<std::uint16_t>(net)}};
}

namespace {

lnet::host_options with(lnet::host_options o, const std::string& uri, const std::string& networks) {
  o.networks = networks;
  o.tunables.try_emplace("uri", uri);
  return o;
}

std::vector<lnet::driver_ptr> drivers() {
  std::vector<lnet::driver_ptr> list;
  list.push_back(kfxlnd::make_driver());
  return list;
}

}  // namespace

endpoint::endpoint(const std::string& uri, unsigned number, lnet::host_options o)
    : endpoint(uri, "kfx(" + lnet::address_text(nid_of(number)) + ")", std::move(o)) {}

endpoint::endpoint(const std::string& uri, const std::string& networks, lnet::host_options o)
    : events(std::make_shared<lnet::event_queue>()),
      host(std::make_unique<lnet::host>(with(std::move(o), uri, networks), drivers())) {}

event endpoint::next() {
  const auto e = events->poll(patience);
  if (!e) FAIL("no event came");
  return *e;
}

event endpoint::next(event_type type) {
  for (;;) {
    const event e = next();
    if (e.type == type) return e;
  }
}

bool endpoint::quiet(std::chrono::milliseconds time) { return !events->poll(time); }

pieces::pieces(std::mt19937_64& rng, std::size_t bytes, std::size_t most) : memory_(bytes + 64 * most) {
  const std::size_t n = std::uniform_int_distribution<std::size_t>(1, most)(rng);
  std::vector<std::size_t> cuts(n - 1);
  for (std::size_t& c : cuts) c = std::uniform_int_distribution<std::size_t>(0, bytes)(rng);
  cuts.push_back(bytes);
  std::sort(cuts.begin(), cuts.end());
  std::size_t at = rng() % 8, before = 0;
  for (const std::size_t c : cuts) {
    list.push_back({memory_.data() + at, c - before});
    at += c - before + rng() % 56;
    before = c;
  }
  // Neighbours in the list are not neighbours in memory.
  std::shuffle(list.begin(), list.end(), rng);
}

std::vector<std::byte> pieces::flat() const {
  std::vector<std::byte> all;
  for (const lnet::fragment f : list) all.insert(all.end(), f.begin(), f.end());
  return all;
}

void pieces::fill(const std::vector<std::byte>& bytes) {
  std::size_t at = 0;
  for (const lnet::fragment f : list) {
    const std::size_t n = std::min(f.size(), bytes.size() - at);
    if (n != 0) std::memcpy(f.data(), bytes.data() + at, n);
    at += n;
  }
}

std::vector<std::byte> noise(std::mt19937_64& rng, std::size_t bytes) {
  std::vector<std::byte> all(bytes);
  std::generate(all.begin(), all.end(), [&] { return static_cast<std::byte>(rng()); });
  return all;
}

lnet::fragment_list list_of(std::vector<std::byte>& memory) { return {lnet::fragment(memory)}; }

target attach_md(endpoint& at, unsigned portal, const lnet::fragment_list& memory, unsigned options, int threshold,
                 std::uint64_t bits, std::uint64_t ignore) {
  target t;
  REQUIRE(at.host->me_attach(portal, {}, bits, ignore, lnet::unlink_op::unlink, lnet::insert_position::after, t.me) ==
          0);
  REQUIRE(at.host->md_attach(t.me, {memory, threshold, 0, options, nullptr, at.events}, lnet::unlink_op::unlink,
                             t.md) == 0);
  return t;
}

lnet::md_handle bind_md(endpoint& at, const lnet::fragment_list& memory, int threshold, unsigned options) {
  lnet::md_handle md;
  REQUIRE(at.host->md_bind({memory, threshold, 0, options, nullptr, at.events}, lnet::unlink_op::unlink, md) == 0);
  return md;
}

}  // namespace lnd_test
