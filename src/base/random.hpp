// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Unguessable numbers: keys of regions, nonces, identities. Any thread.

#include <cstdint>
#include <span>
#include <string>

namespace kfx::base {

/// Fills `out`. Throws kfx::error (out_of_resources) when the system has no randomness to give, because a
/// guessable key would be worse than a failure.
void random_bytes(std::span<std::byte> out);
/// Never 0, so that 0 can mean "none".
std::uint64_t random_u64();
/// 16 random bytes as 32 hexadecimal digits.
std::string random_id();
/// Lower-case hexadecimal digits.
std::string to_hex(std::span<const std::byte> bytes);

}  // namespace kfx::base
