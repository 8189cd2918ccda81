// SPDX-License-Identifier: BSD-2-Clause
#include "plot.hpp"

#include <catch2/catch.hpp>
#include <regex>

#include "units.hpp"

namespace {

std::vector<double> attribute(const std::string& svg, const std::string& element, const std::string& name) {
  std::vector<double> found;
  const std::regex wanted("<" + element + "[^>]* " + name + "='([-0-9.]+)'");
  for (std::sregex_iterator i(svg.begin(), svg.end(), wanted), end; i != end; ++i) found.push_back(std::stod((*i)[1]));
  return found;
}

}  // namespace

TEST_CASE("a plot's points stand where the axes say") {
  tool::plot p{.title = "a < b & c", .y_label = "GB/s", .lines = {{"one", {{8, 1}, {64, 10}, {512, 100}}}}};
  const std::string svg = tool::svg_of(p);
  const auto x = attribute(svg, "circle", "cx"), y = attribute(svg, "circle", "cy");
  REQUIRE(x.size() == 3);
  REQUIRE(y.size() == 3);
  // Equal factors are equal steps, up is more.
  CHECK(x[1] - x[0] == Approx(x[2] - x[1]).margin(0.2));
  CHECK(y[0] - y[1] == Approx(y[1] - y[2]).margin(0.2));
  CHECK(x[0] < x[2]);
  CHECK(y[0] > y[2]);
  CHECK(svg.find("a &lt; b &amp; c") != std::string::npos);
  CHECK(svg.find(">GB/s<") != std::string::npos);
  CHECK(svg.find(">8 B<") != std::string::npos);
}

TEST_CASE("a plot of one point, or of none, is one") {
  CHECK(tool::svg_of({.title = "t", .y_label = "y", .lines = {{"one", {{8, 1}}}}}).ends_with("</svg>\n"));
  const std::string none = tool::svg_of({.title = "t", .y_label = "y", .lines = {}});
  CHECK(none.ends_with("</svg>\n"));
  CHECK(none.find("nan") == std::string::npos);
  CHECK(none.find("inf") == std::string::npos);
}

TEST_CASE("a plot that cannot be written says where") {
  CHECK_THROWS_WITH(tool::write_svg({}, "/nonexistent/plot.svg"), Catch::Contains("/nonexistent/plot.svg"));
}

TEST_CASE("sizes and times as people write them") {
  CHECK(tool::size_text(0) == "0 B");
  CHECK(tool::size_text(8) == "8 B");
  CHECK(tool::size_text(4096) == "4 KiB");
  CHECK(tool::size_text(5000) == "5000 B");
  CHECK(tool::size_text(std::uint64_t{3} << 30) == "3 GiB");
  CHECK(tool::time_text(75) == "75 ns");
  CHECK(tool::time_text(3980) == "3.98 us");
  CHECK(tool::time_text(1.2e9) == "1.20 s");
  std::string size = "4KiB", seconds = "200ms";
  CHECK(tool::as_size()(size).empty());
  CHECK(size == "4096");
  CHECK(tool::as_seconds()(seconds).empty());
  CHECK(std::stod(seconds) == Approx(0.2));
  std::string wrong = "4parsecs";
  CHECK_THROWS_WITH(tool::as_seconds()(wrong), Catch::Contains("parsecs"));
}
