// SPDX-License-Identifier: BSD-2-Clause
#include "browse.hpp"

#include <ctime>

#include <cinttypes>
#include <cstdio>
#include <vector>

#include "report.hpp"
#include "safe_path.hpp"
#include "session.hpp"
#include "transfer.hpp"

namespace store {
namespace {

constexpr char letters[] = "?-dl?";

void tell(const attempt& tried, const std::system_error& why, bool as_json) {
  const std::string text = sentence(tried, why);
  std::fprintf(stderr, "kfx-store: %s\n", printable(text).c_str());
  if (as_json) std::printf("{%s}\n", json_failure(tried.remote, text).c_str());
}

/// What a verb ends with: 1 when something kept it from being done.
template <class Verb>
int told(const attempt& tried, bool as_json, Verb verb) {
  try {
    return verb();
  } catch (const std::system_error& e) {
    tell(tried, e, as_json);
    return 1;
  }
}

void print(const entry& e, const std::string& path, const std::string& target, bool as_json) {
  const auto kind = static_cast<std::size_t>(e.kind);
  if (as_json) {
    static constexpr const char* names[] = {"?", "file", "directory", "symlink", "other"};
    std::printf("{\"path\":%s,\"kind\":\"%s\",\"mode\":\"%04o\",\"size\":%" PRIu64 ",\"mtime\":%" PRId64
                ".%09u,\"target\":%s}\n",
                json(path).c_str(), names[kind], e.mode, e.size, e.mtime, e.mtime_ns, json(target).c_str());
    return;
  }
  char when[32] = "?";
  std::tm parts{};
  const std::time_t t = e.mtime;
  if (::gmtime_r(&t, &parts)) std::strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &parts);
  std::printf("%c%04o %14" PRIu64 " %s %s%s%s\n", letters[kind], e.mode, e.size, when, printable(path).c_str(),
              target.empty() ? "" : " -> ", printable(target).c_str());
}

/// One directory; what is below goes to `pending`.
int list_one(session& s, const std::string& directory, std::vector<std::byte>& space, std::vector<std::string>* pending,
             bool as_json) {
  int status = 0;
  request ask{.op = verb::list};
  for (bool end = false; !end;) {
    const answer a = s.ask_now(ask, directory, space);
    if (a.bytes != a.more || (!a.end && a.count == 0)) bad_answer("list");
    packet_reader reader(kfx::const_buffer(space).subspan(sizeof(reply), a.more));
    while (!reader.at_end()) {
      const auto next = reader.next();
      if (!next) bad_answer("packet");
      const entry_view& e = *next;
      const std::string path = directory == "." ? std::string(e.name) : join(directory, e.name);
      if (e.head.error) {
        tell({"ls", s.uri(), path}, remote_error(static_cast<int>(e.head.error)), as_json);
        status = 1;
        continue;
      }
      print(e.head, path, {reinterpret_cast<const char*>(e.data.data()), e.data.size()}, as_json);
      if (pending && e.head.kind == kind::directory && good_name(e.name)) pending->push_back(path);
    }
    ask.offset = a.cursor;
    end = a.end;
  }
  return status;
}

}  // namespace

int list(const target& at, const std::string& path, bool recursive) {
  const std::string top = path.empty() ? "." : path;
  return told({"ls", at.uri, top}, at.as_json, [&] {
    session s(at.uri, {.timeout = at.timeout});
    std::vector<std::byte> space(sizeof(reply) + packet_bytes);
    const entry e = entry_of(s.ask_now({.op = verb::stat}, top, space));
    if (e.kind != kind::directory) {
      print(e, top, "", at.as_json);
      return 0;
    }
    int status = 0;
    std::vector<std::string> pending{top};
    while (!pending.empty()) {
      const std::string directory = std::move(pending.back());
      pending.pop_back();
      status |= list_one(s, directory, space, recursive ? &pending : nullptr, at.as_json);
    }
    return status;
  });
}

int show(const target& at, const std::string& path) {
  return told({"stat", at.uri, path}, at.as_json, [&] {
    session s(at.uri, {.timeout = at.timeout});
    std::vector<std::byte> space(kfx::limits::header);
    const answer a = s.ask_now({.op = verb::stat}, path, space);
    if (a.kind < kind::file || a.kind > kind::other) bad_answer("stat");
    print(entry_of(a), path, {reinterpret_cast<const char*>(space.data()) + sizeof(reply), a.more}, at.as_json);
    if (!at.as_json) std::printf("by: %s\n", s.peer().explain().c_str());
    return 0;
  });
}

int remove(const target& at, const std::string& path, bool recursive) {
  return told({"rm", at.uri, path}, at.as_json, [&] {
    session s(at.uri, {.timeout = at.timeout});
    std::vector<std::byte> space(sizeof(reply));
    s.ask_now({.op = verb::remove, .flags = static_cast<std::uint8_t>(recursive ? store::recursive : 0)}, path, space);
    if (at.as_json) std::printf("{\"path\":%s,\"removed\":true}\n", json(path).c_str());
    return 0;
  });
}

}  // namespace store
