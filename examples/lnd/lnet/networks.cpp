// SPDX-License-Identifier: BSD-2-Clause
#include "networks.hpp"

#include <algorithm>

#include "text_reader.hpp"

namespace lnet {
namespace {

constexpr std::string_view separators = "()[],";

/// "eth0", "eth0[0-3]".
bool read_interface(text_reader& r, std::vector<interface_spec>& into) {
  const std::size_t at = r.offset();
  interface_spec i;
  i.name = r.word(separators);
  if (i.name.empty()) return r.complain(at, "the name of an interface");
  if (std::any_of(into.begin(), into.end(), [&](const auto& other) { return other.name == i.name; }))
    return r.complain(at, "an interface that this network does not have yet");
  if (r.next() == '[' && !r.list(i.cpts)) return false;
  into.push_back(std::move(i));
  return true;
}

bool read_net(text_reader& r, std::vector<net_spec>& into) {
  const std::size_t at = r.offset();
  const auto n = parse_net(r.word(separators));
  if (!n) return r.complain(at, "a network like tcp, o2ib1 or kfx2");
  if (n->kind == kind_lo) return r.complain(at, "a network other than lo, which is always there");
  if (std::any_of(into.begin(), into.end(), [&](const auto& other) { return other.net == *n; }))
    return r.complain(at, "a network that was not there before");
  net_spec s{*n, {}, {}};
  if (r.take("(") != '\0') {
    do
      if (!read_interface(r, s.interfaces)) return false;
    while (r.take(",") != '\0');
    if (!r.need(')', "\",\", \")\" or a list of CPTs in brackets")) return false;
  }
  if (r.next() == '[' && !r.list(s.cpts)) return false;
  into.push_back(std::move(s));
  return true;
}

bool read_networks(text_reader& r, std::vector<net_spec>& into) {
  if (r.over()) return true;
  do
    if (!read_net(r, into)) return false;
  while (r.take(",") != '\0');
  return r.over() || r.complain(r.offset(), "\",\" and another network, or the end");
}

std::string in_brackets(const std::vector<unsigned>& cpts) {
  return cpts.empty() ? std::string() : "[" + cpts_text(cpts) + "]";
}

}  // namespace

bool parse_networks(std::string_view text, std::vector<net_spec>& out, std::string& why) {
  text_reader r(text);
  std::vector<net_spec> nets;
  if (!read_networks(r, nets)) {
    why = r.why();
    return false;
  }
  out = std::move(nets);
  return true;
}

bool parse_cpts(std::string_view text, std::vector<unsigned>& out, std::string& why) {
  text_reader r(text);
  std::vector<unsigned> cpts;
  if (!r.numbers(cpts) || !(r.over() || r.complain(r.offset(), "\",\" and another number, or the end"))) {
    why = r.why();
    return false;
  }
  out = std::move(cpts);
  return true;
}

std::string cpts_text(const std::vector<unsigned>& cpts) {
  std::string text;
  for (std::size_t i = 0; i < cpts.size();) {
    std::size_t last = i;
    while (last + 1 < cpts.size() && cpts[last + 1] == cpts[last] + 1) ++last;
    text += (text.empty() ? "" : ",") + std::to_string(cpts[i]);
    if (last != i) text += "-" + std::to_string(cpts[last]);
    i = last + 1;
  }
  return text;
}

std::string to_string(const net_spec& s) {
  std::string text;
  for (const interface_spec& i : s.interfaces) text += (text.empty() ? "(" : ",") + i.name + in_brackets(i.cpts);
  if (!text.empty()) text += ")";
  return to_string(s.net) + text + in_brackets(s.cpts);
}

}  // namespace lnet
