// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The same work as bench/raw_socket.hpp, done over kfx.

#include <kfx/kfx.hpp>
#include <string>

namespace bench {

/// The serving process: shares 64 MiB as "memory", answers a message that starts with 'p' with one of its own, and
/// ends `serve` at one that starts with 'q'.
class server {
 public:
  explicit server(kfx::progress mode, const std::string& listen);
  std::string address() const { return node_.addresses().front(); }
  void serve();

 private:
  kfx::progress mode_;
  std::vector<std::byte> memory_;
  kfx::node node_;
  kfx::region region_;
  std::atomic<bool> over_{false};
};

class client {
 public:
  client(kfx::progress mode, const std::string& address);
  double one_way(unsigned n);                        ///< ns, send to handler, half a round trip of messages
  double write_done(std::size_t bytes, unsigned n);  ///< ns, submission to completion
  double send_done(std::size_t bytes, unsigned n);
  double writes(std::size_t bytes, unsigned depth, unsigned n);  ///< bytes per ns
  double reads(std::size_t bytes, unsigned depth, unsigned n);
  double sends(unsigned depth, unsigned n);  ///< messages of 8 bytes per µs
  void quit();

 private:
  template <class Start>
  double pipeline(unsigned depth, unsigned n, Start start);

  kfx::progress mode_;
  kfx::node node_;
  kfx::peer peer_;
  kfx::remote_region memory_;
  std::vector<std::byte> buffer_;
  std::atomic<unsigned> left_{0};  ///< pongs
};

}  // namespace bench
