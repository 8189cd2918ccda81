// SPDX-License-Identifier: BSD-2-Clause
#include "errors.hpp"

#include <cerrno>

#include <kfx/error.hpp>

namespace store {
namespace {

const char* with_whom(const std::string& verb) { return verb == "get" ? " from " : verb == "put" ? " to " : " at "; }

std::string cause(const std::error_code& why, const char* said) {
  // What the protocol means by it has nothing to do with file handles.
  if (why.category() == std::generic_category() && why.value() == ESTALE)
    return "it changed, or was given up, while it was copied: copy it again when it is at rest";
  return said;
}

/// What to do where the bare errno leaves that open.
std::string remedy(const attempt& a, const std::error_code& why) {
  if (why == kfx::errc::timed_out) return "; --timeout waits longer";
  if (why.category() == std::generic_category() && why.value() == ENOTEMPTY && a.verb == "rm")
    return " (-r removes it with all that is in it)";
  if (why.category() == std::generic_category() && why.value() == EISDIR && a.verb == "get")
    return " (-r takes all that is in it)";
  return {};
}

}  // namespace

bool is_remote(const std::system_error& e) noexcept { return dynamic_cast<const remote_error*>(&e) != nullptr; }

void bad_answer(const char* what) {
  throw remote_error(std::error_code(EPROTO, std::generic_category()),
                     std::string("its answer breaks the protocol (") + what + "): use a server of this version", false);
}

std::string sentence(const attempt& a, const std::system_error& e) {
  if (const auto* remote = dynamic_cast<const remote_error*>(&e)) {
    std::string text = a.verb + " " + (a.remote.empty() ? "." : a.remote);
    if (!remote->names_peer()) text += with_whom(a.verb) + a.uri;
    return text + ": " + cause(e.code(), e.what()) + remedy(a, e.code());
  }
  if (a.local.empty()) return a.verb + ": " + e.what();
  const char* const tried = a.verb == "get" ? ": cannot write " : ": cannot read ";
  return a.verb + tried + a.local + ": " + cause(e.code(), e.code().message().c_str());
}

}  // namespace store
