#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Shows LNet over kfx: two test nodes and a console, three processes of this machine, run an LNet selftest session over a
# transport: pings, then bulk reads and writes of 1 MiB whose every byte is checked. Leaves nothing behind but packages
# it had to install (Debian 12, as root).
#
#   scripts/lnet-demo.sh [tcp|shm|kfx]     default: each of tcp and shm
#
# KFX_BUILD=<directory>: build there and keep it. KFX_DEMO_SECONDS: how long each test runs (3).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source_root=$PWD

needed="g++ meson ninja-build pkg-config libboost1.81-dev libhwloc-dev libssl-dev libcli11-dev libfmt-dev"
missing=""
for p in $needed; do
  dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null | grep -qx installed || missing="$missing $p"
done
if [ -n "$missing" ]; then
  [ "$(id -u)" -eq 0 ] || { echo "lnet-demo: missing packages:$missing; install them, or run this as root" >&2; exit 1; }
  export DEBIAN_FRONTEND=noninteractive
  echo "== installing:$missing"
  apt-get update -q >/dev/null
  # shellcheck disable=SC2086  # a list of words
  apt-get install -y -q --no-install-recommends $missing >/dev/null
fi

work=$(mktemp -d)
nodes=()
stop_nodes() {
  local n
  for n in "${nodes[@]}"; do kill "$n" 2>/dev/null || true; done
  for n in "${nodes[@]}"; do wait "$n" || true; done
  nodes=()
}
finish() {
  local status=$?
  stop_nodes
  rm -rf "$work"
  exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

build=${KFX_BUILD:-$work/build}
[ -f "$build/build.ninja" ] || meson setup "$build" "$source_root" --buildtype=release -Dtests=false -Dbench=false \
  >"$work/setup.log" 2>&1 || { cat "$work/setup.log"; exit 1; }
echo "== building (release)"
ninja -C "$build" examples/lnd/tools/kfx-lst >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
lst=$build/examples/lnd/tools/kfx-lst
seconds=${KFX_DEMO_SECONDS:-3}

case ${1:-both} in
  both) schemes="tcp shm" ;;
  tcp | shm | kfx) schemes=$1 ;;
  *)
    echo "usage: lnet-demo.sh [tcp|shm|kfx]" >&2
    exit 2
    ;;
esac

start_node() { # number uri
  mkfifo "$work/said"
  "$lst" node --networks "kfx(127.0.0.$1)" --driver-option "uri=$2" >"$work/said" &
  nodes+=($!)
  # It says so when it can be reached.
  read -r line <"$work/said" || { echo "lnet-demo: node $1 did not start" >&2; exit 1; }
  rm "$work/said"
  echo "node: $line"
}

for scheme in $schemes; do
  case $scheme in
    shm) uri="shm://lnet-demo-$$-%a" ;;
    *) uri="$scheme://%a:$((20000 + $$ % 10000))" ;;
  esac
  echo
  echo "== LNet selftest over $uri (%a: a node's address)"
  start_node 2 "$uri"
  start_node 3 "$uri"
  cat >"$work/script" <<EOF
new_session demo
add_group clients 127.0.0.2@kfx
add_group servers 127.0.0.3@kfx
add_batch pings
add_test --batch pings --concurrency 16 --from clients --to servers ping
run pings
stat --delay 1 --count $seconds clients servers
stop pings
add_batch bulk
add_test --batch bulk --concurrency 16 --from clients --to servers brw write check=full size=1M
add_test --batch bulk --concurrency 16 --from clients --to servers brw read check=full size=1M
run bulk
stat --delay 1 --count $seconds clients servers
stop bulk
show_error clients servers
end_session
EOF
  "$lst" run --networks "kfx(127.0.0.4)" --driver-option "uri=$uri" "$work/script"
  stop_nodes
done
