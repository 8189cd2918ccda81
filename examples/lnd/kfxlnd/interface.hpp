// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// One NI of this driver: a kfx node, and what goes over it.

#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "frame.hpp"
#include "kfx/kfx.hpp"
#include "lnd.hpp"

namespace kfxlnd {

struct parameters {
  std::string uri = "kfx://%a:988";
  std::chrono::seconds timeout{50};
  std::size_t min_rdma = 4096;
  /// 0 or -EINVAL.
  int read(const lnet::ni&);
};

class interface final : public lnet::ni_data {
 public:
  /// Throws kfx::error. Messages come from `listen` on.
  interface(lnet::ni&, parameters);
  void listen() { node_.listen(uri_of_own()); }

  int send(lnet::message&);
  int receive(void* cookie, lnet::message*, std::span<const lnet::fragment> to);
  std::vector<std::string> describe_peers();
  /// How many sessions there were.
  std::size_t close(lnet::nid);

 private:
  struct received;  ///< what LNet's cookies point to
  struct sent;
  void arrived(kfx::message&&);
  void changed(const kfx::peer&, kfx::peer_event);
  int send_get(const kfx::peer&, std::unique_ptr<sent>);
  int answer_get(std::unique_ptr<received>, lnet::message*);
  kfx::peer peer_of(lnet::nid);
  std::string uri_of_own() const;
  kfx::deadline deadline_of(const lnet::message&) const;

  lnet::ni& ni_;
  const parameters parameters_;
  std::mutex mutex_;
  struct known {
    kfx::peer peer;
    bool named = false;  ///< by us: it can be connected to; else it came
  };
  std::unordered_map<lnet::nid, known> peers_;  ///< to send to
  kfx::node node_;                              ///< last: its end waits for what uses the rest
};

}  // namespace kfxlnd
