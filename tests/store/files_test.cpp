// SPDX-License-Identifier: BSD-2-Clause
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <csignal>

#include "part_file.hpp"
#include "protocol.hpp"
#include "scratch.hpp"
#include "sparse.hpp"
#include "tree.hpp"

namespace fs = std::filesystem;
using namespace store;
using store_test::read_text;
using store_test::scratch;
using store_test::write_text;

namespace {

kfx::const_buffer bytes_of(std::string_view s) { return std::as_bytes(std::span(s)); }

std::size_t parts_in(const fs::path& p) {
  std::size_t n = 0;
  for (const auto& e : fs::directory_iterator(p)) n += is_part_name(e.path().filename().string());
  return n;
}

}  // namespace

TEST_CASE("a file has its name when it is complete, and never before") {
  scratch s;
  write_text(s.path() / "f", "old");
  {
    part_file part(s.dir(), "f");
    write_at(part.fd(), bytes_of("new content"), 0);
    CHECK(read_text(s.path() / "f") == "old");
    part.publish({0640, 1'000'000'000, 123456789}, true);
  }
  CHECK(read_text(s.path() / "f") == "new content");
  struct stat st {};
  REQUIRE(::stat((s.path() / "f").c_str(), &st) == 0);
  CHECK((st.st_mode & 07777) == 0640);
  CHECK(st.st_mtim.tv_sec == 1'000'000'000);
  CHECK(st.st_mtim.tv_nsec == 123456789);
  { part_file given_up(s.dir(), "f"); }
  CHECK(read_text(s.path() / "f") == "new content");
  CHECK(parts_in(s.path()) == 0);
}

TEST_CASE("small files: content, mode, time; set-user-id only when asked for") {
  scratch s;
  write_small(s.fd(), "f", bytes_of("abc"), {04751, 5, 6}, false);
  struct stat st {};
  REQUIRE(::stat((s.path() / "f").c_str(), &st) == 0);
  CHECK((st.st_mode & 07777) == 0751);
  CHECK(st.st_mtim.tv_sec == 5);
  CHECK(st.st_mtim.tv_nsec == 6);
  CHECK(read_text(s.path() / "f") == "abc");
  keep_set_id(true);
  write_small(s.fd(), "f", bytes_of(""), {04751, 5, 6}, true);
  keep_set_id(false);
  REQUIRE(::stat((s.path() / "f").c_str(), &st) == 0);
  CHECK((st.st_mode & 07777) == 04751);
  CHECK(st.st_size == 0);
  fs::create_directory(s.path() / "d");
  CHECK_THROWS_AS(write_small(s.fd(), "d", bytes_of("x"), {0600, 0, 0}, false), std::system_error);
  CHECK(parts_in(s.path()) == 0);
}

TEST_CASE("a symlink in the way is replaced, not followed") {
  scratch s;
  write_text(s.path() / "victim", "untouched");
  fs::create_symlink("victim", s.path() / "l");
  write_small(s.fd(), "l", bytes_of("mine"), {0600, 0, 0}, false);
  CHECK(read_text(s.path() / "victim") == "untouched");
  CHECK(fs::is_regular_file(fs::symlink_status(s.path() / "l")));
  write_symlink(s.fd(), "l", "nowhere", {0777, 1, 2});
  CHECK(fs::read_symlink(s.path() / "l") == "nowhere");
}

TEST_CASE("a sweep takes what a killed process left, and leaves what is being worked on") {
  scratch s;
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    part_file part(s.dir(), "f");
    write_at(part.fd(), bytes_of("half"), 0);
    (void)!::write(ready[1], "x", 1);
    for (;;) ::pause();
  }
  char c = 0;
  REQUIRE(::read(ready[0], &c, 1) == 1);
  CHECK(sweep(s.fd()) == 0);
  CHECK(parts_in(s.path()) == 1);
  REQUIRE(::kill(child, SIGKILL) == 0);
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  CHECK(sweep_tree(s.fd()) == 1);
  CHECK(parts_in(s.path()) == 0);
  CHECK_FALSE(fs::exists(s.path() / "f"));
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_CASE("holes are found, and a list can be taken up where it ended") {
  scratch s;
  constexpr std::uint64_t mib = 1 << 20;
  const unique_fd fd(::open((s.path() / "sparse").c_str(), O_RDWR | O_CREAT, 0600));
  REQUIRE(::ftruncate(fd.get(), 64 * mib) == 0);
  for (const std::uint64_t at : {std::uint64_t{0}, 8 * mib, 40 * mib}) write_at(fd.get(), bytes_of("data"), at);
  struct stat st {};
  REQUIRE(::fstat(fd.get(), &st) == 0);
  if (st.st_blocks * 512 >= st.st_size) {
    WARN("this file system has no holes");
    return;
  }
  const auto all = data_extents(fd.get(), 0, 64 * mib);
  REQUIRE(all.list.size() == 3);
  CHECK(all.end);
  CHECK(all.list[1].offset == 8 * mib);
  CHECK(all.list[2].length < mib);
  const auto first = data_extents(fd.get(), 0, 64 * mib, 2);
  CHECK(first.list.size() == 2);
  CHECK_FALSE(first.end);
  const auto rest = data_extents(fd.get(), first.next, 64 * mib, 2);
  REQUIRE(rest.list.size() == 1);
  CHECK(rest.list[0].offset == 40 * mib);
  CHECK(rest.end);
  CHECK_FALSE((describe(st).flags & dense));
}

TEST_CASE("packing and unpacking a directory's entries") {
  scratch from, to;
  write_text(from.path() / "empty", "");
  write_text(from.path() / "new\nline", "text");
  write_text(from.path() / "large", std::string(inline_limit + 1, 'x'));
  fs::create_symlink("target", from.path() / "link");
  fs::create_directory(from.path() / "dir");
  std::vector<std::byte> space(packet_bytes);
  packet_writer packet{kfx::mutable_buffer(space)};
  entry e;
  CHECK(pack(packet, from.fd(), "missing", true, e) == packed::gone);
  for (const char* name : {"empty", "new\nline", "large", "link", "dir"})
    REQUIRE(pack(packet, from.fd(), name, true, e) == packed::added);
  packet_reader reader{kfx::const_buffer(space).first(packet.bytes())};
  for (int i = 0; i < 2; ++i) unpack(to.fd(), reader.next().value(), false);
  CHECK_FALSE((reader.next()->head.flags & has_content));
  unpack(to.fd(), reader.next().value(), false);
  CHECK(reader.next()->head.kind == kind::directory);
  CHECK(read_text(to.path() / "new\nline") == "text");
  CHECK(fs::file_size(to.path() / "empty") == 0);
  CHECK(fs::read_symlink(to.path() / "link") == "target");
}

TEST_CASE("hostile entries make nothing") {
  scratch s;
  const auto refused = [&](entry head, std::string_view name, std::string_view data) {
    CHECK_THROWS_AS(unpack(s.fd(), entry_view{head, name, bytes_of(data)}, false), std::system_error);
  };
  const entry file{.kind = kind::file, .flags = has_content, .mode = 0600};
  for (const char* name : {"..", ".", "", "a/b", "../x", "/tmp/x", ".kfx-part.0123456789abcdef"})
    refused(file, name, "x");
  refused({.kind = kind::symlink}, "../l", "t");
  refused({.kind = kind::symlink}, "l", "");
  refused({.kind = kind::symlink}, "l", std::string_view("a\0b", 3));
  refused({.kind = kind::directory}, "d", "");
  refused({.kind = kind::other}, "o", "");
  CHECK(fs::is_empty(s.path()));
}

TEST_CASE("removing a tree does not follow symlinks") {
  scratch s;
  fs::create_directories(s.path() / "tree/a/b/c");
  fs::create_directories(s.path() / "other");
  write_text(s.path() / "other/keep", "keep");
  write_text(s.path() / "tree/a/f", "f");
  write_text(s.path() / "tree/a/.kfx-part.0123456789abcdef", "f");
  fs::create_directory_symlink(s.path() / "other", s.path() / "tree/a/link");
  CHECK_THROWS_AS(remove_at(s.fd(), "tree", false), std::system_error);
  remove_at(s.fd(), "tree", true);
  CHECK_FALSE(fs::exists(s.path() / "tree"));
  CHECK(read_text(s.path() / "other/keep") == "keep");
}
