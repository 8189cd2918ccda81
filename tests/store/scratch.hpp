// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A directory that is gone after the test.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "unique_fd.hpp"

namespace store_test {

class scratch {
 public:
  scratch() {
    ::umask(0);  // as the program does
    std::string name = (std::filesystem::temp_directory_path() / "kfx-store-XXXXXX").string();
    if (!::mkdtemp(name.data())) store::fail(errno, name);
    path_ = name;
    fd_ = store::unique_fd(::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  ~scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }
  int fd() const { return fd_.get(); }
  store::shared_dir dir() const { return std::make_shared<const store::unique_fd>(::dup(fd_.get())); }

 private:
  std::filesystem::path path_;
  store::unique_fd fd_;
};

inline void write_text(const std::filesystem::path& p, const std::string& text) {
  std::ofstream(p, std::ios::binary) << text;
}
inline std::string read_text(const std::filesystem::path& p) {
  std::ifstream in(p, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace store_test
