// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// Two nodes that call each other, for counting system calls from outside (scripts/count_syscalls.sh).
///
///     conformance-ping-pong URI COUNT [threads|caller]

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>

#include "kfx/kfx.hpp"

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: conformance-ping-pong URI COUNT [threads|caller]\n");
    return 2;
  }
  const std::string listen = argv[1];
  const unsigned long count = std::strtoul(argv[2], nullptr, 10);
  const auto mode = argc > 3 && std::string_view(argv[3]) == "caller" ? kfx::progress::caller : kfx::progress::threads;
  kfx::node server({.listen = {listen}, .progress = mode});
  kfx::node client({.progress = mode});
  server.on_message([](kfx::message m) { m.reply(m.header()); });
  std::thread runner;
  if (mode == kfx::progress::caller) runner = std::thread([&] { server.run(); });
  std::string uri;
  for (const std::string& a : server.addresses())
    if (a.starts_with(listen.substr(0, listen.find("://")))) uri = a;
  const kfx::peer peer = client.at(uri);
  const std::array<std::byte, 16> ping{};
  std::array<std::byte, 16> pong{};
  int status = 0;
  for (unsigned long i = 0; i < count + 10 && status == 0; ++i) {
    auto call = peer.send(ping, {}, {.reply = pong});
    if (!call.complete(std::chrono::seconds(30))) {
      std::fprintf(stderr, "call %lu: %s\n", i, call.explain().c_str());
      status = 1;
    }
  }
  server.stop();
  if (runner.joinable()) runner.join();
  return status;
}
