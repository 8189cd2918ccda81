// SPDX-License-Identifier: BSD-2-Clause
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <set>

#include "base/knobs.hpp"
#include "kfx/options.hpp"

using namespace std::chrono_literals;

namespace {

/// Sets a variable of the environment for one scope.
class variable {
 public:
  variable(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  variable(const variable&) = delete;
  variable& operator=(const variable&) = delete;
  ~variable() { ::unsetenv(name_); }

 private:
  const char* name_;
};

std::string refused(const std::string& knob, const std::string& value) {
  kfx::options o;
  std::string why;
  INFO(knob << "=" << value);
  CHECK(o.set(knob, value, &why) == kfx::errc::bad_option);
  CHECK_FALSE(why.empty());
  CHECK(o.set(knob, value) == kfx::errc::bad_option);
  return why;
}

}  // namespace

TEST_CASE("knobs are set from text", "[options]") {
  kfx::options o;
  auto set = [&o](const char* knob, const char* value) {
    std::string why;
    const auto e = o.set(knob, value, &why);
    INFO(knob << "=" << value << ": " << why);
    CHECK_FALSE(e);
    CHECK(why.empty());
  };
  set("listen", "tcp://127.0.0.1:1,loop://x");
  CHECK(o.listen == std::vector<std::string>{"tcp://127.0.0.1:1", "loop://x"});
  set("listen", "");
  CHECK(o.listen.empty());
  set("name", "store 1");
  CHECK(o.name == "store 1");
  set("progress", "caller");
  CHECK(o.progress == kfx::progress::caller);
  set("progress", "threads");
  CHECK(o.progress == kfx::progress::threads);
  set("partitions", "0[0-3] 1[4,5,7]");
  CHECK(o.partitions == "0[0-3] 1[4,5,7]");
  set("spin", "0us");
  CHECK(o.spin == 0us);
  set("spin", "2ms");
  CHECK(o.spin == 2000us);
  set("limit", "5s");
  CHECK(o.limit == 5s);
  set("keepalive", "250ms");
  CHECK(o.keepalive == 250ms);
  set("idle", "0s");
  CHECK(o.idle == 0ms);
  set("retention", "2min");
  CHECK(o.retention == 2min);
  set("backoff", "1000us");
  CHECK(o.backoff == 1ms);
  set("eager", "0");
  CHECK(o.eager == 0);
  set("eager", "16KiB");
  CHECK(o.eager == 16384);
  set("slice", "1MiB");
  CHECK(o.slice == 1048576);
  set("credits", "7");
  CHECK(o.credits == 7);
  set("max_ops", "1024");
  CHECK(o.max_ops == 1024);
  set("require", "verbs");
  CHECK(o.require == "verbs");
  set("backends", "/a.so:/b.so");
  CHECK(o.backends == "/a.so:/b.so");
  for (const char* off : {"off", "false", "no", "0"}) {
    o.direct = true;
    set("direct", off);
    CHECK_FALSE(o.direct);
  }
  for (const char* on : {"on", "true", "yes", "1"}) {
    o.direct = false;
    set("direct", on);
    CHECK(o.direct);
  }
}

TEST_CASE("a value that a knob cannot have is refused with a reason", "[options]") {
  CHECK_THAT(refused("lmit", "5s"), Catch::Contains("lmit") && Catch::Contains("limit"));
  CHECK_THAT(refused("limit", "5x"), Catch::Contains("limit") && Catch::Contains("5x") && Catch::Contains("min"));
  for (const char* value : {"", "5", "s", "-5s", " 5s", "5 s", "5s ", "0s", "0ms", "999us", "1.5s", "99999999min",
                            "18446744073709551615s", "99999999999999999999s"})
    refused("limit", value);
  for (const char* value : {"", "-1", "1kb", "2MiB", "1048576", "18446744073709551615GiB", "0x10"})
    refused("eager", value);
  for (const char* value : {"0", "1023", "2MiB", "x"}) refused("slice", value);
  for (const char* value : {"0", "65537", "1KiB", "ten"}) refused("credits", value);
  for (const char* value : {"0", "16777216"}) refused("max_ops", value);
  for (const char* value : {"", "thread", "THREADS"}) refused("progress", value);
  for (const char* value : {"", "2", "On"}) refused("direct", value);
}

TEST_CASE("a refused value changes nothing", "[options]") {
  kfx::options o;
  o.limit = 7s;
  o.direct = false;
  CHECK(o.set("limit", "0s"));
  CHECK(o.set("direct", "maybe"));
  CHECK(o.limit == 7s);
  CHECK_FALSE(o.direct);
}

TEST_CASE("the environment fills what the program left alone", "[options]") {
  variable limit("KFX_LIMIT", "3s");
  variable listen("KFX_LISTEN", "tcp://0.0.0.0:1,loop://y");
  variable name("KFX_NAME", "from outside");
  variable ops("KFX_MAX_OPS", "99");
  variable empty("KFX_IDLE", "");
  kfx::options o;
  o.name = "from the program";
  std::string why;
  const auto filled = kfx::options::from_environment(o, &why);
  INFO(why);
  REQUIRE(filled.has_value());
  CHECK(filled->limit == 3s);
  CHECK(filled->listen == std::vector<std::string>{"tcp://0.0.0.0:1", "loop://y"});
  CHECK(filled->name == "from the program");
  CHECK(filled->max_ops == 99);
  CHECK(filled->idle == kfx::options().idle);
}

TEST_CASE("an ill variable is an error that names it", "[options]") {
  variable limit("KFX_LIMIT", "soon");
  std::string why;
  const auto filled = kfx::options::from_environment({}, &why);
  REQUIRE(filled.has_error());
  CHECK(filled.error() == kfx::errc::bad_option);
  CHECK_THAT(why, Catch::Contains("KFX_LIMIT") && Catch::Contains("soon"));
  // A program that decided for itself is not disturbed by it.
  kfx::options decided;
  decided.limit = 1s;
  CHECK(kfx::options::from_environment(decided).has_value());
}

TEST_CASE("who moves frames is the program's business", "[options]") {
  variable mode("KFX_PROGRESS", "caller");
  const auto filled = kfx::options::from_environment({});
  REQUIRE(filled.has_value());
  CHECK(filled->progress == kfx::progress::threads);
}

TEST_CASE("variables of others are left alone", "[options]") {
  variable other("KFX_SOMETHING_ELSE", "1");
  CHECK(kfx::options::from_environment({}).has_value());
}

TEST_CASE("the struct, its documentation and the table of knobs agree", "[options]") {
  std::ifstream header(KFX_SOURCE_ROOT "/include/kfx/options.hpp");
  REQUIRE(header);
  std::set<std::string> declared, in_uris;
  for (std::string line; std::getline(header, line);) {
    const std::string code = line.substr(0, line.find("///"));
    const auto ends = code.find_first_of("={");
    const bool member =
        code.rfind("  ", 0) == 0 && code.find(';') != std::string::npos && code.find('(') == std::string::npos;
    if (!member || ends == std::string::npos) continue;
    const auto last = line.find_last_not_of(' ', ends - 1);
    const auto first = line.find_last_of(' ', last) + 1;
    const std::string name = line.substr(first, last + 1 - first);
    declared.insert(name);
    if (line.find("[uri]") != std::string::npos) in_uris.insert(name);
  }
  std::set<std::string> known, known_in_uris;
  for (std::string_view name : kfx::base::knob_names()) {
    known.emplace(name);
    if (kfx::base::is_uri_knob(name)) known_in_uris.emplace(name);
  }
  CHECK(declared == known);
  CHECK(in_uris == known_in_uris);
  CHECK(known.size() <= 20);
  CHECK_FALSE(kfx::base::is_uri_knob("nothing"));
}
