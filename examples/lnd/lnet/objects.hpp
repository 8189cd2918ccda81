// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What this host's users have put up: match entries in their portals, memory descriptors, answers that are awaited.
/// One lock; events come out of it as notices, delivered once it is free.

#include <array>
#include <atomic>
#include <list>
#include <mutex>

#include "handles.hpp"
#include "message.hpp"
#include "rundown.hpp"

namespace lnet {

/// A match entry: who may come in at this place of its portal.
struct me {
  std::uint64_t cookie = 0;
  unsigned portal = 0;
  process_id match{};
  std::uint64_t bits = 0, ignore = 0;
  unlink_op op = unlink_op::unlink;
  md* memory = nullptr;
  std::list<me>::iterator self{};
};

struct md {
  memory_descriptor what;  ///< its threshold is what is left
  std::uint64_t cookie = 0;
  std::size_t length = 0;
  std::size_t offset = 0;   ///< the next message goes there, unless it is managed by the other side
  unsigned references = 0;  ///< messages
  unsigned awaited = 0;     ///< answers
  bool goes_when_spent = false;
  bool gone = false;  ///< has no name any more; the last message takes it along
  me* entry = nullptr;
  /// Events of one MD are delivered one after the other, the one with `unlinked` last: who finds one being delivered
  /// leaves his to that thread.
  std::atomic<unsigned> undelivered{0};
  std::vector<event> waiting;

  bool spent() const noexcept {
    return what.threshold == 0 || ((what.options & md_max_size) && offset + what.max_size > length);
  }
};

/// An event on its way out.
struct notice {
  md* of = nullptr;
  event what{};
};

class objects {
 public:
  // Users.
  int attach_me(unsigned portal, process_id match, std::uint64_t bits, std::uint64_t ignore, unlink_op, insert_position,
                me_handle&);
  int unlink_me(me_handle, notice&);
  /// `taken` and `refused`: messages that had waited for it.
  int attach_md(me_handle, const memory_descriptor&, unlink_op, md_handle&, msg_queue& taken, msg_queue& refused);
  int bind(const memory_descriptor&, unlink_op, md_handle&);
  int unlink_md(md_handle, notice&);
  int set_lazy(unsigned portal);
  int clear_lazy(unsigned portal, msg_queue& dropped);
  /// Those that wait and came over that NI.
  void take_delayed(const local_ni&, msg_queue&);
  std::vector<notice> unlink_all();
  /// Returns when no MD is left.
  void wait_for_all();

  // Initiators.
  /// Gives the message its MD (a PUT or GET is named in its header) and, if it expects an answer, the name for that.
  int begin(md_handle, msg&, bool expects_answer, std::uint64_t interface_cookie);
  /// It could not even be sent: as if it never was.
  notice cancel(msg&);
  /// Neither unlinked nor answered meanwhile.
  bool still_wanted(const msg&);

  // Arrivals.
  enum class found { taken, refused, nothing, waits };
  /// Looks for somewhere to put a PUT, or get a GET from. `nothing` at a lazy portal: with `may_wait` it waits there.
  found match(msg&, bool may_wait);
  bool lazy(unsigned portal);
  /// The ACK's event.
  bool take_ack(std::uint64_t cookie, process_id from, nid source, std::size_t length, notice&);
  /// A REPLY of `length` bytes gets its sink.
  bool take_reply(std::uint64_t cookie, msg&, std::size_t length);
  /// The REPLY that the driver makes for this GET gets its sink.
  bool take_reply_of(const msg& get, msg& reply);
  /// Back to before take_reply_of, for another try. False: nobody wants it any more.
  bool give_reply_back(msg& get, msg& reply);
  /// Answers that have not come by then; `next`: when to look again, if there is any.
  std::vector<notice> expire(clock::time_point now, clock::time_point& next);

  /// The message is through: its event.
  notice finish(msg&);
  /// No lock held.
  void deliver(notice&&);
  void deliver_all(std::vector<notice>);

 private:
  struct answer {
    std::uint64_t cookie = 0;
    md* of = nullptr;
    msg_type type{};
    clock::time_point deadline{};
    event what{};
    std::list<answer>::iterator self{};
  };
  struct portal {
    std::list<me> entries;
    bool lazy = false;
    msg_queue delayed;
  };

  md* make(const memory_descriptor&, unlink_op);
  static bool valid(const memory_descriptor&);
  found try_md(md&, msg&);
  void remove_me(me&);
  void forget(md&);
  void hold(md&, msg&);
  notice note(md&, event&&);
  notice note_and_maybe_unlink(md&, event&&);
  notice unlink_now(md&);
  void expect(md&, msg&);
  void drop_answer(answer&);
  answer* awaited(std::uint64_t cookie, msg_type) const;

  std::mutex mutex_;
  std::array<portal, portal_count> portals_;
  handle_table<md> mds_;
  handle_table<me> mes_;
  handle_table<answer> answers_;
  std::list<answer> expected_;  ///< by deadline
  std::list<answer> spare_;
  rundown living_;  ///< MDs
};

}  // namespace lnet
