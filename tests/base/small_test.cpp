// SPDX-License-Identifier: BSD-2-Clause
// Errors, tokens, identities, the registry.
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <set>
#include <thread>

#include "base/host_id.hpp"
#include "base/random.hpp"
#include "kfx/backend/backend.hpp"
#include "kfx/error.hpp"
#include "kfx/info.hpp"
#include "kfx/remote_region.hpp"
#include "seed.hpp"

using kfx::errc;
using kfx::remote_region;

TEST_CASE("every error has a sentence of its own with cause and remedy", "[error]") {
  std::set<std::string> seen;
  for (int value = 1; value <= static_cast<int>(errc::idle_closed); ++value) {
    const std::error_code e(value, kfx::error_category());
    INFO(value << ": " << e.message());
    CHECK_THAT(e.message(), Catch::Contains(": ") && !Catch::Contains("unknown kfx"));
    CHECK(seen.insert(e.message()).second);
  }
  // From a newer peer, perhaps.
  for (int value : {-1, 0, static_cast<int>(errc::idle_closed) + 1, 1 << 30})
    CHECK_THAT(std::error_code(value, kfx::error_category()).message(), Catch::Contains("unknown"));
  CHECK(std::string(kfx::error_category().name()) == "kfx");
}

TEST_CASE("general kinds of errors compare equal to the standard's", "[error]") {
  CHECK(make_error_code(errc::timed_out) == std::errc::timed_out);
  CHECK(make_error_code(errc::cancelled) == std::errc::operation_canceled);
  CHECK(make_error_code(errc::address_in_use) == std::errc::address_in_use);
  CHECK(make_error_code(errc::timed_out) != std::errc::operation_canceled);
  CHECK(make_error_code(errc::dropped) == std::error_code(errc::dropped));
  const kfx::error thrown(errc::bad_uri, "the sentence");
  CHECK(std::string(thrown.what()) == "the sentence");
  CHECK(thrown.code() == errc::bad_uri);
}

TEST_CASE("a token's bytes are where the format says", "[token]") {
  const remote_region t(remote_region::fields{0x0807060504030201, 0x100f0e0d0c0b0a09, 0x1817161514131211,
                                              0x201f1e1d1c1b1a19, 0x24232221, 0x2625, 0x000f});
  const auto bytes = t.encode();
  for (std::size_t i = 0; i < 38; ++i) CHECK(std::to_integer<std::size_t>(bytes[i]) == i + 1);
  CHECK(bytes[38] == std::byte{15});
  CHECK(bytes[39] == std::byte{0});
  CHECK(remote_region::decode(bytes).value() == t);
  CHECK(t.readable());
  CHECK(t.writable());
  CHECK(t.single_use());
  CHECK(t.persistent());
}

TEST_CASE("bytes that are no token are refused", "[token]") {
  const remote_region::fields fields{1, 2, 3, 4, 5, 6, 1};
  auto refused = [](std::span<const std::byte> bytes) {
    const auto t = remote_region::decode(bytes);
    return t.has_error() && t.error() == errc::protocol_error;
  };
  const auto bytes = remote_region(fields).encode();
  CHECK_FALSE(refused(bytes));
  CHECK(refused({}));
  CHECK(refused(std::span(bytes).first(39)));
  std::vector<std::byte> longer(bytes.begin(), bytes.end());
  longer.push_back({});
  CHECK(refused(longer));
  auto changed = [&](auto change) {
    remote_region::fields f = fields;
    change(f);
    return remote_region(f).encode();
  };
  CHECK(refused(changed([](auto& f) { f.flags = 16; })));
  CHECK(refused(changed([](auto& f) { f.flags = 0x8001; })));
  CHECK(refused(changed([](auto& f) { f.offset = ~0ull; })));
  CHECK(refused(changed([](auto& f) { f.length = ~0ull; })));
  CHECK(refused(changed([](auto& f) { f.key = 0; })));
  CHECK(remote_region::decode(remote_region().encode()).value() == remote_region());
}

TEST_CASE("slices of a token", "[token]") {
  const remote_region t(remote_region::fields{1, 2, 1000, 100, 0, 0, 3});
  CHECK(t.at(0) == t);
  CHECK(t.at(0, 100) == t);
  CHECK(t.at(40).raw().offset == 1040);
  CHECK(t.at(40).length() == 60);
  CHECK(t.at(40, 10).length() == 10);
  CHECK(t.at(40, 10).at(5, 5).raw().offset == 1045);
  CHECK(t.at(100).length() == 0);
  CHECK(t.at(100).raw().offset == 1100);
  CHECK(t.at(100, 0).raw().offset == 1100);
  CHECK(t.at(40).raw().key == 1);
  CHECK(t.at(40).writable());
  for (const remote_region& outside : {t.at(101), t.at(0, 101), t.at(100, 1), t.at(~0ull), t.at(~0ull, 0), t.at(101, 0),
                                       t.at(1, ~0ull - 1), t.at(40, 10).at(0, 11)}) {
    CHECK(outside.length() == 0);
    // No region reaches there, so the owner refuses even an empty access.
    CHECK(outside.raw().offset == ~0ull);
    CHECK(outside.at(0) == outside);
    CHECK(outside.at(0, 0) == outside);
    CHECK(outside.at(5) == outside);
    CHECK(remote_region::decode(outside.encode()).value() == outside);
  }
}

TEST_CASE("a slice never reaches outside its token", "[token][random]") {
  const std::uint64_t seed = kfx_test::seed("token slices");
  kfx_test::rng r(seed);
  INFO("KFX_TEST_SEED=" << seed);
  int inside = 0;
  for (int i = 0; i < 100000; ++i) {
    const std::uint64_t start = kfx_test::log_uniform(r, 64);
    const std::uint64_t length = kfx_test::log_uniform(r, 64);
    const remote_region t(remote_region::fields{1, 2, start, length, 0, 0, 1});
    const std::uint64_t offset = kfx_test::log_uniform(r, 64), part = kfx_test::log_uniform(r, 64);
    const auto slice = t.at(offset, part);
    __extension__ typedef unsigned __int128 wide;  // no overflow to reason about
    const bool fits = wide{offset} + part <= length && wide{start} + offset + part <= ~0ull;
    INFO(start << "+" << length << " at " << offset << "+" << part);
    if (slice.raw().offset != ~0ull) {
      ++inside;
      REQUIRE(fits);
      REQUIRE(slice.raw().offset == start + offset);
      REQUIRE(slice.length() == part);
    } else {
      REQUIRE(slice.length() == 0);
    }
  }
  CHECK(inside > 1000);
}

TEST_CASE("random numbers and ids do not repeat", "[random]") {
  std::set<std::uint64_t> numbers;
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) {
    numbers.insert(kfx::base::random_u64());
    ids.insert(kfx::base::random_id());
  }
  CHECK(numbers.size() == 1000);
  CHECK(numbers.count(0) == 0);
  CHECK(ids.size() == 1000);
  CHECK(ids.begin()->size() == 32);
  CHECK(ids.begin()->find_first_not_of("0123456789abcdef") == std::string::npos);
}

TEST_CASE("a host has one id, each process its own", "[host_id]") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const std::string mine = kfx::base::host_id() + " " + kfx::base::process_id();
  CHECK(mine == kfx::base::host_id() + " " + kfx::base::process_id());
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const std::string theirs = kfx::base::host_id() + " " + kfx::base::process_id();
    ::_exit(::write(ends[1], theirs.data(), theirs.size()) == static_cast<ssize_t>(theirs.size()) ? 0 : 1);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
  char buffer[256];
  const ssize_t n = ::read(ends[0], buffer, sizeof buffer);
  ::close(ends[0]);
  ::close(ends[1]);
  REQUIRE(n > 33);
  const std::string theirs(buffer, static_cast<std::size_t>(n));
  CHECK(kfx::base::host_id().size() == 32);
  CHECK(theirs.substr(0, 33) == mine.substr(0, 33));
  CHECK(theirs.substr(33) != mine.substr(33));
}

namespace {

class fake_backend : public kfx::backend::backend {
 public:
  fake_backend(std::string name, int rank, std::string missing = {}) : name_(name), rank_(rank), missing_(missing) {}
  std::string_view name() const noexcept override { return name_; }
  int rank() const noexcept override { return rank_; }
  bool available(std::string* why) const override {
    if (why) *why = missing_;
    return missing_.empty();
  }
  void connect(kfx::backend::context&, const kfx::backend::uri&, kfx::backend::on_connected) override {}
  std::variant<std::unique_ptr<kfx::backend::listener>, kfx::backend::failure> listen(
      kfx::backend::context&, const kfx::backend::uri&, kfx::backend::on_accepted) override {
    return kfx::backend::failure{};
  }
  std::string offer(kfx::backend::context&) override { return {}; }
  std::variant<kfx::backend::uri, kfx::backend::failure> reach(kfx::backend::context&, const peer_identity&,
                                                               std::string_view) override {
    return kfx::backend::failure{};
  }

 private:
  std::string name_;
  int rank_;
  std::string missing_;
};

}  // namespace

TEST_CASE("backends are found by name and listed best first", "[registry]") {
  using namespace kfx::backend;
  CHECK(find_backend("slow") == nullptr);
  // Both at once, and twice each: one of a name wins, whichever thread it comes from.
  std::atomic<int> taken{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&taken, i] {
      taken += register_backend(std::make_unique<fake_backend>(i % 2 ? "slow" : "fast", i % 2 ? 1 : 99));
      (void)find_backend("fast");
    });
  for (auto& t : threads) t.join();
  CHECK(taken == 2);
  CHECK(register_backend(std::make_unique<fake_backend>("broken", 50, "a library is missing")));
  CHECK_FALSE(register_backend(nullptr));
  REQUIRE(find_backend("fast"));
  CHECK(find_backend("fast")->rank() == 99);
  CHECK(find_backend("") == nullptr);

  const auto list = kfx::backends();
  REQUIRE(list.size() == 3);
  CHECK(list[0].name == "fast");
  CHECK(list[0].available);
  CHECK(list[0].why.empty());
  CHECK(list[1].name == "broken");
  CHECK_FALSE(list[1].available);
  CHECK(list[1].why == "a library is missing");
  CHECK(list[2].name == "slow");
}

TEST_CASE("a shared object that is no backend is refused with a reason", "[registry]") {
  std::string why;
  auto r = kfx::backend::load_backend("/nonexistent/backend.so", &why);
  REQUIRE(r.has_error());
  CHECK(r.error() == errc::no_backend);
  CHECK_THAT(why, Catch::Contains("/nonexistent/backend.so"));
  why.clear();
  r = kfx::backend::load_backend("libc.so.6", &why);
  REQUIRE(r.has_error());
  CHECK_THAT(why, Catch::Contains("kfx_backend_create"));
  CHECK(kfx::backend::load_backend("libc.so.6", nullptr).has_error());
}

TEST_CASE("the version is that of the project", "[info]") { CHECK(std::string(kfx::version()) == KFX_TEST_VERSION); }
