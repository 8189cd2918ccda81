// SPDX-License-Identifier: BSD-2-Clause
#include "safe_path.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <cstdio>
#include <thread>

#include "part_file.hpp"
#include "protocol.hpp"
#include "scratch.hpp"

namespace fs = std::filesystem;
using namespace store;
using store_test::read_text;
using store_test::scratch;
using store_test::write_text;

namespace {

int error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const std::system_error& e) {
    return e.code().value();
  }
  return 0;
}

std::string content(const unique_fd& fd) {
  std::string text(64, '\0');
  text.resize(read_at(fd.get(), std::as_writable_bytes(std::span(text)), 0));
  return text;
}

/// A served directory with everything that could lead out of it.
struct served {
  scratch s;
  fs::path root = s.path() / "root";
  unique_fd fd;
  served() {
    fs::create_directories(root / "a/b");
    fs::create_directories(s.path() / "outside");
    write_text(s.path() / "outside/secret", "secret");
    write_text(root / "a/b/file", "inside");
    fs::create_symlink("../outside/secret", root / "out");
    fs::create_symlink(s.path() / "outside", root / "out_dir");
    fs::create_symlink("a/b/file", root / "in");
    fs::create_symlink("b", root / "a/in_dir");
    fs::create_symlink("/proc/self/root", root / "magic");
    fs::create_symlink("loop", root / "loop");
    fd = unique_fd(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
};

}  // namespace

TEST_CASE("clean_path keeps what names something below, and nothing else") {
  CHECK(clean_path("") == "");
  CHECK(clean_path(".") == "");
  CHECK(clean_path("./a//b/./c/") == "a/b/c");
  CHECK(clean_path("...") == "...");
  CHECK(clean_path("a b\n\xc3\xa4") == "a b\n\xc3\xa4");
  for (const char* bad : {"..", "../x", "a/..", "a/../../b", "/", "/etc/passwd", "a/.kfx-part.0123456789abcdef/b"})
    CHECK(error_of([&] { clean_path(bad); }) == EPERM);
  CHECK(error_of([] { clean_path(std::string_view("a\0b", 3)); }) == EINVAL);
  CHECK(error_of([] { clean_path(std::string(256, 'x')); }) == ENAMETOOLONG);
  CHECK(clean_path(std::string(255, 'x')).size() == 255);
  CHECK(error_of([] { clean_path(std::string(max_path + 1, '/')); }) == ENAMETOOLONG);
}

TEST_CASE("nothing outside is opened, by the kernel's resolution and by walking") {
  const bool by_kernel = GENERATE(true, false);
  use_openat2(by_kernel);
  INFO("by_kernel " << by_kernel);
  served d;
  const int root = d.fd.get();
  CHECK(content(open_file(root, "a/b/file")) == "inside");
  for (const char* bad : {"out", "out_dir/secret", "magic/etc/hostname", "loop", "../outside/secret"})
    CHECK(error_of([&] { open_file(root, bad); }) != 0);
  CHECK(error_of([&] { open_dir(root, "out_dir"); }) != 0);
  CHECK(error_of([&] { open_dir(root, "out_dir", links::inside); }) != 0);
  CHECK(error_of([&] { open_dir(root, "a/in_dir"); }) != 0);
  CHECK(error_of([&] { make_dirs(root, "out_dir/new"); }) != 0);
  CHECK(error_of([&] { make_dirs(root, "a/in_dir/new"); }) != 0);
  CHECK_FALSE(fs::exists(d.s.path() / "outside/new"));
  CHECK_FALSE(fs::exists(d.root / "a/b/new"));
  CHECK(error_of([&] { open_file(root, "a"); }) == EISDIR);
  if (by_kernel) {
    CHECK(content(open_file(root, "in")) == "inside");
    CHECK(content(open_file(root, "a/in_dir/file")) == "inside");
    CHECK(error_of([&] { open_file(root, "out"); }) == EPERM);
  }
  use_openat2(true);
}

TEST_CASE("a FIFO is refused and does not block") {
  served d;
  REQUIRE(::mkfifo((d.root / "pipe").c_str(), 0600) == 0);
  CHECK(error_of([&] { open_file(d.fd.get(), "pipe"); }) == EINVAL);
  CHECK(error_of([&] { open_file_at(d.fd.get(), "pipe"); }) == EINVAL);
}

TEST_CASE("make_dirs makes what is missing and says what was there") {
  const bool by_kernel = GENERATE(true, false);
  use_openat2(by_kernel);
  served d;
  bool existed = true;
  make_dirs(d.fd.get(), "x/y/z", &existed);
  CHECK_FALSE(existed);
  CHECK(fs::is_directory(d.root / "x/y/z"));
  make_dirs(d.fd.get(), "x/y", &existed);
  CHECK(existed);
  CHECK(error_of([&] { make_dirs(d.fd.get(), "a/b/file/c"); }) == ENOTDIR);
  use_openat2(true);
}

TEST_CASE("exchanging a directory with a symlink to the outside never lets the outside through") {
  const bool by_kernel = GENERATE(true, false);
  use_openat2(by_kernel);
  served d;
  fs::create_directories(d.root / "swap/real");
  write_text(d.root / "swap/real/secret", "inside");
  fs::create_directory_symlink(d.s.path() / "outside", d.root / "swap/link");
  std::atomic<bool> stop{false};
  std::atomic<unsigned> exchanges{0};
  std::thread racer([&] {
    const std::string a = d.root / "swap/real";
    const std::string b = d.root / "swap/link";
    while (!stop) {
      if (::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0) ++exchanges;
    }
  });
  unsigned opened = 0, refused = 0, leaked = 0;
  while ((opened < 2000 || refused < 2000) && opened + refused < 2'000'000) {
    try {
      const std::string got = content(open_file(d.fd.get(), "swap/real/secret"));
      ++opened;
      leaked += got != "inside";
    } catch (const std::system_error&) {
      ++refused;
    }
  }
  stop = true;
  racer.join();
  use_openat2(true);
  CHECK(leaked == 0);
  CHECK(opened > 0);
  CHECK(refused > 0);
  CHECK(exchanges > 0);
}
