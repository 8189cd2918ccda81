// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What LNet's users call: matching, memory descriptors, PUT and GET, and what there is to be told about the host.
/// Statuses are 0 or -errno.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lnd.hpp"

namespace lnet {

// --- events

enum class event_type { get, put, reply, ack, send, unlink };
const char* to_string(event_type) noexcept;

/// Names an MD of this host; never the same twice.
struct md_handle {
  std::uint64_t cookie = 0;
  explicit operator bool() const noexcept { return cookie != 0; }
  bool operator==(const md_handle&) const = default;
};
struct me_handle {
  std::uint64_t cookie = 0;
  explicit operator bool() const noexcept { return cookie != 0; }
};

struct event {
  event_type type{};
  process_id initiator{};  ///< put, get: who asked; reply, ack, send: who answered or was sent to
  lnet::nid source{};      ///< NI it came over, of the peer
  unsigned portal = 0;
  std::uint64_t match_bits = 0;
  std::size_t rlength = 0;  ///< asked for
  std::size_t mlength = 0;  ///< moved
  std::size_t offset = 0;   ///< in the MD
  std::uint64_t hdr_data = 0;
  md_handle md{};
  void* user = nullptr;  ///< of the MD
  int status = 0;
  bool unlinked = false;  ///< the last event of this MD: its memory is the user's again
};

/// Where events go: to a function, on the thread that completes (it does not block, and may call LNet), and without
/// one into a queue that is polled. Those of one MD come one after the other, those of several maybe at once.
class event_queue {
 public:
  using handler = std::function<void(const event&)>;
  event_queue();
  explicit event_queue(handler);
  ~event_queue();
  event_queue(const event_queue&) = delete;
  event_queue& operator=(const event_queue&) = delete;
  /// The oldest event, or nothing within that time.
  std::optional<event> poll(std::chrono::milliseconds limit = std::chrono::milliseconds(0));
  void push(const event&);

 private:
  struct state;
  std::unique_ptr<state> s_;
};
using event_queue_ptr = std::shared_ptr<event_queue>;

// --- memory

enum md_option : unsigned {
  md_op_put = 1,          ///< takes PUTs
  md_op_get = 2,          ///< answers GETs
  md_truncate = 4,        ///< takes as much as there is room for; else what is too long is dropped
  md_ack_disable = 8,     ///< no ACK, even if asked for
  md_manage_remote = 16,  ///< the initiator's offset counts; else messages follow one another
  md_max_size = 32,       ///< unlinked once less than `max_size` is left
};
inline constexpr int threshold_infinite = -1;

struct memory_descriptor {
  fragment_list memory;                ///< at most max_fragments
  int threshold = threshold_infinite;  ///< ops until it is spent (a GET or PUT of ours with its answer counts two)
  std::size_t max_size = 0;
  unsigned options = 0;
  void* user = nullptr;
  event_queue_ptr events;  ///< null: nobody wants to know
};

enum class unlink_op { unlink, retain };       ///< what becomes of what is spent
enum class insert_position { before, after };  ///< at the head or the tail of its portal's list
enum class ack_request { ack, no_ack };

// --- the host

struct host_options {
  std::string networks{};  ///< as the module parameter; the loopback NI is always there
  std::uint32_t pid = default_pid;
  unsigned cpu_npartitions = 0;  ///< 0: one
  std::string cpu_pattern{};
  unsigned credits = 256;  ///< of an NI
  unsigned peer_credits = 8;
  std::chrono::seconds transaction_timeout{50};
  unsigned retry_count = 2;                           ///< tries share the timeout: each has its part as a deadline
  unsigned health_sensitivity = 100;                  ///< how much of 1000 a failure costs; 0: health is not looked at
  std::chrono::milliseconds recovery_interval{1000};  ///< between two pings of what is not healthy
  bool forwarding = false;  ///< routing is not built: a routed message is dropped either way, and counted
  std::map<std::string, std::string, std::less<>> tunables{};  ///< for drivers
};

struct counters {
  std::uint64_t sent = 0, received = 0, dropped = 0, routed = 0;  ///< messages
  std::uint64_t sent_bytes = 0, received_bytes = 0, dropped_bytes = 0;
  std::uint64_t errors = 0, resends = 0, timeouts = 0;
  std::uint64_t allocated = 0, most_allocated = 0;  ///< messages now, and at most
  std::map<health_status, std::uint64_t> health;    ///< messages that ended so
};

struct ni_info {
  lnet::nid nid;
  std::string interface;
  bool up = true;
  int health = 1000;
  unsigned credits = 0, available_credits = 0, peer_credits = 0;
  int least_credits = 0;  ///< negative: so many had to wait
  std::vector<unsigned> cpts;
  counters stats;
};

struct peer_ni_info {
  lnet::nid nid;
  bool up = true;
  int health = 1000;
  unsigned credits = 0;
  int available_credits = 0, least_credits = 0;  ///< negative: so many wait
  std::size_t queued_bytes = 0;
  counters stats;
};
struct peer_info {
  lnet::nid primary;
  std::vector<peer_ni_info> nis;
};

using driver_ptr = std::unique_ptr<lnet_lnd>;

/// An LNet node. Several may live in one process. Any thread; events may arrive before the call that caused them
/// returns. Throws std::system_error where it says so, else errors are statuses.
class host {
 public:
  /// Starts the NIs. Throws std::system_error (with a sentence): a `networks` or pattern that cannot be read, a
  /// net without a driver, a driver that fails.
  host(host_options, std::vector<driver_ptr>);
  /// Shuts the NIs down, unlinks everything. No event follows. Not to be called by an event handler.
  ~host();
  host(const host&) = delete;
  host& operator=(const host&) = delete;

  // Targets.
  /// -EINVAL: no such portal. `unlink`: it goes with its MD.
  int me_attach(unsigned portal, process_id match, std::uint64_t match_bits, std::uint64_t ignore_bits, unlink_op,
                insert_position, me_handle&);
  /// With its MD; no event follows but the MD's `unlink`.
  int me_unlink(me_handle);
  /// One MD an ME. -EINVAL: too many fragments, no op allowed, a threshold of 0, a max_size of 0 or of more than there
  /// is; -EBUSY: it has one.
  int md_attach(me_handle, const memory_descriptor&, unlink_op, md_handle&);
  /// For one's own PUTs and GETs.
  int md_bind(const memory_descriptor&, unlink_op, md_handle&);
  /// The `unlinked` event follows: at once, or when what is under way on it has ended. -ENOENT: it is gone.
  int md_unlink(md_handle);
  /// PUTs that match nothing wait at such a portal until something is attached. Clearing drops those that wait.
  int set_lazy_portal(unsigned portal);
  int clear_lazy_portal(unsigned portal);

  // Initiators.
  /// `self`: over which NI (any: LNet chooses; one's own NIDs are reached over the loopback NI). Events: `send`, and
  /// `ack` when asked for and allowed; with -ETIMEDOUT, and as if it had come, when it has not within the
  /// transaction_timeout. When `send` says that it failed, no `ack` follows, and its share of the threshold is gone.
  /// -EMSGSIZE: more than the mtu; -EINVAL: no such portal; -ENOENT: no such MD, or it is spent or attached;
  /// -EHOSTUNREACH: no NI on that network; -ESHUTDOWN: the host is going.
  int put(nid self, md_handle, ack_request, process_id target, unsigned portal, std::uint64_t match_bits,
          std::size_t offset, std::uint64_t hdr_data);
  /// Events: `send` and `reply`; otherwise as put.
  int get(nid self, md_handle, process_id target, unsigned portal, std::uint64_t match_bits, std::size_t offset);

  /// Asks the host behind a NID for its NIDs (a GET at the reserved portal); it is known as one peer with them from
  /// then on. 0 or -errno.
  int ping(nid, std::chrono::milliseconds limit, std::vector<nid>& found);
  /// Those NIDs are one peer: what fails towards one is tried towards another. -EINVAL: on a net that is not here.
  int peer_add(nid primary, const std::vector<nid>& others);
  int peer_delete(nid primary);

  // Management.
  int net_add(const net_spec&, std::string& why);
  int net_delete(net);
  process_id id(std::size_t number = 0) const;  ///< of the NIs, the loopback NI last
  std::vector<ni_info> nis() const;
  std::vector<peer_info> peers() const;
  counters stats() const;
  void reset_stats();
  int set_health(nid ours_or_a_peers, int value);
  int control(net, lnet::control&);  ///< to a driver
  const cpt_table& cpts() const noexcept;

 private:
  std::unique_ptr<core> core_;
};

}  // namespace lnet
