// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The knobs of a node. Each has a default right for most; each but `progress` can also be set as KFX_<NAME> in the
/// environment (which fills what the struct left at its default), and those marked [uri] in a peer's URI query
/// (`tcp://host:7400?limit=5s`).

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "kfx/error.hpp"

namespace kfx {

/// Who runs the progress engine.
enum class progress {
  threads,  ///< the node: pinned threads that spin while it pays, then sleep
  caller,   ///< the program: it calls `poll()` or `run()`, or hands `fd()` to its own loop
};

struct options {
  std::vector<std::string> listen{};           ///< URIs to be reached at, e.g. "kfx://0.0.0.0:7400", "loop://store"
  std::string name{};                          ///< stable identity across restarts; default: the first listen address
  kfx::progress progress = progress::threads;  ///< the program's business: one that does not poll would never answer
  /// Sets of CPUs with a progress engine each, in the syntax of Lustre's cpu_pattern: "0[0-3] 1[4,5,7]" (CPUs),
  /// "N 0[0,1] 1[2]" (NUMA nodes), "N" (the default: one for each NUMA node that has CPUs), and behind any of them
  /// "C[0-1]" (without the first two cores of each NUMA node) and "X[0,8]" (without these CPUs). Never CPUs outside the
  /// affinity mask of the thread that makes the node: naming one is an error.
  std::string partitions{};
  /// Where engine threads run and buffers lie. "automatic": threads on their partition's CPUs, a buffer on the NUMA
  /// node of whoever allocates it, a peer's work near the device that carries it. "node:1", "device:eth0": all of it on
  /// that node, or on the one nearest to that device. "off": the system decides.
  std::string placement{};
  std::chrono::microseconds spin{50};         ///< longest time an engine thread spins before it sleeps
  std::chrono::milliseconds limit{30000};     ///< an op fails when the peer's engine made no progress for so long [uri]
  std::chrono::milliseconds keepalive{5000};  ///< a silent link is probed so often; dead after three unanswered [uri]
  std::chrono::milliseconds idle{300000};     ///< an unused connection is dropped after so long; 0: never [uri]
  std::chrono::milliseconds retention{60000};  ///< a session without a connection is remembered so long [uri]
  std::chrono::milliseconds backoff{10};       ///< first pause between attempts to connect; doubles up to 1 s [uri]
  std::size_t eager = 8192;                    ///< payload that travels with its message; larger ones are fetched [uri]
  std::size_t slice = 128 * 1024;              ///< large transfers take turns in pieces of so many bytes [uri]
  std::size_t credits = 512;                   ///< requests one peer may have under way here
  std::size_t max_ops = 65536;                 ///< ops of a partition under way before a submitting thread waits
  std::string require{};                       ///< the only backend to use for kfx:// [uri]
  std::string backends{};                      ///< colon-separated shared objects with further backends to load
  bool direct = true;                          ///< use one-sided transfers where the link has them [uri]

  /// `o` with what it left at its default taken from KFX_… of the environment.
  /// Errors: bad_option (the sentence names variable and value).
  static result<options> from_environment(options o, std::string* why = nullptr);
  /// Sets one knob by name from text ("limit" "5s"; units us ms s min, KiB MiB).
  std::error_code set(const std::string& knob, const std::string& value, std::string* why = nullptr);
};

}  // namespace kfx
