// SPDX-License-Identifier: BSD-2-Clause
#include "plot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <stdexcept>

#include "units.hpp"

namespace tool {
namespace {

constexpr double left = 70, top = 44, width = 560, height = 340, legend = 190, bottom = 56;
constexpr std::array colours{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#4d4d4d", "#7f3c8d"};

std::string escaped(const std::string& s) {
  std::string out;
  for (char c : s) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else
      out += c;
  }
  return out;
}

/// A logarithmic axis: where a value lies in [0, 1].
struct axis {
  double low = std::numeric_limits<double>::infinity();
  double high = 0;
  void see(double v) {
    low = std::min(low, v);
    high = std::max(high, v);
  }
  /// Out to whole powers, so that ticks stand at both ends.
  void round_to(double base) {
    if (high == 0) low = high = 1;
    low = std::pow(base, std::floor(std::log(low) / std::log(base) + 1e-9));
    high = std::pow(base, std::ceil(std::log(high) / std::log(base) - 1e-9));
    if (high <= low) high = low * base;
  }
  double at(double v) const { return std::log(v / low) / std::log(high / low); }
};

double x_of(const axis& a, double v) { return left + width * a.at(v); }
double y_of(const axis& a, double v) { return top + height * (1 - a.at(v)); }

void grid(std::string& s, const axis& x, const axis& y) {
  const double powers = std::log2(x.high / x.low);
  const double step = std::exp2(std::ceil(powers / 8));
  for (double v = x.low; v <= x.high * 1.01; v *= step) {
    const double at = x_of(x, v);
    s += fmt::format("<line x1='{0:.1f}' y1='{1}' x2='{0:.1f}' y2='{2}' stroke='#ddd'/>\n", at, top, top + height);
    s += fmt::format("<text x='{:.1f}' y='{}' text-anchor='middle'>{}</text>\n", at, top + height + 18,
                     size_text(static_cast<std::uint64_t>(v)));
  }
  for (double decade = y.low; decade <= y.high * 1.01; decade *= 10) {
    for (const double v : {decade, decade * 2, decade * 5}) {
      if (v > y.high * 1.01) break;
      const double at = y_of(y, v);
      s += fmt::format("<line x1='{}' y1='{:.1f}' x2='{}' y2='{:.1f}' stroke='{}'/>\n", left, at, left + width, at,
                       v == decade ? "#ccc" : "#eee");
      s += fmt::format("<text x='{}' y='{:.1f}' text-anchor='end'>{:g}</text>\n", left - 8, at + 4, v);
    }
  }
}

void line(std::string& s, const plot_line& l, std::size_t number, const axis& x, const axis& y) {
  const char* colour = colours[number % colours.size()];
  s += fmt::format("<polyline fill='none' stroke='{}' stroke-width='2' points='", colour);
  for (const auto& [px, py] : l.points) s += fmt::format("{:.1f},{:.1f} ", x_of(x, px), y_of(y, py));
  s += "'/>\n";
  for (const auto& [px, py] : l.points)
    s += fmt::format("<circle cx='{:.1f}' cy='{:.1f}' r='3' fill='{}'><title>{}, {}: {:g}</title></circle>\n",
                     x_of(x, px), y_of(y, py), colour, escaped(l.name), size_text(static_cast<std::uint64_t>(px)), py);
  const double at = top + 12 + 20 * static_cast<double>(number);
  s += fmt::format("<line x1='{0}' y1='{2:.1f}' x2='{1}' y2='{2:.1f}' stroke='{3}' stroke-width='2'/>\n",
                   left + width + 14, left + width + 36, at, colour);
  s += fmt::format("<text x='{}' y='{:.1f}'>{}</text>\n", left + width + 42, at + 4, escaped(l.name));
}

}  // namespace

std::string svg_of(const plot& p) {
  axis x, y;
  for (const plot_line& l : p.lines)
    for (const auto& [px, py] : l.points) {
      x.see(px);
      y.see(py);
    }
  x.round_to(2);
  y.round_to(10);
  const double all_width = left + width + legend, all_height = top + height + bottom;
  std::string s = fmt::format(
      "<svg xmlns='http://www.w3.org/2000/svg' width='{0}' height='{1}' viewBox='0 0 {0} {1}' "
      "font-family='sans-serif' font-size='12'>\n<rect width='{0}' height='{1}' fill='white'/>\n",
      all_width, all_height);
  s += fmt::format("<text x='{}' y='22' font-size='15'>{}</text>\n", left, escaped(p.title));
  grid(s, x, y);
  s +=
      fmt::format("<rect x='{}' y='{}' width='{}' height='{}' fill='none' stroke='#444'/>\n", left, top, width, height);
  s += fmt::format("<text x='{:.1f}' y='{}' text-anchor='middle'>size of one op</text>\n", left + width / 2,
                   top + height + 42);
  s += fmt::format("<text transform='translate(18 {:.1f}) rotate(-90)' text-anchor='middle'>{}</text>\n",
                   top + height / 2, escaped(p.y_label));
  for (std::size_t i = 0; i < p.lines.size(); ++i) line(s, p.lines[i], i, x, y);
  return s + "</svg>\n";
}

void write_svg(const plot& p, const std::string& path) {
  std::ofstream file(path);
  file << svg_of(p);
  file.close();
  if (!file) throw std::runtime_error("cannot write the plot to " + path + ": " + std::strerror(errno));
}

}  // namespace tool
