#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Counts the instructions that an op of 8 bytes costs, submit to completion, both sides together, under callgrind: those of
# the loop that makes them, on the one thread that does it all.
# Usage: count_instructions.sh ONE_THREAD_PROGRAM URI WHAT=CEILING…
# WHAT is what the program offers (bench/one_thread.cpp). More than its ceiling is a failure.
# Exits with 77 (skipped) when valgrind is missing.
set -eu
[ $# -ge 3 ] || { echo "usage: count_instructions.sh ONE_THREAD_PROGRAM URI WHAT=CEILING..." >&2; exit 2; }
program=$1 uri=$2
shift 2
count=16384

command -v valgrind >/dev/null || {
  echo "skipped: valgrind is not installed"
  exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

instructions() { # what
  valgrind --tool=callgrind --separate-threads=yes --toggle-collect='*counted_loop*' --callgrind-out-file="$work/out" \
    "$program" "$uri" "$1" "$count" >"$work/log" 2>&1 || {
    cat "$work/log" >&2
    echo "failed: $program $uri $1 $count" >&2
    return 1
  }
  awk '/^totals:/ { print $2 }' "$work/out-01"
}

status=0
for pair in "$@"; do
  what=${pair%=*} ceiling=${pair#*=}
  all=$(instructions "$what")
  each=$((all / count))
  verdict=ok
  # Nothing at all means that the loop is called something else by now.
  [ "$each" -gt 0 ] || { verdict="NOT COUNTED" status=1; }
  [ "$each" -le "$ceiling" ] || { verdict="TOO MANY" status=1; }
  printf '%-12s %-16s %6d instructions an op (at most %d): %s\n' "$uri" "$what" "$each" "$ceiling" "$verdict"
done
exit $status
