// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A link to another process, which a test can stop and kill.

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>

#include "links/link_bench.hpp"

namespace kfx::test {

/// How often something is repeated: KFX_TEST_ROUNDS, or so often.
std::size_t rounds(std::size_t normal);

/// Forks; the child connects to the parent's listener, runs `part` with its end of the link, and ends without a word.
/// The parent has the other end. Only for programs that have one thread at that moment.
class other_process {
 public:
  /// `before`: run by the child first of all; false ends it (the parent then finds `link` null).
  explicit other_process(const std::string& query, std::function<void(backend::link&)> part,
                         const std::function<bool()>& before = {});
  ~other_process();
  other_process(const other_process&) = delete;
  other_process& operator=(const other_process&) = delete;

  backend::link* link() { return link_.get(); }
  void drop() { link_.reset(); }
  /// It has really stopped, ended or gone on when these return. False: it has ended by itself.
  bool stop();
  void go_on();
  void kill();

 private:
  void listen();
  void connect(const std::string& query, const std::function<void(backend::link&)>& part);

  boost::asio::io_context io_;
  options options_;
  backend::context context_;
  std::unique_ptr<backend::listener> listener_;
  std::unique_ptr<backend::link> link_;
  pid_t pid_ = -1;
};

}  // namespace kfx::test
