// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What a console is told, in the manner of Lustre's lst.

#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "messages.hpp"

namespace lnet::selftest {

namespace cmd {

struct new_session {
  std::string name;
  std::uint32_t timeout_s = 300;
  bool force = false;  ///< nodes leave the session that they are in
};
struct end_session {};
struct show_session {};
struct add_group {
  std::string name;
  std::vector<nid> nids;
};
struct del_group {
  std::string name;
};
struct list_group {
  std::string name;  ///< empty: all, by name only
};
struct ping {
  std::string group;  ///< empty: all nodes of the session
};
struct add_batch {
  std::string name;
};
struct add_test {
  std::string batch = "batch";
  std::string from, to;
  std::uint64_t loop = 0;
  std::uint32_t concurrency = 1;
  unsigned clients = 1, servers = 1;  ///< distribute: so many clients have so many servers in common
  std::uint32_t rpc_timeout_s = 20;
  operation_kind operation{};
  selftest::check check = check::none;
  std::uint32_t size = 4096, offset = 0;
};
struct run {
  std::string batch = "batch";
};
struct stop {
  std::string batch = "batch";
};
/// Until each of its tests has ended.
struct wait {
  std::string batch = "batch";
  std::uint32_t timeout_s = 3600;
};
struct list_batch {
  std::string name;  ///< empty: all, by name only
  bool tests = false;
};
struct query {
  std::string batch = "batch";
};
struct stat {
  std::vector<std::string> groups;
  bool bandwidth = false, rate = false;  ///< neither: both
  bool megabytes = false;                ///< of 10^6 instead of 2^20 bytes
  double delay_s = 5;
  std::uint64_t count = 0;  ///< 0: until no test runs, or it is interrupted
};
struct show_error {
  std::vector<std::string> groups;
};
struct sleep {
  double seconds = 0;
};

}  // namespace cmd

using command = std::variant<cmd::new_session, cmd::end_session, cmd::show_session, cmd::add_group, cmd::del_group,
                             cmd::list_group, cmd::ping, cmd::add_batch, cmd::add_test, cmd::run, cmd::stop, cmd::wait,
                             cmd::list_batch, cmd::query, cmd::stat, cmd::show_error, cmd::sleep>;

/// Nothing: `why` says what is wrong.
std::optional<command> parse_command(std::span<const std::string> words, std::string& why);
/// One line for each command.
const char* command_help() noexcept;

}  // namespace lnet::selftest
