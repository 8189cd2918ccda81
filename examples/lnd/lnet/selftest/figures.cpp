// SPDX-License-Identifier: BSD-2-Clause
#include "figures.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "output.hpp"

namespace lnet::selftest {

namespace {

constexpr double mib = 1 << 20;

/// A node that was started anew counts from zero.
std::uint64_t grown(std::uint64_t before, std::uint64_t after) { return after >= before ? after - before : after; }

template <class Value>
spread spread_of(const std::vector<node_interval>& nodes, Value value) {
  spread s;
  bool first = true;
  for (const node_interval& n : nodes) {
    const double seconds = n.seconds();
    const double v = seconds > 0 ? static_cast<double>(grown(value(n.before), value(n.after))) / seconds : 0;
    s.average += v / static_cast<double>(nodes.size());
    s.least = first ? v : std::min(s.least, v);
    s.most = first ? v : std::max(s.most, v);
    first = false;
  }
  return s;
}

std::string row(std::string_view what, const spread& s, double unit) {
  return fmt::format("  {:<10} {:>14.2f} {:>14.2f} {:>14.2f}\n", what, s.average / unit, s.least / unit, s.most / unit);
}

std::string json(const spread& s, double unit) {
  return fmt::format(R"({{"avg":{:.3f},"min":{:.3f},"max":{:.3f}}})", s.average / unit, s.least / unit, s.most / unit);
}

}  // namespace

std::string json_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

group_figures figures_of(std::string group, const std::vector<node_interval>& nodes, std::size_t silent) {
  using stats = node_statistics;
  group_figures f;
  f.group = std::move(group);
  f.nodes = nodes.size();
  f.silent = silent;
  f.rpcs_in = spread_of(nodes, [](const stats& s) { return s.rpcs_received; });
  f.rpcs_out = spread_of(nodes, [](const stats& s) { return s.rpcs_sent; });
  f.bytes_in = spread_of(nodes, [](const stats& s) { return s.bytes_received; });
  f.bytes_out = spread_of(nodes, [](const stats& s) { return s.bytes_sent; });
  for (const node_interval& n : nodes) {
    f.seconds = std::max(f.seconds, n.seconds());
    for (auto field : {&stats::rpcs_sent, &stats::rpcs_completed, &stats::rpcs_received, &stats::dropped,
                       &stats::expired, &stats::errors, &stats::ping_errors, &stats::brw_errors, &stats::bytes_sent,
                       &stats::bytes_received, &stats::lnet_sent, &stats::lnet_received, &stats::lnet_dropped}) {
      f.sum.*field += grown(n.before.*field, n.after.*field);
    }
  }
  return f;
}

std::string table(const group_figures& f, const table_style& style) {
  std::string text = fmt::format("{}: {} nodes{}, {:.2f} s\n", f.group, f.nodes,
                                 f.silent ? fmt::format(" ({} silent)", f.silent) : "", f.seconds);
  text += fmt::format("  {:<10} {:>14} {:>14} {:>14}\n", "", "avg", "min", "max");
  if (style.rate) text += row("RPC/s in", f.rpcs_in, 1) + row("RPC/s out", f.rpcs_out, 1);
  if (style.bandwidth) {
    const double unit = style.megabytes ? 1e6 : mib;
    text += row(style.megabytes ? "MB/s in" : "MiB/s in", f.bytes_in, unit);
    text += row(style.megabytes ? "MB/s out" : "MiB/s out", f.bytes_out, unit);
  }
  text += fmt::format("  RPCs: errors {}, sent {}, received {}, dropped {}, expired {}\n", f.sum.errors,
                      f.sum.rpcs_sent, f.sum.rpcs_received, f.sum.dropped, f.sum.expired);
  return text;
}

std::string json(const group_figures& f) {
  const node_statistics& s = f.sum;
  return fmt::format(
      R"({{"stat":{},"nodes":{},"silent":{},"seconds":{:.6f},"rpc_per_s":{{"in":{},"out":{}}},)"
      R"("mib_per_s":{{"in":{},"out":{}}},"rpcs_sent":{},"rpcs_completed":{},"rpcs_received":{},"dropped":{},)"
      R"("expired":{},"errors":{},"ping_errors":{},"brw_errors":{},"bytes_sent":{},"bytes_received":{},)"
      R"("lnet_sent":{},"lnet_received":{},"lnet_dropped":{}}})",
      json_text(f.group), f.nodes, f.silent, f.seconds, json(f.rpcs_in, 1), json(f.rpcs_out, 1), json(f.bytes_in, mib),
      json(f.bytes_out, mib), s.rpcs_sent, s.rpcs_completed, s.rpcs_received, s.dropped, s.expired, s.errors,
      s.ping_errors, s.brw_errors, s.bytes_sent, s.bytes_received, s.lnet_sent, s.lnet_received, s.lnet_dropped);
}

double test_figures::rpcs_per_s() const noexcept {
  return sum.elapsed_us ? static_cast<double>(sum.completed) * 1e6 / static_cast<double>(sum.elapsed_us) : 0;
}
double test_figures::mib_per_s() const noexcept {
  return sum.elapsed_us ? static_cast<double>(sum.bytes) * 1e6 / static_cast<double>(sum.elapsed_us) / mib : 0;
}

std::string line(const test_figures& f) {
  return fmt::format(
      "{} test {}: {}, {} clients{}: {} RPCs in {:.2f} s, {:.1f} RPC/s, {:.2f} MiB/s, {} errors ({} expired, {} "
      "corrupt)\n",
      f.batch, f.test, f.what, f.clients, f.sum.active ? fmt::format(", {} loops run", f.sum.active) : "",
      f.sum.completed, static_cast<double>(f.sum.elapsed_us) / 1e6, f.rpcs_per_s(), f.mib_per_s(), f.sum.failed,
      f.sum.expired, f.sum.corrupt);
}

std::string json(const test_figures& f) {
  return fmt::format(
      R"({{"batch":{},"test":{},"what":{},"clients":{},"active":{},"rpcs":{},"errors":{},"expired":{},"corrupt":{},)"
      R"("bytes":{},"seconds":{:.6f},"rpc_per_s":{:.3f},"mib_per_s":{:.3f}}})",
      json_text(f.batch), f.test, json_text(f.what), f.clients, f.sum.active, f.sum.completed, f.sum.failed,
      f.sum.expired, f.sum.corrupt, f.sum.bytes, static_cast<double>(f.sum.elapsed_us) / 1e6, f.rpcs_per_s(),
      f.mib_per_s());
}

}  // namespace lnet::selftest
