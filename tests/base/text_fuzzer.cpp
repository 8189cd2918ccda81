// SPDX-License-Identifier: BSD-2-Clause
// Text and bytes from strangers: URIs, knobs in their queries, tokens; and the patterns of CPUs. The first byte says
// which.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/knobs.hpp"
#include "base/placement_text.hpp"
#include "kfx/backend/backend.hpp"
#include "kfx/options.hpp"
#include "kfx/remote_region.hpp"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void uri(const std::string& text) {
  using kfx::backend::uri;
  std::string why;
  const auto u = uri::parse(text, &why);
  if (!u) return require(u.error() == kfx::errc::bad_uri && !why.empty());
  const auto again = uri::parse(u->to_string());
  require(again && again->scheme == u->scheme && again->host == u->host && again->port == u->port &&
          again->path == u->path && again->query == u->query);
}

// The rest: a knob's number, then its value.
void knob(const std::string& text) {
  static const auto names = kfx::base::knob_names();
  if (text.empty()) return;
  kfx::options o;
  std::string why;
  const std::string name(names[static_cast<unsigned char>(text[0]) % names.size()]);
  const auto e = o.set(name, text.substr(1), &why);
  require(e ? e == kfx::errc::bad_option && !why.empty() : why.empty());
  require(o.limit.count() > 0 && o.keepalive.count() > 0 && o.backoff.count() > 0 && o.slice >= 1024 && o.credits > 0 &&
          o.max_ops > 0 && o.idle.count() >= 0 && o.spin.count() >= 0);
}

void token(const std::string& bytes) {
  const auto t = kfx::remote_region::decode(std::as_bytes(std::span(bytes)));
  if (!t) return require(t.error() == kfx::errc::protocol_error);
  const auto again = t->encode();
  require(std::string(reinterpret_cast<const char*>(again.data()), again.size()) == bytes);
  const auto slice = t->at(t->raw().key, t->raw().incarnation);
  require(slice.length() <= t->length() && slice.length() <= ~std::uint64_t{0} - slice.raw().offset);
}

void pattern(const std::string& text) {
  using kfx::base::cpu_pattern;
  std::string why;
  const auto p = cpu_pattern::parse(text, &why);
  if (!p) return require(p.error() == kfx::errc::bad_option && why.starts_with("at offset "));
  require(why.empty() && cpu_pattern::parse(p->to_string()).value() == *p);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0:
      uri(text);
      break;
    case 1:
      knob(text);
      break;
    case 2:
      token(text);
      break;
    default:
      pattern(text);
  }
  return 0;
}
