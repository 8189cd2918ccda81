// SPDX-License-Identifier: BSD-2-Clause
#include "report.hpp"

#include <unistd.h>

#include <cinttypes>
#include <cstdio>

#include "session.hpp"

namespace store {
namespace {

constexpr std::uint64_t most_lines = 20;

std::string escaped(std::string_view text, bool for_json) {
  std::string out;
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    char code[8];
    if (c == '\\' || (for_json && c == '"')) {
      out += '\\';
      out += c;
    } else if (u < 0x20 || u == 0x7f) {
      std::snprintf(code, sizeof code, for_json ? "\\u%04x" : "\\x%02x", u);
      out += code;
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

std::string printable(std::string_view text) { return escaped(text, false); }
std::string json(std::string_view text) { return '"' + escaped(text, true) + '"'; }

std::string json_failure(std::string_view path, std::string_view error) {
  return "\"path\":" + json(path) + ",\"error\":" + json(error);
}

report::report(std::string verb, std::string uri, bool as_json)
    : verb_(std::move(verb)), uri_(std::move(uri)), json_(as_json) {}

report::~report() { stop_bar(); }

void report::problem(const std::string& remote, const std::string& local, const std::system_error& why) {
  if (is_fatal(why.code())) stopped_ = true;
  if (count.failed.fetch_add(1) < most_lines)
    add(is_remote(why) ? remote : local, sentence({verb_, uri_, remote, local}, why));
}

void report::add(const std::string& path, const std::string& error) {
  note(error);
  const std::lock_guard lock(mutex_);
  failures_.push_back({path, error});
}

void report::note(const std::string& line) {
  const std::lock_guard lock(mutex_);
  std::fprintf(stderr, "%skfx-store: %s\n", bar_ ? "\r\x1b[K" : "", printable(line).c_str());
}

double report::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
}

void report::start_bar() {
  if (json_ || !::isatty(STDERR_FILENO)) return;
  bar_ = true;
  drawing_ = std::thread([this] {
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, std::chrono::milliseconds(100), [this] { return !bar_; })) draw();
    std::fprintf(stderr, "\r\x1b[K");
  });
}

void report::stop_bar() {
  {
    const std::lock_guard lock(mutex_);
    bar_ = false;
  }
  wake_.notify_all();
  if (drawing_.joinable()) drawing_.join();
}

void report::draw() {
  // The size of a tree is not known before its end, so the bar walks.
  static constexpr int width = 24;
  const int at = static_cast<int>(seconds() * 10) % (2 * width);
  std::string bar(width, '-');
  bar[static_cast<std::size_t>(at < width ? at : 2 * width - 1 - at)] = '#';
  const double mb = static_cast<double>(count.bytes.load()) / 1e6;
  std::fprintf(stderr, "\r\x1b[K[%s] %" PRIu64 " files  %.1f MB  %.1f MB/s", bar.c_str(), count.files.load(), mb,
               mb / seconds());
}

void report::cut_short(const std::string& remote, const std::string& local, const std::system_error& why) {
  stop_bar();
  ++count.failed;
  add(is_remote(why) ? remote : local, sentence({verb_, uri_, remote}, why));
  if (json_) print_json("");
}

void report::print_json(const std::string& explain) {
  const double s = seconds();
  std::printf("{\"verb\":%s,\"uri\":%s,\"bytes\":%" PRIu64 ",\"files\":%" PRIu64 ",\"directories\":%" PRIu64
              ",\"links\":%" PRIu64 ",\"skipped\":%" PRIu64 ",\"failed\":%" PRIu64
              ",\"seconds\":%.6f,\"mb_per_s\":%.3f,\"explain\":%s",
              json(verb_).c_str(), json(uri_).c_str(), count.bytes.load(), count.files.load(), count.directories.load(),
              count.links.load(), count.skipped.load(), count.failed.load(), s,
              static_cast<double>(count.bytes.load()) / 1e6 / s, json(explain).c_str());
  const std::lock_guard lock(mutex_);
  if (!failures_.empty()) {
    std::printf(",%s,\"failures\":[", json_failure(failures_.front().path, failures_.front().error).c_str());
    for (const failure& f : failures_)
      std::printf("%s{%s}", &f == &failures_.front() ? "" : ",", json_failure(f.path, f.error).c_str());
    std::printf("]");
  }
  std::printf("}\n");
}

void report::summary(const std::string& explain) {
  stop_bar();
  if (json_) return print_json(explain);
  const double s = seconds();
  const double mb = static_cast<double>(count.bytes.load()) / 1e6;
  std::printf(
      "%s: %" PRIu64 " bytes, %" PRIu64 " files, %" PRIu64 " directories, %" PRIu64 " links in %.3f s: %.1f MB/s\n",
      verb_.c_str(), count.bytes.load(), count.files.load(), count.directories.load(), count.links.load(), s, mb / s);
  if (const auto n = count.skipped.load()) std::printf("skipped: %" PRIu64 " (neither file, directory nor link)\n", n);
  if (const auto n = count.failed.load()) std::printf("FAILED: %" PRIu64 "\n", n);
  std::printf("moved by: %s\n", explain.c_str());
}

}  // namespace store
