// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The ways out of this host: its NIs, its peers and theirs, with their credits, health and counters. One lock.
///
/// Health is 0 to 1000. A failure costs `health_sensitivity`: of our NI, of the peer's, or of both, as the driver says.
/// Every message that was sent gives as much back to both, every one that came to both too.

#include <array>
#include <functional>
#include <list>
#include <mutex>
#include <unordered_map>

#include "message.hpp"
#include "rundown.hpp"

namespace lnet {

inline constexpr int full_health = 1000;
inline constexpr std::size_t health_statuses = static_cast<std::size_t>(health_status::network_timeout) + 1;

/// Counters, cheap to bump.
struct tally {
  std::uint64_t sent = 0, received = 0, dropped = 0, routed = 0;
  std::uint64_t sent_bytes = 0, received_bytes = 0, dropped_bytes = 0;
  std::uint64_t errors = 0, resends = 0, timeouts = 0;
  std::array<std::uint64_t, health_statuses> ended{};
  void add_to(counters&) const;
};

/// What a driver calls lnet_parse with.
struct arrival {
  header hdr{};
  nid from{};
  void* cookie = nullptr;
  bool rdma = false;
};

struct peer_ni;

struct local_ni final : ni {
  lnet_lnd* driver = nullptr;
  bool starting = true;  ///< what arrives waits
  std::vector<arrival> early;
  bool up = false;  ///< may be sent over
  int health = full_health;
  int credits = 0, least_credits = 0;
  msg_queue waiting;  ///< for a credit; they have the peer's
  tally stats;
  std::uint64_t chosen = 0;
  rundown calls;  ///< of its driver, other than from within its upcalls; and what waits for an MD
  bool recovering = false;
};

struct peer {
  nid primary{};
  std::vector<peer_ni*> nis;
};

struct peer_ni {
  lnet::nid nid{};
  peer* of = nullptr;
  bool up = true;
  int health = full_health;
  int limit = 0, credits = 0, least_credits = 0;
  msg_queue waiting;
  std::size_t queued_bytes = 0;
  tally stats;
  std::uint64_t chosen = 0;
  bool recovering = false;
};

/// Whom to ask whether somebody is well again, and who that is.
struct recovery {
  nid self = nid::any();
  nid peer{};
  local_ni* of_ni = nullptr;
  peer_ni* of_peer = nullptr;
};

class paths {
 public:
  paths(const host_options&, const cpt_table&);

  // NIs.
  /// The NI may have things arrive; nothing is sent over it until it is open.
  local_ni& add(std::unique_ptr<local_ni>);
  bool has(net) const;
  /// What arrived meanwhile. -EEXIST: another has its NID.
  int open(local_ni&, std::vector<arrival>& early);
  /// Instead of that.
  void give_up(local_ni&, std::vector<arrival>& early);
  void remove(local_ni&);
  /// Nothing is sent over it any more; what waits for its credits.
  void close(local_ni&, msg_queue& orphans);
  std::vector<local_ni*> on(net) const;
  std::vector<local_ni*> all() const;  ///< in their order, the loopback NI last

  // Peers.
  /// With `take`, from whatever peer they belonged to before; else only those that were alone.
  int join(nid primary, const std::vector<nid>& others, bool take);
  int disband(nid primary);
  void notify(local_ni&, nid, bool alive);
  std::vector<peer_info> peers() const;
  std::vector<ni_info> nis() const;

  // Sending.
  enum class way { none, go, waits };
  /// Chooses NI and peer NI, and takes their credits. `go`: the NI's `calls` was entered.
  way post(msg&);
  /// What follows from the end of a message.
  struct aftermath {
    std::array<msg*, 2> ready{};  ///< have a credit now, `calls` entered
    bool again = false;           ///< it failed so that another try may do
    peer_ni* dead = nullptr;      ///< was just taken for that
  };
  /// The driver is through with a message that was sent: counts it, gives back its credits, judges health.
  aftermath sent(msg&);
  /// A message that came, or went by RDMA, failed.
  void failed(msg&);
  void count_resend(msg&);

  // Arrivals.
  enum class admission { accepted, waits, dropped, protocol_error };
  admission admit(local_ni&, const arrival&, peer_ni*&, nid& primary);
  /// It came to nothing after all.
  void dropped(local_ni&, peer_ni*, const header&);
  void moved_by_rdma(msg&, std::size_t bytes);

  // Health.
  int set_health(nid, int value);
  std::vector<recovery> unwell();
  bool all_well() const;
  void recovered(const recovery&);
  std::function<void()> on_unwell;  ///< called with the lock held when something stops being well

  void count_timeouts(std::uint64_t);
  counters stats() const;
  void reset_stats();

 private:
  struct choice {
    local_ni* over = nullptr;
    peer_ni* to = nullptr;
  };
  choice choose(const msg&);
  choice choose_for(const msg&, peer_ni& target);
  bool better(const msg&, const choice&, const choice& than, unsigned cpt) const;
  local_ni* find(nid) const;
  local_ni* any_on(net) const;
  peer_ni* peer_of(nid);
  void leave_home(peer_ni&);
  unsigned caller_cpt() const;
  bool take_ni_credit(msg&);
  void give_back(msg&, aftermath&);
  peer_ni* blame(msg&);
  void praise(local_ni&, peer_ni&);
  void hurt(int& health);

  const host_options& options_;
  const cpt_table& table_;
  std::vector<unsigned> cpt_of_cpu_;  ///< empty: there is one CPT
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<local_ni>> nis_;
  std::vector<std::unique_ptr<local_ni>> gone_;  ///< messages on their way may know them still
  std::unordered_map<nid, std::unique_ptr<peer_ni>> peer_nis_;
  std::list<peer> peers_;
  peer_ni* last_peer_ = nullptr;  ///< the one that was looked up last is most often the next
  local_ni* lo_ = nullptr;
  tally own_;  ///< what no NI is to blame for, and what NIs counted that are gone
};

}  // namespace lnet
