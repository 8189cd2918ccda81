#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# scripts/fuzz.sh BUILD-DIRECTORY [SECONDS]   runs every *_fuzzer of a build with -Dfuzz=true, SECONDS (60) each, from
# the corpora that are checked in. What it finds is kept in BUILD-DIRECTORY/findings. Last line: `passed failed skipped`.
set -u
[ $# -ge 1 ] || { echo "usage: fuzz.sh BUILD_DIRECTORY [SECONDS]" >&2; exit 2; }
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$(cd "$1" && pwd)
seconds=${2:-60}
mkdir -p "$build/findings"

fuzz() {  # fuzzer
  local name corpus grown log status=0
  name=$(basename "$1" _fuzzer)
  grown=$(mktemp -d "$build/findings/$name.XXXXXX")
  log=$build/findings/$name.log
  local given=()
  for corpus in "$root"/tests/*/corpus/"$name"; do
    [ -d "$corpus" ] && given+=("$corpus")
  done
  "$1" "$grown" "${given[@]}" -max_total_time="$seconds" -timeout=10 -max_len=70000 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$build/findings/$name-" >"$log" 2>&1 || status=$?
  if [ "$status" -eq 0 ]; then
    echo "  $name: $(sed -n 's/^stat::number_of_executed_units: */units executed: /p' "$log"), seed $(sed -n 's/^INFO: Seed: //p' "$log")"
    rm -rf "$grown"
  else
    echo "  $name: FAILED with status $status"
    tail -n 60 "$log"
  fi
  return "$status"
}

passed=0 failed=0
mapfile -t fuzzers < <(find "$build" -type f -name '*_fuzzer' -perm -u+x | sort)
# Two at a time at most: each needs a processor to itself.
width=$(nproc)
for ((i = 0; i < ${#fuzzers[@]}; i += width)); do
  pids=()
  for f in "${fuzzers[@]:i:width}"; do
    fuzz "$f" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do
    if wait "$pid"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
  done
done
if [ ${#fuzzers[@]} -eq 0 ]; then
  echo "  there is no fuzzer in $build"
  failed=1
fi
echo "$passed $failed 0"
