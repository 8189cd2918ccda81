// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// An LNet node inside: what its users' calls and its drivers' upcalls come down to. No lock of its own is held while
/// a driver or an event handler is called.

#include <condition_variable>
#include <mutex>
#include <span>
#include <string>
#include <thread>

#include "objects.hpp"
#include "paths.hpp"

namespace lnet {

class core {
 public:
  core(host_options, std::vector<driver_ptr>);
  ~core();

  // Users.
  int attach_md(me_handle, const memory_descriptor&, unlink_op, md_handle&);
  int unlink_me(me_handle);
  int unlink_md(md_handle);
  int clear_lazy(unsigned portal);
  int put(nid self, md_handle, ack_request, process_id target, unsigned portal, std::uint64_t match_bits,
          std::size_t offset, std::uint64_t hdr_data);
  enum class reach { anyhow, exactly };  ///< over any NI of the peer, or that one only
  int get(nid self, md_handle, process_id target, unsigned portal, std::uint64_t match_bits, std::size_t offset,
          reach = reach::anyhow, bool once = false);
  int ping(nid, std::chrono::milliseconds limit, std::vector<nid>& found);

  int net_add(const net_spec&, std::string& why);
  int net_delete(net);
  int control(net, lnet::control&);
  counters stats() const;
  void reset_stats();
  process_id id(std::size_t number) const;

  // Drivers.
  int parse(local_ni&, const arrival&);
  void finalize(msg&, int status);
  message* create_reply(local_ni&, msg& get);

  // What users reach directly.
  objects things;
  const host_options& options() const noexcept { return options_; }
  const cpt_table& cpts() const noexcept { return cpts_; }
  paths& ways() noexcept { return *paths_; }
  bool closing() const noexcept { return closing_.load(std::memory_order_acquire); }

 private:
  // Messages.
  msg* make_message();
  void free_message(msg*);
  int begin(md_handle, msg&, bool expects_answer);
  void limit(msg&);
  void limit_try(msg&);
  int send(msg&);
  int send_or_cancel(msg&);
  void transmit(msg&);
  void transmit_if_in_time(msg&);
  void send_answer(msg&);
  void complete(msg&);
  void conclude(msg&);
  void try_again(msg&);
  void settle_pair(msg&, bool again);

  // Arrivals.
  void discard(msg*);
  void discard_all(msg_queue&);
  void receive(msg&, bool delayed);
  void parse_put(msg*);
  void parse_get(msg*, bool rdma);
  void parse_ack(local_ni&, const arrival&, peer_ni&, process_id from);
  void parse_reply(msg*);

  // NIs.
  int start(const net_spec&, const interface_spec&, lnet_lnd&, std::string& why);
  void stop(local_ni&);
  lnet_lnd* driver_for(std::uint16_t kind) const;

  // Pings.
  using pinged = std::function<void(int status, const std::vector<nid>&)>;
  void offer_ping_answer();
  md_handle start_ping(nid self, nid peer, bool once, pinged);

  // What happens by itself.
  void watch();
  void poke();
  void recover();

  host_options options_;
  cpt_table cpts_;
  std::uint64_t incarnation_;
  std::vector<driver_ptr> drivers_;
  std::unique_ptr<paths> paths_;
  std::atomic<bool> closing_{false};
  std::mutex nets_mutex_;  ///< nets are added and deleted one at a time
  me_handle ping_entry_;
  rundown messages_;
  std::atomic<std::uint64_t> most_messages_{0};
  std::mutex pairs_mutex_;

  std::mutex watch_mutex_;
  std::condition_variable wake_;
  bool stopping_ = false, poked_ = false;
  std::thread watcher_;
};

}  // namespace lnet
