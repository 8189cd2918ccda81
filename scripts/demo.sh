#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Shows kfx at work on this machine: builds it, serves a directory tree of the machine, fetches it back over kfx://
# (the best transport there is) and over tcp://, compares every byte, mode and time, and tells what moved, how fast,
# by which backend and why. Leaves nothing behind but packages it had to install (Debian 12, as root).
#
#   scripts/demo.sh [DIRECTORY]     default: the first of /usr/include, /usr/share/doc, /usr/share with more than 4 MB
#
# KFX_BUILD=<directory>: build there and keep it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source_root=$PWD

needed="g++ meson ninja-build pkg-config libboost1.81-dev libhwloc-dev libssl-dev libcli11-dev"
missing=""
for p in $needed; do
  dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null | grep -qx installed || missing="$missing $p"
done
if [ -n "$missing" ]; then
  [ "$(id -u)" -eq 0 ] || { echo "demo: missing packages:$missing; install them, or run this as root" >&2; exit 1; }
  export DEBIAN_FRONTEND=noninteractive
  echo "== installing:$missing"
  apt-get update -q >/dev/null
  # shellcheck disable=SC2086  # a list of words
  apt-get install -y -q --no-install-recommends $missing >/dev/null
fi

work=$(mktemp -d)
server=""
finish() {
  local status=$?
  if [ -n "$server" ] && kill "$server" 2>/dev/null; then wait "$server" || true; fi
  rm -rf "$work"
  exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

build=${KFX_BUILD:-$work/build}
echo "== building (release)"
[ -f "$build/build.ninja" ] || meson setup "$build" "$source_root" --buildtype=release -Dtests=false -Dbench=false \
  >"$work/setup.log" 2>&1 || { cat "$work/setup.log"; exit 1; }
ninja -C "$build" examples/02-file-store/kfx-store >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
store=$build/examples/02-file-store/kfx-store

tree=${1:-}
for candidate in /usr/include /usr/share/doc /usr/share; do
  [ -z "$tree" ] || break
  [ -d "$candidate" ] && [ "$(du -sk "$candidate" | cut -f1)" -gt 4096 ] && tree=$candidate
done
[ -n "$tree" ] || { echo "demo: no directory tree of a few MB here; name one as the argument" >&2; exit 1; }

# What diff does not see: kinds, modes, times, targets of symlinks. Set-user-id bits are dropped on purpose.
attributes() {
  (cd "$1" && find . \( -type f -o -type d -o -type l \) -printf '%p\0%y %m %T@ %l\n' | LC_ALL=C sort)
}

for scheme in kfx tcp; do
  echo
  echo "== $tree over $scheme://"
  mkfifo "$work/said"
  "$store" serve "$tree" --listen "$scheme://127.0.0.1:0" >"$work/said" &
  server=$!
  uri=""
  while read -r word rest; do
    [ "$word" = listening ] && uri=${uri:-$rest}
    [ "$word" = ready ] && break
  done <"$work/said"
  rm "$work/said"
  [ -n "$uri" ] || { echo "demo: the server did not start" >&2; exit 1; }
  echo "served at $uri"
  "$store" get -r --from "$uri" . "$work/copy"
  diff -r --no-dereference "$tree" "$work/copy"
  diff <(attributes "$tree") <(attributes "$work/copy")
  echo "identical: every byte, kind, mode, time and link of $(find "$work/copy" | wc -l) names"
  kill "$server"
  wait "$server"
  server=""
  chmod -R u+rwX "$work/copy"
  rm -rf "$work/copy"
done
