// SPDX-License-Identifier: BSD-2-Clause
#include "base/random.hpp"

#include <openssl/rand.h>

#include <array>

#include "kfx/error.hpp"

namespace kfx::base {

void random_bytes(std::span<std::byte> out) {
  // OpenSSL's generator notices a fork by itself, which a buffer of our own would not.
  if (RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(out.size())) != 1)
    throw error(errc::out_of_resources,
                "the system's random number generator gave nothing, so no key can be made; check that /dev/urandom or "
                "getrandom(2) is available to this process");
}

std::uint64_t random_u64() {
  std::uint64_t v = 0;
  while (v == 0) random_bytes(std::as_writable_bytes(std::span(&v, 1)));
  return v;
}

std::string random_id() {
  std::array<std::byte, 16> bytes{};
  random_bytes(bytes);
  return to_hex(bytes);
}

std::string to_hex(std::span<const std::byte> bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (std::byte b : bytes) {
    text += digits[std::to_integer<unsigned>(b) >> 4];
    text += digits[std::to_integer<unsigned>(b) & 15];
  }
  return text;
}

}  // namespace kfx::base
