// SPDX-License-Identifier: BSD-2-Clause
// What an Asio handler got for success had a value and was not equal to an empty error code: `ec.value() == 0` and
// `ec == error_code()`, which much code is written with, took success for failure.

#include <array>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <catch2/catch.hpp>
#include <future>

#include "memory_server.hpp"

using namespace std::chrono_literals;
using namespace kfx;
using boost::system::error_code;

namespace {

/// What a handler is called with. Its future gives up after a while.
struct caught {
  std::promise<error_code> promise;
  auto handler() {
    return [this](error_code e, auto) { promise.set_value(e); };
  }
  error_code code() {
    auto f = promise.get_future();
    REQUIRE(f.wait_for(20s) == std::future_status::ready);
    return f.get();
  }
};

}  // namespace

TEST_CASE("a handler's success is an empty error code") {
  memory_server m(64);
  const remote_region remote = m.open();
  const std::vector<std::byte> bytes(64);
  caught write, open;
  m.peer.write(const_buffer(bytes), remote, {}, write.handler());
  m.peer.open("memory", {}, open.handler());
  for (caught* c : {&write, &open}) {
    const error_code e = c->code();
    CHECK_FALSE(e);
    CHECK(e == error_code());
    CHECK(e.value() == 0);
    CHECK(e.category() == boost::system::system_category());
  }
}

TEST_CASE("a handler's failure compares with kfx's codes and the general ones") {
  memory_server m(64);
  caught missing;
  m.peer.open("nothing", {}, missing.handler());
  const error_code none = missing.code();
  CHECK(none);
  CHECK(none == errc::not_found);
  CHECK(none != errc::cancelled);
  CHECK(none.value() != 0);

  message kept;
  std::promise<void> arrived;
  m.server.on_message([&](message msg) {
    kept = std::move(msg);
    arrived.set_value();
  });
  boost::asio::cancellation_signal stop;
  caught cancelled;
  const std::array<std::byte, 8> header{};
  m.peer.send(header, {}, {}, boost::asio::bind_cancellation_slot(stop.slot(), cancelled.handler()));
  REQUIRE(arrived.get_future().wait_for(20s) == std::future_status::ready);
  stop.emit(boost::asio::cancellation_type::terminal);
  const error_code e = cancelled.code();
  CHECK(e == errc::cancelled);
  CHECK(e == std::errc::operation_canceled);
  CHECK(e == boost::system::errc::operation_canceled);
}
