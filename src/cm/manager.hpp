// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The connection manager: which session gets which link. Runs on the node's control thread, as coroutines that read
/// top to bottom (connect.cpp, choose.cpp, accept.cpp); what other threads may call says so.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cm/handshake.hpp"
#include "cm/raw_link.hpp"
#include "cm/record.hpp"
#include "engine/host.hpp"
#include "engine/partition.hpp"
#include "engine/session.hpp"
#include "kfx/backend/backend.hpp"
#include "kfx/node.hpp"

namespace kfx::cm {

/// What the manager needs of the node.
struct surroundings {
  engine::host& host;
  backend::context& ctx;
  /// The home partition of a new session with a peer of that name. `device`: what carries it, "" when that is not
  /// known; asked only if it matters. Any thread.
  using device_of = std::function<std::string()>;
  std::function<std::shared_ptr<engine::partition>(std::string_view peer, const device_of& device)> home;
  /// For the program's on_peer. Control thread.
  std::function<void(const std::shared_ptr<engine::session>&, peer_event)> tell;
};

class manager {
 public:
  explicit manager(surroundings around);
  ~manager();
  manager(const manager&) = delete;
  manager& operator=(const manager&) = delete;

  /// Any thread: the session of that URI; the same one for the same text. Throws kfx::error.
  std::shared_ptr<engine::session> at(std::string_view uri);
  /// Any thread, baton held.
  void want_link(engine::session& s);
  void link_lost(engine::session& s);
  /// Any thread: nothing starts any more on any session.
  void refuse_ops();

  /// On the control thread, or before it runs. Throws kfx::error.
  void listen(const std::vector<std::string>& uris);
  /// Any thread: what peers can connect to.
  std::vector<std::string> addresses() const;

  /// Gives up what is remembered for too long, and says how soon to come again (0: when something happens).
  std::chrono::nanoseconds tick(std::int64_t now);
  /// Ends every coroutine and listener; `done` follows when nothing of them is left.
  void stop(std::function<void()> done);
  /// After that, when no other thread of the node is left: lets go of every session.
  void forget();

 private:
  using record_ptr = std::shared_ptr<record>;
  using link_or_failure = std::variant<std::unique_ptr<raw_link>, backend::failure>;

  /// How an attempt to connect ended, and what comes next.
  enum class then { linked, again, pause, expect, hopeless };
  struct outcome {
    outcome(then n = then::again) : next(n) {}
    outcome(bool hopeless, backend::failure why)
        : next(hopeless ? then::hopeless : then::pause), failure(std::move(why)) {}
    outcome(bool hopeless, std::error_code code, std::string why) : outcome(hopeless, {code, std::move(why)}) {}
    then next;
    backend::failure failure{};
  };
  /// What to do with a hello.
  struct verdict {
    record_ptr rec;  ///< null: refuse
    bool lost = false;
    std::uint64_t session = 0;  ///< the id both sides use from here on
    std::uint32_t taken = 0;    ///< by this side
    std::uint32_t peer_taken = 0;
    greeting refuse{};
  };

  // manager.cpp
  void spawn(asio::awaitable<void> work);
  void task_over(std::list<asio::cancellation_signal>::iterator task);
  record_ptr add(const std::string& uri, const engine::session_settings& settings, const std::string& peer,
                 const surroundings::device_of& device);
  record_ptr by_id(std::uint64_t key) const;
  void know(const record_ptr& rec, std::uint64_t id);
  void agree(const record_ptr& rec, std::uint64_t id);
  greeting self(wire::type kind) const;
  void tell(record& rec, peer_event e);
  bool meet(record& rec, const greeting& peer);
  bool attach(const record_ptr& rec, std::uint64_t ticket, raw_link& link, const greeting& peer,
              std::uint32_t peer_taken, const greeting& welcome);
  void link_gone(const record_ptr& rec);
  void open_listener(const std::string& text);
  void open_meeting_place(backend::backend&);
  std::chrono::nanoseconds review(const record_ptr& rec, std::int64_t now, bool& drop);

  // connect.cpp
  void begin_connecting(const record_ptr& rec);
  asio::awaitable<void> connect(record_ptr rec);
  asio::awaitable<outcome> attempt(const record_ptr& rec);
  asio::awaitable<link_or_failure> dial(backend::backend& b, const backend::uri& to);
  asio::awaitable<outcome> introduce(const record_ptr& rec, raw_link& link, const std::string& chosen);
  outcome welcomed(const record_ptr& rec, std::uint64_t ticket, raw_link& link, const greeting& hello,
                   const greeting& welcome, const std::string& chosen);
  outcome refused(const record_ptr& rec, const greeting& answer);
  asio::awaitable<void> expect_incoming(const record_ptr& rec);
  asio::awaitable<void> pause(const record_ptr& rec, clock::duration& wait);
  greeting hello_of(record& rec);
  bool still_wanted(record& rec);
  bool was_met(record& rec);
  void note(record& rec, const backend::failure& why);
  void give_up(record& rec, const backend::failure& why);

  // choose.cpp
  asio::awaitable<outcome> attempt_best(const record_ptr& rec);
  asio::awaitable<outcome> move_up(const record_ptr& rec, raw_link& tcp, std::string& passed);
  std::string no_way(backend::backend& b, const greeting& peer, backend::uri& to);
  asio::awaitable<outcome> attempt_one(const record_ptr& rec, backend::backend& b, const greeting& peer,
                                       std::string& passed);

  // accept.cpp
  void accepted(backend::channel c);
  asio::awaitable<void> accept(backend::channel c);
  asio::awaitable<void> admit(raw_link& link, const greeting& hello);
  asio::awaitable<void> refuse(raw_link& link, const greeting& why);
  verdict judge(const greeting& hello, const raw_link& link);
  verdict judge_known(const record_ptr& rec, const greeting& hello);
  record_ptr proposer_of(const greeting& hello);
  verdict judge_crossed(const record_ptr& rec, const greeting& hello);
  void bury_former_lives(const greeting& hello);
  record_ptr successor_of(const greeting& hello);
  record_ptr awaited(const greeting& hello);
  bool established_elsewhere(const greeting& hello);
  record_ptr newcomer(const greeting& hello, const raw_link& link);
  bool contested(const record& rec, const greeting& hello) const;

  const surroundings around_;
  asio::io_context& io_;
  bool stopping_ = false;
  std::function<void()> stopped_;
  std::list<asio::cancellation_signal> tasks_;
  unsigned strangers_ = 0;  ///< connections whose handshake is under way
  std::vector<std::unique_ptr<backend::listener>> listeners_;
  bool meets_ = false;  ///< there are places to meet at
  std::unordered_map<std::uint64_t, std::weak_ptr<record>> ids_;

  mutable std::mutex mutex_;            ///< guards what follows; taken before a baton, never after
  std::vector<std::string> addresses_;  ///< changed by the control thread, which reads them without
  std::vector<record_ptr> records_;
  std::map<std::string, record_ptr, std::less<>> named_;
  bool refusing_ = false;
};

}  // namespace kfx::cm
