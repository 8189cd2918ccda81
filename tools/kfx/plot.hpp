// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A chart of lines as SVG, sizes along x, both axes logarithmic.

#include <string>
#include <vector>

namespace tool {

struct plot_line {
  std::string name;
  std::vector<std::pair<double, double>> points;  ///< bytes, value; both above 0
};

struct plot {
  std::string title;
  std::string y_label;  ///< with the unit
  std::vector<plot_line> lines;
};

std::string svg_of(const plot&);
/// Throws std::runtime_error with a sentence.
void write_svg(const plot&, const std::string& path);

}  // namespace tool
