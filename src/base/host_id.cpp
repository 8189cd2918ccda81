// SPDX-License-Identifier: BSD-2-Clause
#include "base/host_id.hpp"

#include <openssl/sha.h>
#include <unistd.h>

#include <array>
#include <fstream>

#include "base/random.hpp"

namespace kfx::base {

namespace {
// Hashed, since the id travels to every peer and the boot id is nobody else's business.
std::string make_host_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string boot_id;
  // Without /proc nobody can be recognised as a neighbour; a random id says just that.
  if (!std::getline(file, boot_id) || boot_id.empty()) return random_id();
  const std::string text = "kfx host " + boot_id;
  std::array<std::byte, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  return to_hex(std::span(digest).first(16));
}
}  // namespace

const std::string& host_id() {
  static const std::string id = make_host_id();
  return id;
}

std::string process_id() {
  static const std::string random = random_id();
  return random + "-" + std::to_string(::getpid());
}

}  // namespace kfx::base
