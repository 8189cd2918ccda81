#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Counts the system calls that 1,000 calls between two nodes cost, both ends together: those of a run with 1,010
# calls less those of a run with 10. Usage: count_syscalls.sh PING_PONG_PROGRAM [COUNT]
# An end sends once for each message; its acks ride along, save when it goes to sleep or hears nothing for a while with
# one still due, which a slow machine makes happen now and then. A bare ack for each message would make 4 sends a call:
# more than 2.5 are a failure. How often a spinning receiver looks is none.
# Exits with 77 (skipped) when strace is missing or may not attach.
set -eu
[ $# -ge 1 ] || { echo "usage: count_syscalls.sh PING_PONG_PROGRAM [COUNT]   (conformance-ping-pong of a build)" >&2; exit 2; }
program=$1
count=${2:-1000}
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0"

skip() {
  echo "skipped: $1"
  exit 77
}
command -v strace >/dev/null || skip "strace is not installed"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
strace -f -c -o "$work/probe" true 2>/dev/null || skip "strace cannot attach to processes here"

# Prints "calls name" for each kind of call of one run.
calls() {
  strace -f -c -o "$work/table" "$program" "$1" "$2" "$3" >"$work/out" 2>&1 || {
    cat "$work/out"
    echo "failed: $program $1 $2 $3"
    exit 1
  }
  awk '$1 ~ /^[0-9.]+$/ && $NF != "total" { print $4, $NF }' "$work/table" | sort -k2
}

for uri in loop://syscalls tcp://127.0.0.1:0; do
  for mode in threads caller; do
    calls "$uri" 0 "$mode" >"$work/few"
    calls "$uri" "$count" "$mode" >"$work/many"
    echo "$uri, progress::$mode: system calls per $count calls and their answers"
    join -1 2 -2 2 -a 2 -e 0 -o 0,1.1,2.1 "$work/few" "$work/many" |
      awk -v count="$count" '{ n = $3 - $2; if (n > 20) { printf "  %-20s %8d\n", $1, n }; sum += n }
           $1 ~ /^send/ { sends += n }
           END {
             printf "  %-20s %8d\n", "all", sum
             if (sends > 2.5 * count) { print "failed: acks do not ride along with messages"; exit 1 }
           }'
  done
done
