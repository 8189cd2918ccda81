#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Counts the instructions that an op of 8 bytes costs, submit to completion, both sides together, under callgrind: those of
# a run with many ops less those of a run with few. Usage: count_instructions.sh ONE_THREAD_PROGRAM URI WHAT=CEILING…
# WHAT is what the program offers (bench/one_thread.cpp). More than its ceiling is a failure.
# Exits with 77 (skipped) when valgrind is missing.
set -eu
program=$1 uri=$2
shift 2
few=4096 many=16384 # multiples of the depth at which it streams, and more than the first thousand, which differ

command -v valgrind >/dev/null || {
  echo "skipped: valgrind is not installed"
  exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

instructions() { # what count
  valgrind --tool=callgrind --callgrind-out-file="$work/out" "$program" "$uri" "$1" "$2" >"$work/log" 2>&1 || {
    cat "$work/log" >&2
    echo "failed: $program $uri $1 $2" >&2
    return 1
  }
  awk '/Collected/ { print $NF }' "$work/log"
}

status=0
for pair in "$@"; do
  what=${pair%=*} ceiling=${pair#*=}
  first=$(instructions "$what" "$few")
  second=$(instructions "$what" "$many")
  each=$(((second - first) / (many - few)))
  verdict=ok
  [ "$each" -le "$ceiling" ] || { verdict="TOO MANY" status=1; }
  printf '%-12s %-16s %6d instructions an op (at most %d): %s\n' "$uri" "$what" "$each" "$ceiling" "$verdict"
done
exit $status
