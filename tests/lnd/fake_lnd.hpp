// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A driver for tests, and the net in memory that joins the hosts which have one: each message meets the fate that the
/// test decides on. It watches what both sides owe each other.

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_map>

#include "host.hpp"

namespace lnd_test {

/// What becomes of a message that is sent.
struct fate {
  enum kind { deliver, refuse, fail, lose } what = deliver;  ///< refuse: by lnd_send itself; lose: and say it is sent
  lnet::health_status health = lnet::health_status::ok;
  int status = -5;
  bool hold = false;  ///< it is finalized once the test says so
};

class fake_net {
 public:
  using judge = std::function<fate(const lnet::ni&, const lnet::header&)>;

  /// `threads` 0: things move in pump() only. The judge is called on any thread.
  explicit fake_net(unsigned threads, judge = {});
  ~fake_net();

  /// A driver for one host, for nets of that kind; interfaces are named by their addresses.
  lnet::driver_ptr driver(lnet::net_kind kind = lnet::kind_tcp);
  void set_judge(judge);
  /// Until nothing moves; how many steps that took.
  std::size_t pump();
  bool pump_one();
  /// Finalizes what was held, in order; how many.
  std::size_t release();
  std::size_t held() const;
  /// lnet_parse at that NI, of anything; whether lnd_recv came is watched as ever.
  int inject(lnet::nid at, const lnet::header&, lnet::nid from, std::vector<std::byte> payload = {});
  /// Tells the host at that NI of a peer.
  void tell(lnet::nid at, lnet::nid peer, bool alive);

  bool rdma = false;                         ///< GETs are answered by the driver; set before there is traffic
  bool late_receive = false;                 ///< what was received is finalized by another step
  bool shuffle = false;                      ///< steps are taken in any order
  unsigned credits = 0, peer_credits = 0;    ///< 0: as LNet says
  std::function<int(lnet::ni&)> at_startup;  ///< when the NI has its address

  struct seen {
    std::uint64_t sent = 0, parsed = 0, received = 0, discarded = 0, delayed = 0, eager = 0, peers_down = 0;
    std::map<lnet::msg_type, std::uint64_t> types;
  };
  seen counts() const;
  /// Sentences about what somebody owed and did not do, or did twice.
  std::vector<std::string> violations() const;

  class lnd;

 private:
  struct end;
  struct packet;
  struct step {
    std::shared_ptr<end> who;
    std::function<void(bool aborted)> run;
  };

  void post(std::shared_ptr<end>, std::function<void(bool)>);
  bool take(std::unique_lock<std::mutex>&, const end* only);
  void work();
  void complain(std::string);
  void finish(const std::shared_ptr<end>&, lnet::message&, lnet::health_status, int status);
  void carry(const std::shared_ptr<end>&, lnet::message&, fate, bool aborted);
  void arrive(const std::shared_ptr<end>&, const std::shared_ptr<packet>&);
  int parse(const std::shared_ptr<end>&, const std::shared_ptr<packet>&);
  void answer(const std::shared_ptr<packet>&, lnet::message* source, int status, lnet::health_status);

  mutable std::mutex mutex_;
  std::condition_variable moved_;
  judge judge_;
  std::map<lnet::nid, std::shared_ptr<end>> ends_;
  std::deque<step> steps_;
  std::deque<step> held_;
  std::unordered_map<packet*, std::shared_ptr<packet>> parsed_;  ///< wait for their lnd_recv
  seen seen_;
  std::vector<std::string> violations_;
  bool closing_ = false;
  std::uint64_t random_ = 1;
  std::vector<std::thread> threads_;
};

}  // namespace lnd_test
