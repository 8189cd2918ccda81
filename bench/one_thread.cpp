// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// Two nodes and one thread, which polls both: what an op costs both sides together, in instructions, as a
/// simulator counts them (scripts/count_instructions.sh). No clock and no waiting: every run does the same.
///
///   kfx-one-thread URI send|token|stream|write|write-allocated|pong COUNT

#include <array>
#include <cstdlib>
#include <iostream>
#include <kfx/kfx.hpp>
#include <stdexcept>
#include <string>

namespace {

using kfx::const_buffer;

struct both {
  kfx::node server, client;
  kfx::peer to_server;
  std::uint64_t arrived = 0;
  std::uint64_t returned = 0;

  explicit both(const std::string& uri)
      : server({.listen = {uri}, .progress = kfx::progress::caller}),
        client({.progress = kfx::progress::caller}),
        to_server(client.at(server.addresses().front())) {}
  void poll() {
    server.poll();
    client.poll();
  }
  template <class Op>
  void finish(Op& op) {
    while (!op.ready()) poll();
    if (!op.result()) throw std::runtime_error(op.explain());
  }
};

/// More than the first thousand, which differ.
constexpr std::uint64_t warm_up = 4096;

/// What happens in here is what is counted (scripts/count_instructions.sh knows the name).
template <class F>
[[gnu::noinline]] void counted_loop(std::uint64_t count, F& one) {
  for (std::uint64_t i = 0; i < count; ++i) one(i);
}

template <class F>
void repeat(std::uint64_t count, F one) {
  for (std::uint64_t i = 0; i < warm_up; ++i) one(i);
  counted_loop(count, one);
}

void send(both& b, std::uint64_t count) {
  const std::array<std::byte, 8> body{};
  b.server.on_message([&b](kfx::message) { ++b.arrived; });
  repeat(count, [&](std::uint64_t) {
    auto op = b.to_server.send(const_buffer(body));
    b.finish(op);
  });
}

/// A header and a payload that the receiver places.
void token(both& b, std::uint64_t count) {
  const std::array<std::byte, 72> head{};
  const std::array<std::byte, 40> body{};
  std::array<std::byte, 40> into{};
  b.server.on_message([&](kfx::message m) {
    auto placed = m.receive(kfx::mutable_buffer(into));
    b.arrived += placed.ready() ? 1 : 0;
  });
  repeat(count, [&](std::uint64_t) {
    auto op = b.to_server.send(const_buffer(head), const_buffer(body));
    b.finish(op);
  });
}

/// So many are under way at once.
void stream(both& b, std::uint64_t count) {
  constexpr std::uint64_t depth = 64;
  const std::array<std::byte, 8> body{};
  b.server.on_message([&b](kfx::message) { ++b.arrived; });
  std::array<kfx::op<kfx::done>, depth> ops;
  repeat(count, [&](std::uint64_t i) {
    kfx::op<kfx::done>& op = ops[i % depth];
    if (op.valid()) b.finish(op);
    op = b.to_server.send(const_buffer(body));
  });
  for (auto& op : ops)
    if (op.valid()) b.finish(op);
}

void write(both& b, bool allocated, std::uint64_t count) {
  const std::array<std::byte, 8> body{};
  std::array<std::byte, 64> plain{};
  kfx::buffer mapped = b.server.allocate(4096);
  auto region = allocated ? b.server.share(mapped, kfx::access::read_write)
                          : b.server.share(kfx::mutable_buffer(plain), kfx::access::read_write);
  const kfx::remote_region to = region.token();
  repeat(count, [&](std::uint64_t) {
    auto op = b.to_server.write(const_buffer(body), to.at(0, body.size()));
    b.finish(op);
  });
}

/// The other side answers each message with one of its own, in its handler.
void pong(both& b, std::uint64_t count) {
  const std::array<std::byte, 8> body{};
  kfx::peer back;
  b.server.on_message([&](kfx::message m) {
    if (!back.valid()) back = m.from();
    m.let_go();
    back.send(const_buffer(body)).detach();
  });
  b.client.on_message([&](kfx::message) { ++b.returned; });
  repeat(count, [&](std::uint64_t) {
    const std::uint64_t before = b.returned;
    b.to_server.send(const_buffer(body)).detach();
    while (b.returned == before) b.poll();
  });
}

int run(const std::string& uri, const std::string& what, std::uint64_t count) {
  both b(uri);
  if (what == "send")
    send(b, count);
  else if (what == "token")
    token(b, count);
  else if (what == "stream")
    stream(b, count);
  else if (what == "write" || what == "write-allocated")
    write(b, what == "write-allocated", count);
  else if (what == "pong")
    pong(b, count);
  else
    throw std::runtime_error("there is no \"" + what +
                             "\"; there are send, token, stream, write, write-allocated, pong");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc == 4) return run(argv[1], argv[2], std::stoull(argv[3]));
    std::cerr << "usage: kfx-one-thread URI send|token|stream|write|write-allocated|pong COUNT\n";
  } catch (const std::exception& e) {
    std::cerr << "kfx-one-thread: " << e.what() << '\n';
  }
  return 2;
}
