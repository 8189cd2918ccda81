// SPDX-License-Identifier: BSD-2-Clause
// Mistakes of a program that end it: a message that is answered twice was a null pointer somewhere, and a node that is
// destroyed in a handler of its own ended without a word.
// endings: runs each as a process of its own, which must be ended by SIGABRT and say why on stderr.

// The assertions of the headers are tested also where the library is built without its own.
#undef NDEBUG
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/thread_pool.hpp>
#include <csignal>
#include <cstdio>
#include <future>
#include <optional>
#include <string>

#include "kfx/kfx.hpp"

namespace {

using namespace std::chrono_literals;

/// A node that hears a message, and does this to its node in a handler.
struct doomed {
  explicit doomed(kfx::progress how = kfx::progress::threads) {
    node.emplace(kfx::options{.listen = {"loop://doomed"}, .progress = how});
  }
  void say(const kfx::op_options& o = {}) {
    client.emplace();
    op = client->at("loop://doomed").send(std::string_view("hello"), {}, o);
  }
  std::optional<kfx::node> node, client;
  kfx::op<kfx::done> op;
};

void wait_for_the_end() {
  std::promise<void> never;
  never.get_future().wait_for(20s);
}

void reply_twice() {
  doomed d;
  std::array<char, 8> answer{};
  d.node->on_message([](kfx::message m) {
    m.reply(std::string_view("one"));
    m.reply(std::string_view("two"));
  });
  d.say({.reply = answer});
  wait_for_the_end();
}

void receive_when_over() {
  kfx::message none;
  std::array<char, 8> into{};
  (void)none.receive(into).complete();
}

void destroy_in_message_handler() {
  doomed d;
  d.node->on_message([&](kfx::message) { d.node.reset(); });
  d.say();
  wait_for_the_end();
}

void destroy_in_polled_handler() {
  doomed d(kfx::progress::caller);
  d.node->on_message([&](kfx::message) { d.node.reset(); });
  d.say();
  d.node->run_for(20s);
}

void destroy_in_peer_handler() {
  doomed d;
  d.node->on_peer([&](const kfx::peer&, kfx::peer_event) { d.node.reset(); });
  d.say();
  wait_for_the_end();
}

/// Allowed: what runs it waits for nobody.
void destroy_elsewhere() {
  boost::asio::thread_pool pool(1);
  doomed d;
  std::promise<void> gone;
  d.node->on_message(boost::asio::bind_executor(pool, [&](kfx::message m) {
    m.let_go();
    d.node.reset();
    gone.set_value();
  }));
  d.say();
  if (gone.get_future().wait_for(20s) != std::future_status::ready) ::_exit(3);
  pool.join();
}

struct ending {
  const char* name;
  void (*run)();
  const char* says;  ///< null: it ends well
};
constexpr ending endings[] = {
    {"reply-twice", reply_twice, "the message is over"},
    {"receive-when-over", receive_when_over, "the message is over"},
    {"destroy-in-message-handler", destroy_in_message_handler, "in a handler of its own"},
    {"destroy-in-polled-handler", destroy_in_polled_handler, "in a handler of its own"},
    {"destroy-in-peer-handler", destroy_in_peer_handler, "in a handler of its own"},
    {"destroy-elsewhere", destroy_elsewhere, nullptr},
};

bool as_expected(const ending& e) {
  std::array<int, 2> said{};
  if (::pipe(said.data()) != 0) return false;
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    ::dup2(said[1], STDERR_FILENO);
    ::close(said[0]);
    ::close(said[1]);
    e.run();
    ::_exit(0);
  }
  ::close(said[1]);
  std::string text;
  std::array<char, 256> buffer;
  for (ssize_t n; (n = ::read(said[0], buffer.data(), buffer.size())) > 0;)
    text.append(buffer.data(), static_cast<std::size_t>(n));
  ::close(said[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  const bool good = e.says
                        ? WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && text.find(e.says) != std::string::npos
                        : WIFEXITED(status) && WEXITSTATUS(status) == 0;
  std::printf("%s %s: status %x\n%s", good ? "ok" : "WRONG", e.name, static_cast<unsigned>(status),
              good ? "" : text.c_str());
  return good;
}

}  // namespace

int main() {
  bool good = true;
  for (const ending& e : endings) good = as_expected(e) && good;
  return good ? 0 : 1;
}
