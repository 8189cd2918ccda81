// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// All of kfx for its users. Backend authors include kfx/backend/*.hpp.

#include "kfx/batch.hpp"
#include "kfx/error.hpp"
#include "kfx/info.hpp"
#include "kfx/message.hpp"
#include "kfx/node.hpp"
#include "kfx/op.hpp"
#include "kfx/op_options.hpp"
#include "kfx/options.hpp"
#include "kfx/peer.hpp"
#include "kfx/region.hpp"
#include "kfx/remote_region.hpp"
#include "kfx/types.hpp"
