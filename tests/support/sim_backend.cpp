// SPDX-License-Identifier: BSD-2-Clause
#include "support/sim_backend.hpp"

#include <atomic>
#include <charconv>

#include "backends/loopback/loopback_backend.hpp"
#include "support/sim_link.hpp"

namespace kfx::test {
namespace {

using kfx::backend::failure;
using kfx::backend::uri;

std::variant<std::uint64_t, failure> number(const char* key, const uri& first, const uri& second,
                                            std::uint64_t otherwise) {
  for (const uri* at : {&first, &second}) {
    const auto found = at->query.find(key);
    if (found == at->query.end()) continue;
    const std::string& text = found->second;
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size()) return value;
    return failure{errc::bad_uri, at->to_string() + ": \"" + key + "=" + text + "\" is no number"};
  }
  return otherwise;
}

std::variant<loopback::link_ends, failure> make_sim_ends(const std::string& name, const uri& connecting,
                                                         const uri& listening) {
  const auto seed = number("seed", connecting, listening, 1);
  if (const auto* why = std::get_if<failure>(&seed)) return *why;
  const auto cut_after = number("cut_after", connecting, listening, 0);
  if (const auto* why = std::get_if<failure>(&cut_after)) return *why;
  auto frames = loopback::make_link_ends(name, false);
  if (auto* why = std::get_if<failure>(&frames)) return std::move(*why);

  // Connections of one seed must differ, or a cut would hit every attempt in the same place.
  static std::atomic<std::uint64_t> connections{0};
  const std::uint64_t base = std::get<std::uint64_t>(seed) * 0x9e3779b97f4a7c15u + 4 * ++connections;
  auto& ends = std::get<loopback::link_ends>(frames);
  auto fabric = std::make_shared<sim_fabric>(base);
  const auto cut = static_cast<unsigned>(std::get<std::uint64_t>(cut_after));
  loopback::link_ends made;
  for (unsigned end : {0u, 1u})
    made[end] = std::make_unique<sim_link>(std::move(ends[end]), fabric, end, base + 1 + end, cut, "sim://" + name);
  return made;
}

}  // namespace

void sim_backend::connect(kfx::backend::context& ctx, const uri& at, kfx::backend::on_connected connected) {
  names_.connect(ctx, at, std::move(connected), make_sim_ends);
}

}  // namespace kfx::test
