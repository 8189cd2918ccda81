// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The YAML of `export`, read.

#include <string>
#include <string_view>
#include <vector>

#include "request.hpp"

namespace lnet {

/// The requests that bring about what such a document says (networks, then peers), or with `remove` undo it (the other
/// way round). Keys that it does not know are passed over, so that what `net show` writes will do as well; the loopback
/// network is left out. False: `why` says what is wrong and where.
bool setup_requests(std::string_view document, bool remove, std::vector<request>& out, std::string& why);

}  // namespace lnet
