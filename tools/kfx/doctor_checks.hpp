// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What `kfx doctor` looks at.

#include <string>
#include <vector>

namespace tool {

enum class state { ok, warning, absent };

struct finding {
  std::string name;
  tool::state state = tool::state::ok;
  std::string found;   ///< what there is
  std::string wrong;   ///< warning: what that costs
  std::string remedy;  ///< warning: the command that mends it
};

finding check_memlock();
finding check_huge_pages();
finding check_cross_memory();
finding check_open_files();
finding check_shared_memory();
finding check_socket_directory();
finding check_rdma();
finding check_cpus();
finding check_backends();

/// All of them, in the order they are told.
std::vector<finding> check_host();

}  // namespace tool
