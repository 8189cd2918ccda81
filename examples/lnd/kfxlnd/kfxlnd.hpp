// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// An LNet network driver over kfx: net `kfx`, on whichever transport its URIs name.
///
/// Module parameters (`ni::tunables`):
///   uri       where NIDs are: "%a" stands for a NID's address, "%n" for its net. Default "kfx://%a:988".
///   timeout   seconds after which the driver gives a message up. Default 50.
///   min_rdma  GETs of at least so many bytes have their data written to the sink; the data of smaller ones comes in a
///             REPLY. Default 4096.

#include <memory>

#include "lnd.hpp"

namespace kfxlnd {

std::unique_ptr<lnet::lnet_lnd> make_driver();

}  // namespace kfxlnd
