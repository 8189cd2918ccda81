// SPDX-License-Identifier: BSD-2-Clause
#include "kfx/options.hpp"

#include <charconv>
#include <cstdlib>
#include <limits>
#include <span>
#include <string_view>
#include <type_traits>

#include "base/knobs.hpp"
#include "base/placement_text.hpp"
#include "kfx/types.hpp"

namespace kfx {

namespace {

using text = std::string_view;

struct unit {
  text name;
  std::uint64_t factor;
};
constexpr unit time_units[] = {{"us", 1}, {"ms", 1000}, {"s", 1000000}, {"min", 60000000}};
constexpr unit size_units[] = {{"", 1}, {"B", 1}, {"KiB", 1024}, {"MiB", 1024 * 1024}, {"GiB", 1024 * 1024 * 1024}};
constexpr unit plain_units[] = {{"", 1}};

/// A whole number followed by one of `units`, times the unit's factor. An empty `why`: it went well.
std::uint64_t number(text value, std::span<const unit> units, text expected, std::string& why) {
  std::uint64_t n = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), n);
  if (error == std::errc::result_out_of_range) return why = "the number is too large", 0;
  if (error != std::errc()) return why = "it takes " + std::string(expected), 0;
  const text suffix(end, static_cast<std::size_t>(value.data() + value.size() - end));
  for (const unit& u : units) {
    if (u.name != suffix) continue;
    if (n > std::numeric_limits<std::int64_t>::max() / 1000 / u.factor) return why = "the number is too large", 0;
    return n * u.factor;
  }
  return why = "it takes " + std::string(expected), 0;
}

std::vector<std::string> split(text value, char separator) {
  std::vector<std::string> parts;
  while (!value.empty()) {
    const std::size_t end = std::min(value.find(separator), value.size());
    if (end > 0) parts.emplace_back(value.substr(0, end));
    value.remove_prefix(std::min(end + 1, value.size()));
  }
  return parts;
}

// Setters write only when `why` stays empty.

template <auto Member>
void set_text(options& o, text value, std::string&) {
  o.*Member = value;
}

void set_listen(options& o, text value, std::string&) { o.listen = split(value, ','); }

void set_progress(options& o, text value, std::string& why) {
  if (value == "threads")
    o.progress = progress::threads;
  else if (value == "caller")
    o.progress = progress::caller;
  else
    why = "it takes threads or caller";
}

void set_direct(options& o, text value, std::string& why) {
  if (value == "on" || value == "true" || value == "yes" || value == "1")
    o.direct = true;
  else if (value == "off" || value == "false" || value == "no" || value == "0")
    o.direct = false;
  else
    why = "it takes on or off";
}

/// Text with a syntax.
template <auto Member, class Syntax>
void set_parsed(options& o, text value, std::string& why) {
  if (Syntax::parse(value, &why)) o.*Member = value;
}

template <auto Member, bool ZeroAllowed>
void set_time(options& o, text value, std::string& why) {
  using duration = std::remove_reference_t<decltype(o.*Member)>;
  const std::uint64_t us = number(value, time_units, "a whole number with a unit: us, ms, s or min", why);
  if (!why.empty()) return;
  const auto d = std::chrono::duration_cast<duration>(std::chrono::microseconds(us));
  if (!ZeroAllowed && d.count() == 0)
    why = std::is_same_v<duration, std::chrono::milliseconds> ? "it must be 1ms at least" : "it must not be zero";
  else if (d > std::chrono::hours(24 * 365))
    why = "it must be a year at most";
  else
    o.*Member = d;
}

template <auto Member, std::size_t Least, std::size_t Most>
void set_number(options& o, text value, std::string& why, std::span<const unit> units, text expected) {
  const std::uint64_t n = number(value, units, expected, why);
  if (why.empty() && (n < Least || n > Most))
    why = "it must be from " + std::to_string(Least) + " to " + std::to_string(Most);
  if (why.empty()) o.*Member = n;
}

template <auto Member, std::size_t Least, std::size_t Most>
void set_size(options& o, text value, std::string& why) {
  set_number<Member, Least, Most>(o, value, why, size_units, "a number of bytes: 4096, 64KiB, 1MiB");
}

template <auto Member, std::size_t Least, std::size_t Most>
void set_count(options& o, text value, std::string& why) {
  set_number<Member, Least, Most>(o, value, why, plain_units, "a whole number without a unit");
}

/// Still at its default, so that the environment may fill it.
template <auto Member>
bool untouched(const options& o) {
  return o.*Member == options().*Member;
}

struct knob {
  text name;
  bool uri;
  void (*set)(options&, text value, std::string& why);
  bool (*untouched)(const options&);  ///< null: not for the environment
};

// An eager payload shares its frame with a header; a slice is one frame.
constexpr knob knobs[] = {
    {"listen", false, set_listen, untouched<&options::listen>},
    {"name", false, set_text<&options::name>, untouched<&options::name>},
    {"progress", false, set_progress, nullptr},
    {"partitions", false, set_parsed<&options::partitions, base::cpu_pattern>, untouched<&options::partitions>},
    {"placement", false, set_parsed<&options::placement, base::placement_policy>, untouched<&options::placement>},
    {"spin", false, set_time<&options::spin, true>, untouched<&options::spin>},
    {"limit", true, set_time<&options::limit, false>, untouched<&options::limit>},
    {"keepalive", true, set_time<&options::keepalive, false>, untouched<&options::keepalive>},
    {"idle", true, set_time<&options::idle, true>, untouched<&options::idle>},
    {"retention", true, set_time<&options::retention, true>, untouched<&options::retention>},
    {"backoff", true, set_time<&options::backoff, false>, untouched<&options::backoff>},
    {"eager", true, set_size<&options::eager, 0, limits::frame - limits::header>, untouched<&options::eager>},
    {"slice", true, set_size<&options::slice, 1024, limits::frame>, untouched<&options::slice>},
    {"credits", false, set_count<&options::credits, 1, 65536>, untouched<&options::credits>},
    {"max_ops", false, set_count<&options::max_ops, 1, (1u << 23)>, untouched<&options::max_ops>},
    {"require", true, set_text<&options::require>, untouched<&options::require>},
    {"backends", false, set_text<&options::backends>, untouched<&options::backends>},
    {"direct", true, set_direct, untouched<&options::direct>},
};

const knob* find(text name) {
  for (const knob& k : knobs)
    if (k.name == name) return &k;
  return nullptr;
}

std::string all_names() {
  std::string list;
  for (const knob& k : knobs) list += (list.empty() ? "" : ", ") + std::string(k.name);
  return list;
}

std::string variable_name(text knob_name) {
  std::string name = "KFX_";
  for (char c : knob_name) name += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return name;
}

}  // namespace

std::error_code options::set(const std::string& knob_name, const std::string& value, std::string* why) {
  std::string reason;
  if (const knob* k = find(knob_name)) {
    k->set(*this, value, reason);
    if (reason.empty()) return {};
    reason = "the option " + knob_name + " cannot be \"" + value + "\": " + reason;
  } else {
    reason = "there is no option \"" + knob_name + "\"; there are " + all_names();
  }
  if (why) *why = std::move(reason);
  return make_error_code(errc::bad_option);
}

// Other variables that begin with KFX_ are none of the library's business: programs and tests have their own.
result<options> options::from_environment(options o, std::string* why) {
  for (const knob& k : knobs) {
    if (!k.untouched) continue;
    const std::string variable = variable_name(k.name);
    const char* value = std::getenv(variable.c_str());
    if (!value || !*value || !k.untouched(o)) continue;
    std::string reason;
    k.set(o, value, reason);
    if (reason.empty()) continue;
    if (why) *why = "the environment variable " + variable + " cannot be \"" + value + "\": " + reason;
    return make_error_code(errc::bad_option);
  }
  return o;
}

namespace base {

std::vector<std::string_view> knob_names() {
  std::vector<std::string_view> names;
  for (const knob& k : knobs) names.push_back(k.name);
  return names;
}

bool is_uri_knob(std::string_view name) noexcept {
  const knob* k = find(name);
  return k && k->uri;
}

}  // namespace base

}  // namespace kfx
