// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// Runs the suite on the backend of this executable, prints the seed, and ends a run that hangs with the name of
/// the test that does.

#include <sched.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "catch_run.hpp"
#include "suite.hpp"
#include "support/faults.hpp"

namespace {

using namespace std::chrono_literals;

/// Ops that never end would otherwise be reported as a timeout of the whole executable, without a name.
class watchdog : public Catch::TestEventListenerBase {
 public:
  using TestEventListenerBase::TestEventListenerBase;

  void testRunStarting(const Catch::TestRunInfo&) override {
    thread_ = std::thread([this] { watch(); });
  }
  void testRunEnded(const Catch::TestRunStats&) override {
    {
      std::lock_guard lock(m_);
      quit_ = true;
      changed_.notify_all();
    }
    thread_.join();
  }
  void testCaseStarting(const Catch::TestCaseInfo& info) override {
    std::lock_guard lock(m_);
    name_ = info.name;
    end_ = std::chrono::steady_clock::now() + (kfx::test::sanitized ? 350s : 110s);
    changed_.notify_all();
  }

 private:
  void watch() {
    std::unique_lock lock(m_);
    while (!quit_) {
      if (changed_.wait_until(lock, end_) == std::cv_status::timeout && std::chrono::steady_clock::now() >= end_) {
        std::fprintf(stderr, "\nHANGS: \"%s\" on %s, seed %llu\n", name_.c_str(), kfx::test::under_test().name.c_str(),
                     static_cast<unsigned long long>(kfx::test::process_seed()));
        std::fflush(nullptr);
        std::abort();
      }
    }
  }

  std::mutex m_;
  std::condition_variable changed_;
  bool quit_ = false;
  std::string name_ = "(start)";
  std::chrono::steady_clock::time_point end_ = std::chrono::steady_clock::now() + 110s;
  std::thread thread_;
};
CATCH_REGISTER_LISTENER(watchdog)

/// Tests that this backend has no means for are left out, not passed.
std::string excluded() {
  std::string without;
  if (!kfx::test::under_test().cuts()) without += "~[cuts]";
  if (kfx::test::under_test().cuts()) without += "~[steady]";
  if (!kfx::test::under_test().processes) without += "~[processes]";
  if (!kfx::test::under_test().hosts) without += "~[hosts]";
  return without;
}

/// Each alternative of a test specification, without those tests.
std::string restricted(const std::string& spec) {
  std::string out = excluded();
  for (std::size_t i = 0; i < spec.size(); ++i) {
    out += spec[i];
    if (spec[i] == ',' && (i == 0 || spec[i - 1] != '\\')) out += excluded();
  }
  return out;
}

/// With KFX_TEST_PARTITIONS every node has two, on two CPUs of this process. False: it has no two.
bool choose_partitions() {
  if (!std::getenv("KFX_TEST_PARTITIONS")) return true;
  cpu_set_t set;
  std::string pattern;
  int found = 0;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return false;
  for (int c = 0; c < CPU_SETSIZE && found < 2; ++c)
    if (CPU_ISSET(c, &set)) pattern += " " + std::to_string(found++) + "[" + std::to_string(c) + "]";
  ::setenv("KFX_PARTITIONS", pattern.c_str(), 1);
  return found == 2;
}

}  // namespace

int main(int argc, char** argv) {
  if (!choose_partitions()) {
    std::printf("skipped: two partitions want two CPUs\n");
    return 77;
  }
  return kfx::test::run_catch(argc, argv, [](std::vector<std::string>& selected) {
    kfx::test::register_test_backends();
    if (selected.empty()) selected.emplace_back();
    for (std::string& spec : selected) spec = restricted(spec);
    std::printf("conformance-%s, seed %llu (repeat with KFX_TEST_SEED)\n", kfx::test::under_test().name.c_str(),
                static_cast<unsigned long long>(kfx::test::process_seed()));
    std::fflush(stdout);
  });
}
