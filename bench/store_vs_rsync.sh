#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# kfx-store side by side with rsync and with the machine's own limit, on a tmpfs, rounds interleaved:
#   - `get -r` of 10,000 files of 4 KiB over loopback TCP, and the same tree from an rsync daemon
#   - one file of 2 GiB; the same from the rsync daemon; by a bare TCP stream (sendfile on one side, recv and write
#     on the other) into a file; and by cp, which is what the tmpfs itself can do
#
#   bench/store_vs_rsync.sh BUILD_DIRECTORY [ROUNDS]
#
# Prints each round and the medians with their ratio. Exits 77 when rsync is missing.
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: store_vs_rsync.sh BUILD_DIRECTORY [ROUNDS]" >&2; exit 2; }
build=$(cd "$1" && pwd)
rounds=${2:-5}
store=$build/examples/02-file-store/kfx-store
command -v rsync >/dev/null || { echo "skipped: no rsync here"; exit 77; }
[ -x "$store" ] || { echo "no $store: build it first" >&2; exit 1; }

work=$(mktemp -d -p /dev/shm)
pids=()
finish() {
  local status=$?
  for p in "${pids[@]}"; do kill "$p" 2>/dev/null && wait "$p" 2>/dev/null || true; done
  rm -rf "$work"
  exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

seconds_of() {  # command…: wall-clock seconds, its output discarded
  local from to
  from=$(date +%s%N)
  "$@" >/dev/null
  to=$(date +%s%N)
  awk "BEGIN { printf \"%.4f\", ($to - $from) / 1e9 }"
}
median() { printf '%s\n' "$@" | sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR+1)/2] : (v[NR/2] + v[NR/2+1]) / 2 }'; }
ratio() { awk "BEGIN { printf \"%.2f\", $1 / $2 }"; }

mkdir -p "$work/served/small" "$work/served/large"
echo "making 10,000 files of 4 KiB and one of 2 GiB in $work"
head -c $((10000 * 4096)) /dev/urandom | split -b 4096 -a 5 -d - "$work/served/small/file"
head -c $((64 << 20)) /dev/urandom >"$work/block"
for _ in $(seq 32); do cat "$work/block"; done >"$work/served/large/file"
rm "$work/block"

mkfifo "$work/said"
"$store" serve "$work/served" --listen tcp://127.0.0.1:0 >"$work/said" &
pids+=($!)
while read -r word rest; do
  [ "$word" = listening ] && uri=$rest
  [ "$word" = ready ] && break
done <"$work/said"

# rsync cannot say which port it got, so one is taken that was free a moment ago.
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$work/rsyncd.conf" <<CONF
use chroot = no
address = 127.0.0.1
port = $port
[served]
path = $work/served
read only = yes
CONF
[ "$(id -u)" -ne 0 ] || printf 'uid = 0\ngid = 0\n' >>"$work/rsyncd.conf"
rsync --daemon --no-detach --config="$work/rsyncd.conf" &
pids+=($!)
rsync_uri=rsync://127.0.0.1:$port/served
# shellcheck disable=SC2016  # expanded by the inner shell
timeout 10 bash -c 'until (exec 3<>"/dev/tcp/127.0.0.1/$0") 2>/dev/null; do :; done' "$port" ||
  { echo "the rsync daemon does not answer" >&2; exit 1; }

kfx_get() { "$store" get -r --no-sync --from "$uri" "$1" "$2"; }
rsync_get() { rsync -a "$rsync_uri/$1/" "$2/"; }

kfx=() other=()
for i in $(seq "$rounds"); do
  kfx+=("$(seconds_of kfx_get small "$work/copy")")
  [ "$i" -gt 1 ] || diff -r "$work/served/small" "$work/copy"
  rm -rf "$work/copy"
  other+=("$(seconds_of rsync_get small "$work/copy")")
  rm -rf "$work/copy"
  echo "round $i: 10,000 files of 4 KiB: kfx-store ${kfx[-1]} s, rsync ${other[-1]} s"
done
k=$(median "${kfx[@]}") r=$(median "${other[@]}")
echo "10,000 files of 4 KiB: kfx-store $k s, rsync $r s: $(ratio "$r" "$k") times as fast as rsync"

cat >"$work/raw.py" <<'PY'
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
if os.fork() == 0:
    with open(sys.argv[1], "rb") as source:
        peer = listener.accept()[0]
        peer.sendfile(source)
        peer.close()
    os._exit(0)
stream = socket.create_connection(listener.getsockname())
buffer = memoryview(bytearray(1 << 20))
with open(sys.argv[2], "wb", buffering=0) as target:
    while n := stream.recv_into(buffer):
        target.write(buffer[:n])
os.wait()
PY
raw_get() { python3 "$work/raw.py" "$1" "$2"; }

kfx=() other=() limit=() copy=()
for i in $(seq "$rounds"); do
  kfx+=("$(seconds_of kfx_get large "$work/copy")")
  [ "$i" -gt 1 ] || cmp "$work/served/large/file" "$work/copy/file"
  rm -rf "$work/copy"
  other+=("$(seconds_of rsync_get large "$work/copy")")
  rm -rf "$work/copy"
  limit+=("$(seconds_of raw_get "$work/served/large/file" "$work/copy")")
  rm -rf "$work/copy"
  copy+=("$(seconds_of cp "$work/served/large/file" "$work/copy")")
  rm -rf "$work/copy"
  echo "round $i: 2 GiB: kfx-store ${kfx[-1]} s, rsync ${other[-1]} s, bare stream ${limit[-1]} s, cp ${copy[-1]} s"
done
k=$(median "${kfx[@]}") r=$(median "${other[@]}") l=$(median "${limit[@]}") c=$(median "${copy[@]}")
gbps() { awk "BEGIN { printf \"%.2f\", 2.147483648 / $1 }"; }
echo "2 GiB: kfx-store $k s ($(gbps "$k") GB/s), rsync $r s: $(ratio "$r" "$k") times as fast as rsync"
echo "2 GiB: bare TCP stream into a file $l s ($(gbps "$l") GB/s): kfx-store reaches $(ratio "$l" "$k") of it"
echo "2 GiB: cp $c s ($(gbps "$c") GB/s): kfx-store reaches $(ratio "$c" "$k") of it"
