// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// What this machine does without any library: the figures that kfx's own are measured against.
///
///     kfx-reference TEST[,TEST…] [CPU OTHER_CPU [MILLISECONDS]]
///
/// Tests: hop, ring, memcpy, process_vm, tcp. Two processes on two CPUs; one JSON object on standard output.

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>

#include "reference.hpp"

namespace {

using namespace bench::reference;

const std::map<std::string, std::function<figures(const place&)>> tests{
    {"hop", hop}, {"ring", ring}, {"memcpy", copy}, {"process_vm", process_vm}, {"tcp", tcp}};

void print(const std::string& name, const figures& f, bool first) {
  std::printf("%s\n  \"%s\": {", first ? "" : ",", name.c_str());
  const char* separator = "";
  for (const auto& [key, value] : f) {
    std::printf("%s\"%s\": %.3f", separator, key.c_str(), value);
    separator = ", ";
  }
  std::printf("}");
  std::fflush(stdout);
}

int number(const char* text, int least) {
  char* end = nullptr;
  const long n = std::strtol(text, &end, 10);
  if (*text == '\0' || *end != '\0' || n < least || n > 1'000'000)
    throw std::runtime_error("\"" + std::string(text) + "\" is no number from " + std::to_string(least) + " on");
  return static_cast<int>(n);
}

void run(int argc, char** argv) {
  place p;
  if (argc > 3) p.cpu = number(argv[2], 0), p.other_cpu = number(argv[3], 0);
  if (argc > 4) p.milliseconds = number(argv[4], 1);
  std::string wanted = argv[1];
  std::printf("{");
  bool first = true;
  for (std::size_t at = 0; at < wanted.size();) {
    const std::size_t end = std::min(wanted.find(',', at), wanted.size());
    const std::string name = wanted.substr(at, end - at);
    const auto t = tests.find(name);
    if (t == tests.end()) throw std::runtime_error("there is no test \"" + name + "\"");
    print(name, t->second(p), first);
    first = false;
    at = end + 1;
  }
  std::printf("\n}\n");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc == 3 || argc > 5) {
    std::fprintf(stderr, "usage: kfx-reference hop|ring|memcpy|process_vm|tcp[,…] [CPU OTHER_CPU [MILLISECONDS]]\n");
    return 2;
  }
  try {
    run(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "kfx-reference: %s\n", e.what());
    return 1;
  }
  return 0;
}
