// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A server that shares memory, and a client that knows it.

#include <cstddef>
#include <vector>

#include "kfx/kfx.hpp"

struct memory_server {
  explicit memory_server(std::size_t bytes) : memory(bytes) { server.publish("memory", shared); }

  std::vector<std::byte> memory;
  kfx::node server{{.listen = {"tcp://127.0.0.1:0"}}};
  kfx::region shared = server.share(kfx::mutable_buffer(memory), kfx::access::read_write);
  kfx::node client;
  kfx::peer peer = client.at(server.addresses().front());
  /// What the client may use of it. Throws when it cannot be had.
  kfx::remote_region open() const { return peer.open("memory").complete(std::chrono::seconds(20)).value(); }
};
