// SPDX-License-Identifier: BSD-2-Clause
#include "setup.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <stdexcept>

#include "networks.hpp"

namespace lnet {
namespace {

[[noreturn]] void refuse(const std::string& why) { throw std::invalid_argument(why); }

/// A list, or nothing where there is none.
std::vector<YAML::Node> elements(const YAML::Node& map, const std::string& key, const std::string& where) {
  const YAML::Node list = map[key];
  if (!list || list.IsNull()) return {};
  if (!list.IsSequence()) refuse(where + ": \"" + key + "\" must be a list");
  std::vector<YAML::Node> all;
  for (const YAML::Node& n : list) {
    if (!n.IsMap()) refuse(where + ": \"" + key + "\" must be a list of maps");
    all.push_back(n);
  }
  return all;
}

std::string scalar(const YAML::Node& map, const std::string& key, const std::string& where) {
  const YAML::Node value = map[key];
  if (!value || !value.IsScalar()) refuse(where + ": \"" + key + "\" is missing, or no plain value");
  return value.Scalar();
}

/// "[0,2-3]" or "0,2-3", in brackets.
std::string cpts_of(const YAML::Node& ni, const std::string& where) {
  const YAML::Node value = ni["CPT"];
  if (!value || value.IsNull()) return {};
  if (!value.IsScalar()) refuse(where + ": \"CPT\" must be a text like \"[0,1]\"");
  std::string_view text = value.Scalar();
  if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  std::vector<unsigned> cpts;
  std::string why;
  if (!parse_cpts(text, cpts, why)) refuse(where + ": \"CPT\" " + why);
  return "[" + cpts_text(cpts) + "]";
}

std::vector<std::string> interfaces_of(const YAML::Node& ni, const std::string& where) {
  const YAML::Node map = ni["interfaces"];
  if (!map || map.IsNull()) return {};
  if (!map.IsMap()) refuse(where + ": \"interfaces\" must be a map like 0: eth0");
  std::vector<std::string> names;
  for (const auto& entry : map) {
    if (!entry.second.IsScalar()) refuse(where + ": \"interfaces\" must be a map like 0: eth0");
    names.push_back(entry.second.Scalar());
  }
  return names;
}

/// Nothing for the loopback network.
void add_net(const YAML::Node& item, const std::string& where, bool remove, std::vector<request>& out) {
  const std::string type = scalar(item, "net type", where);
  const auto n = parse_net(type);
  if (!n) refuse(where + ": \"" + type + "\" is no network");
  if (n->kind == kind_lo) return;
  if (remove) {
    out.push_back({{"net", "del"}, {{"--net", to_string(*n)}}});
    return;
  }
  request r{{"net", "add"}, {{"--net", to_string(*n)}}};
  std::string interfaces;
  const auto nis = elements(item, "local NI(s)", where);
  for (const YAML::Node& ni : nis) {
    const std::string cpts = cpts_of(ni, where);
    const auto names = interfaces_of(ni, where);
    if (names.empty() && nis.size() > 1) refuse(where + ": of several NIs each needs its interface");
    if (names.empty() && !cpts.empty()) r.options["--cpt"] = cpts.substr(1, cpts.size() - 2);
    for (const std::string& name : names) interfaces += (interfaces.empty() ? "" : ",") + name + cpts;
  }
  if (!interfaces.empty()) r.options["--if"] = interfaces;
  out.push_back(std::move(r));
}

std::string nid_of(const YAML::Node& map, const std::string& key, const std::string& where) {
  const std::string text = scalar(map, key, where);
  const auto n = parse_nid(text);
  if (!n || n->is_any()) refuse(where + ": \"" + text + "\" is no NID");
  return to_string(*n);
}

void add_peer(const YAML::Node& item, const std::string& where, bool remove, std::vector<request>& out) {
  const std::string primary = nid_of(item, "primary nid", where);
  if (remove) {
    out.push_back({{"peer", "del"}, {{"--prim_nid", primary}}});
    return;
  }
  request r{{"peer", "add"}, {{"--prim_nid", primary}}};
  std::string others;
  for (const YAML::Node& ni : elements(item, "peer ni", where))
    if (const std::string n = nid_of(ni, "nid", where); n != primary) others += (others.empty() ? "" : ",") + n;
  if (!others.empty()) r.options["--nid"] = others;
  out.push_back(std::move(r));
}

template <typename Each>
void each_of(const YAML::Node& root, const std::string& key, Each&& each) {
  std::size_t number = 0;
  for (const YAML::Node& item : elements(root, key, "the document")) {
    const int line = item.Mark().line;
    each(item, key + " " + std::to_string(++number) + (line < 0 ? "" : " (line " + std::to_string(line + 1) + ")"));
  }
}

}  // namespace

bool setup_requests(std::string_view document, bool remove, std::vector<request>& out, std::string& why) {
  try {
    const YAML::Node root = YAML::Load(std::string(document));
    if (!root.IsMap()) refuse("the document must be a map with \"net\" or \"peer\", or both");
    if (!root["net"] && !root["peer"]) refuse("the document has neither \"net\" nor \"peer\"");
    std::vector<request> all;
    each_of(root, "net", [&](const auto& item, const auto& where) { add_net(item, where, remove, all); });
    each_of(root, "peer", [&](const auto& item, const auto& where) { add_peer(item, where, remove, all); });
    // Nothing is done for a document of which one part cannot be.
    std::string line;
    for (const request& r : all)
      if (!r.line(line, why)) return false;
    if (remove) std::reverse(all.begin(), all.end());
    out = std::move(all);
    return true;
  } catch (const YAML::Exception& e) {
    why = std::string("it is no YAML that can be used: ") + e.what();
  } catch (const std::invalid_argument& e) {
    why = e.what();
  }
  return false;
}

}  // namespace lnet
