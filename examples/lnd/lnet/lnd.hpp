// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Between LNet and its network drivers: the driver table (Lustre's `struct lnet_lnd`) and what drivers call.

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cpt.hpp"
#include "networks.hpp"
#include "types.hpp"
#include "wire.hpp"

namespace lnet {

class core;
using clock = std::chrono::steady_clock;

/// What a driver knows of the cause when a message failed; set in `message::health` before `lnet_finalize`. It says
/// whose health suffers (ours: local_*, the peer's: remote_*, both: network_timeout) and whether another try makes
/// sense.
enum class health_status : std::uint8_t {
  ok,
  local_interrupt,  ///< of our interface, passing; tried again
  local_dropped,    ///< before it left, on the way down; tried again
  local_aborted,    ///< before it left; tried again
  local_no_route,   ///< the network is not there; tried again
  local_error,      ///< of our interface, lasting; not tried again
  local_timeout,    ///< it never left; tried again
  remote_error,     ///< the peer's doing; not tried again
  remote_dropped,   ///< the peer was found dead or refused before it had it; tried again
  remote_timeout,   ///< the peer never answered the driver; not tried again (it may have it)
  network_timeout,  ///< somebody did not answer, one cannot say who; not tried again
};
const char* to_string(health_status) noexcept;

/// A message that a driver sends, or whose payload it places. LNet's until `lnd_send` or `lnd_recv`, the driver's
/// until `lnet_finalize`.
struct message {
  header hdr{};         ///< complete
  process_id target{};  ///< whom it goes to: hdr.dest, but for a routed message the router
  /// PUT, REPLY: `length` bytes to be sent, read-only. In `lnd_recv`: see there. Stays valid until finalized.
  fragment_list payload;
  std::size_t length = 0;
  clock::time_point deadline = clock::time_point::max();  ///< of this try, for the driver to keep
  health_status health = health_status::ok;

 protected:
  message() = default;
  ~message() = default;
};

/// What a driver keeps with an NI.
struct ni_data {
  virtual ~ni_data() = default;
};

/// A network interface of this host, as its driver sees it. Filled in by LNet, and by `lnd_startup` where it says so.
struct ni {
  lnet::nid nid{};              ///< net: LNet's; address: lnd_startup's
  interface_spec interface {};  ///< asked for
  const cpt_table* table = nullptr;
  std::vector<unsigned> cpts;     ///< that it is for; never empty
  unsigned max_tx_credits = 256;  ///< messages it takes at a time; lnd_startup may lower it. 0: EINVAL
  unsigned peer_tx_credits = 8;   ///< of those, for one peer
  std::chrono::seconds peer_timeout{180};
  std::map<std::string, std::string, std::less<>> tunables;  ///< module parameters of the driver, by name
  std::unique_ptr<ni_data> data;                             ///< lnd_startup's
  core* owner = nullptr;
  virtual ~ni() = default;
};

/// A request of a management program.
struct control {
  enum { peer_list, close_connection, describe } what = peer_list;
  lnet::nid nid = nid::any();       ///< close_connection: whose
  std::vector<std::string> answer;  ///< lines
};

/// A driver. Calls come from any thread, several at once, without any lock of LNet held; none blocks for longer than
/// it takes to hand work on, but for startup and shutdown. LNet makes one driver object per host and kind.
class lnet_lnd {
 public:
  virtual ~lnet_lnd() = default;
  virtual net_kind lnd_type() const noexcept = 0;

  /// Sets the NID's address, `data` and, where they are to be lower, the credits. Messages may arrive before it
  /// returns (they wait). 0 or -errno: then nothing is left behind.
  virtual int lnd_startup(ni&) = 0;
  /// When it returns no upcall is under way and none follows; everything given to lnd_send was finalized.
  virtual void lnd_shutdown(ni&) = 0;
  /// -EINVAL: no such thing here.
  virtual int lnd_ctl(ni&, control&) { return -22; }

  /// `cookie`: null for PUT and GET, and for ACK and REPLY over another NI than what they answer came over; else the
  /// one that `lnet_parse` was given with that, which may be over. 0: exactly one `lnet_finalize(msg)` follows, maybe
  /// before this returns. Else: failed at once, and none follows; `message::health` says whose fault it was.
  virtual int lnd_send(ni&, void* cookie, message&) = 0;
  /// Called once for each lnet_parse that answered 0, maybe before that returned. `m` null: whatever there is, is
  /// discarded (`to` is empty); an ACK is always taken so. Else the payload goes `to` these fragments, which may be
  /// shorter than `rlen`, its whole length: the rest is discarded. Where the message was a GET parsed with
  /// `rdma_request`, `m` is its REPLY and the bytes go the other way: m.payload to the initiator's sink. 0: exactly one
  /// lnet_finalize(*m) follows (unless null). Else none does.
  virtual int lnd_recv(ni&, void* cookie, message* m, bool delayed, std::span<const fragment> to, std::size_t rlen) = 0;
  /// The message has to wait for somebody to take it: let go of what is scarce and keep the credit. The cookie may
  /// be replaced.
  virtual int lnd_eager_recv(ni&, void*& /*cookie*/, const header&) { return 0; }
  /// LNet took that peer for dead.
  virtual void lnd_notify_peer_down(ni&, nid) {}
  /// The smaller the nearer to that device's memory; ~0: no telling.
  virtual unsigned lnd_get_dev_prio(ni&, unsigned /*device*/) { return ~0u; }
  /// After so long the driver gives up a message by itself. (LNet's own limit is that times its tries, and a second.)
  virtual std::chrono::seconds lnd_get_timeout() const noexcept = 0;
};

// What drivers call. Any thread, no lock of the driver held.

/// A message's header has come. 0: lnd_recv will be called for it, once. Negative: a protocol error (-EPROTO), and the
/// driver drops the connection. `from`: whom it came from on this network. `rdma_request`: it is a GET whose sink the
/// driver can write by itself. The cookie is for lnd_recv.
int lnet_parse(ni&, const header&, nid from, void* cookie, bool rdma_request);
/// The driver is through with it; `message::health` is set. Once for each message.
void lnet_finalize(message&, int status);
/// The initiator's side of a GET that the driver answers by itself: the REPLY, its payload being the sink, to be
/// finalized too, in any order. Null: nobody waits for it any more, or it was made before; the driver fails the GET.
/// Where the GET fails so that it is tried again, that begins when both are finalized, and with another REPLY.
message* lnet_create_reply_msg(ni&, message& get);
/// How much came, before that REPLY is finalized.
void lnet_set_reply_msg_len(ni&, message& reply, std::size_t length);
/// The driver found that peer alive, or not.
void lnet_notify(ni&, nid peer, bool alive);
/// Which CPT sees to that peer.
unsigned lnet_nid2cpt(const ni&, nid peer) noexcept;

}  // namespace lnet
