// SPDX-License-Identifier: BSD-2-Clause
#include "json.hpp"

#include <boost/json/src.hpp>
#include <cstdio>

namespace tool {
namespace {

void layout(std::string& to, const json::value& v, std::string indent) {
  const auto list = [&](char open, char close, const auto& items, const auto& item) {
    if (items.empty()) return (void)((to += open) += close);
    to += open;
    const char* separator = "\n";
    for (const auto& i : items) {
      to += separator + indent + "  ";
      item(i);
      separator = ",\n";
    }
    ((to += "\n") += indent) += close;
  };
  if (v.is_object()) {
    list('{', '}', v.get_object(), [&](const json::key_value_pair& p) {
      to += json::serialize(p.key()) + ": ";
      layout(to, p.value(), indent + "  ");
    });
  } else if (v.is_array()) {
    list('[', ']', v.get_array(), [&](const json::value& i) { layout(to, i, indent + "  "); });
  } else {
    to += json::serialize(v);
  }
}

}  // namespace

void print(const json::value& v) {
  std::string text;
  layout(text, v, "");
  std::puts(text.c_str());
}

}  // namespace tool
