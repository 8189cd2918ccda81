#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Everything that is checked before a change goes in, from a bare Debian 12 on.
#
#   scripts/test.sh          all stages: release (g++), asan (with UBSan, clang++), tsan (clang++), fuzz
#   scripts/test.sh quick    the release stage only (with the structure and install tests)
#   scripts/test.sh STAGE…   these stages
#
# KFX_BUILD=<directory>: where to build (kept; default: build-ci in the checkout). KFX_JOBS: processes at a time.
# The last line is `N passed, N failed`, the one before says how many were skipped; the status is 0 when nothing failed.
# A stage that fails does not keep the others from running. Budget: 30 minutes on two processors.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
source_root=$PWD
build_root=${KFX_BUILD:-$source_root/build-ci}
jobs=${KFX_JOBS:-$(nproc)}
export KFX_JOBS=$jobs
mkdir -p "$build_root" || exit 1
build_root=$(cd "$build_root" && pwd)

passed=0 failed=0 skipped=0
times=()

add() {  # passed failed skipped
  passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}

# Runs a stage's function, times it, and counts a failure that it did not count itself.
stage() {  # name function [argument…]
  local name=$1 begin=$SECONDS before=$failed status=0 outcome=ok
  shift
  echo "== $name"
  "$@" || status=$?
  if [ "$status" -ne 0 ] && [ "$failed" -eq "$before" ]; then
    echo "  $name: failed before or outside its tests (status $status)"
    failed=$((failed + 1))
  fi
  [ "$failed" -eq "$before" ] || outcome=FAILED
  times+=("$(printf '%-10s %-6s %4d s' "$name" "$outcome" $((SECONDS - begin)))")
  echo "== $name: $outcome after $((SECONDS - begin)) s"
}

configure() {  # name [meson option…]
  local build=$build_root/$1
  shift
  # Options may have changed since a build that was kept; the objects are still good.
  if [ -f "$build/build.ninja" ]; then
    meson setup --reconfigure "$build" "$source_root" -Dwerror=true "$@"
  else
    rm -rf "$build"
    meson setup "$build" "$source_root" -Dwerror=true "$@"
  fi >"$build_root/setup.log" 2>&1 || { tail -n 40 "$build_root/setup.log"; return 1; }
  sed -n '/^  Built/,/^  User defined/p' "$build_root/setup.log" | grep -v 'User defined'
}

compile() {  # name
  local log=$build_root/$1.compile.log
  ninja -C "$build_root/$1" -k 0 -j "$jobs" >"$log" 2>&1 && return 0
  grep -E -A 12 'error|FAILED' "$log" | head -n 150
  return 1
}

run_tests() {  # name [meson test argument…]
  local name=$1 build=$build_root/$1 wrapper=() lines status=0
  shift
  rm -f "$build"/meson-logs/testlog.*
  # TSan maps its shadow at fixed addresses, which a kernel with more address randomness than it knows may have used.
  if [ "$name" = tsan ] && setarch -R true 2>/dev/null; then wrapper=(setarch -R); fi
  "${wrapper[@]}" meson test -C "$build" --no-rebuild --print-errorlogs --num-processes "$jobs" "$@" || status=$?
  mapfile -t lines < <(python3 scripts/summarise.py "$name" "$build")
  printf '%s\n' "${lines[@]:0:${#lines[@]}-1}"
  # shellcheck disable=SC2086  # three numbers
  add ${lines[-1]}
  return "$status"
}

build_and_test() {  # name "setup options" [meson test argument…]
  local name=$1 options=$2 status=0
  shift 2
  # shellcheck disable=SC2086  # a list of words
  configure "$name" $options || return 1
  # What did compile is tested all the same.
  compile "$name" || { status=1; echo "  $name: does not compile"; failed=$((failed + 1)); }
  run_tests "$name" "$@" || status=1
  return $status
}

release() { build_and_test release '-Dbuildtype=release' --timeout-multiplier 2; }

# Fewer, larger translation units: half the time. The release stage compiles each file by itself.
unity='-Dunity=on -Dunity_size=6'
# The structure of the tree and its installation are the same under every instrument: once is enough.
instrumented=(--no-suite structure --no-suite install --timeout-multiplier 6)

with_clang() { CC=clang CXX=clang++ "$@"; }

asan() {
  export ASAN_OPTIONS=halt_on_error=1:abort_on_error=1:detect_stack_use_after_return=1:strict_string_checks=1
  export UBSAN_OPTIONS=halt_on_error=1:abort_on_error=1:print_stacktrace=1
  with_clang build_and_test asan "-Dbuildtype=debug -Doptimization=1 -Db_sanitize=address,undefined -Db_lundef=false $unity" \
    "${instrumented[@]}"
}

tsan() {
  export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:suppressions=$source_root/tests/support/tsan.supp
  with_clang build_and_test tsan "-Dbuildtype=debug -Doptimization=1 -Db_sanitize=thread -Db_lundef=false -Dbench=false $unity" \
    "${instrumented[@]}"
}

fuzz() {
  local lines
  with_clang configure fuzz -Dfuzz=true -Dbuildtype=debugoptimized -Dbench=false -Dexamples=false || return 1
  # Only the fuzzers and what they need.
  local targets
  mapfile -t targets < <(ninja -C "$build_root/fuzz" -t targets all 2>/dev/null | sed -n 's/^\([^ ]*_fuzzer\): .*/\1/p' | sort -u)
  ninja -C "$build_root/fuzz" -k 0 -j "$jobs" "${targets[@]}" >"$build_root/fuzz.compile.log" 2>&1 ||
    { grep -E -A 12 'error|FAILED' "$build_root/fuzz.compile.log" | head -n 80; return 1; }
  mapfile -t lines < <(bash scripts/fuzz.sh "$build_root/fuzz" "${KFX_FUZZ_SECONDS:-60}")
  printf '%s\n' "${lines[@]:0:${#lines[@]}-1}"
  # shellcheck disable=SC2086  # three numbers
  add ${lines[-1]}
}

stages=("$@")
case ${1:-} in
  '') stages=(release asan tsan fuzz) ;;
  quick) stages=(release) ;;
esac
for s in "${stages[@]}"; do
  case $s in
    release | asan | tsan | fuzz) ;;
    *) echo "test.sh: there is no stage \"$s\"; there are quick, release, asan, tsan, fuzz" >&2; exit 2 ;;
  esac
done

stage packages sh scripts/install-packages.sh
for s in "${stages[@]}"; do
  stage "$s" "$s"
  unset ASAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS
done

echo "== times"
printf '  %s\n' "${times[@]}"
printf '  %-17s %4d s\n' total "$SECONDS"
[ "$skipped" -eq 0 ] || echo "$skipped skipped: what a stage's instrument does not allow; named above"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
