#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# kfx beside its peers and the bare machine, interleaved on the same two CPUs.
#
#   bench/peers.sh BUILD_DIRECTORY [option…]     see `bench/peers.py --help`
#
# Installs Debian's libfabric-bin and ucx-utils when it may; goes on without them otherwise, and says so.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ $# -eq 0 ] || [ ! -d "$1" ]; then
  echo "usage: bench/peers.sh BUILD_DIRECTORY [option...]" >&2
  exit 2
fi
missing=""
command -v fi_pingpong >/dev/null || missing="$missing libfabric-bin"
command -v ucx_perftest >/dev/null || missing="$missing ucx-utils"
if [ -n "$missing" ] && command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ]; then
  # shellcheck disable=SC2086  # a list of words
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >&2 || true
fi
exec python3 -B "$here/peers.py" "$@"
