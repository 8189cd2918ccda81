#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Installs what building and testing need on Debian 12, as far as it is missing. Does nothing elsewhere.
set -eu
packages="meson ninja-build g++ clang clang-format llvm libclang-rt-14-dev pkg-config cmake git ca-certificates python3 \
  libboost1.81-dev catch2 libhwloc-dev libssl-dev libcli11-dev libfmt-dev libyaml-cpp-dev rsync strace valgrind \
  util-linux procps qemu-system-x86 busybox-static cpio kmod xz-utils"
command -v dpkg-query >/dev/null || exit 0
missing=""
for p in $packages; do
  dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null | grep -qx installed || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
  echo "missing packages:$missing; install them as root (apt-get install$missing)" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# shellcheck disable=SC2086  # a list of words
apt-get install -y -q --no-install-recommends $missing
