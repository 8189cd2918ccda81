#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Breaks the engine on purpose, one promise at a time, and shows which test notices. Works on a copy of the tree;
# prints a table mutation -> test, and fails when one goes unnoticed. tests/support/mutations.md says what each is.
#
#   scripts/mutate.sh [NAME…]     all mutations, or these
#
# KFX_BUILD=<directory>: where to copy and build (default: a temporary one). KFX_JOBS: processes at a time.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
root=$PWD
jobs=${KFX_JOBS:-$(nproc)}
work=${KFX_BUILD:-}
if [ -z "$work" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
fi
mkdir -p "$work" || exit 1
work=$(cd "$work" && pwd)
export KFX_TEST_OPS=${KFX_TEST_OPS:-2000} KFX_TEST_CUTS=${KFX_TEST_CUTS:-300} KFX_TEST_ROUNDS=${KFX_TEST_ROUNDS:-200}

# name | file | perl substitution | programs and topics that should notice, in the order tried
mutations=(
  'no-duplicate-suppression|src/engine/session_link.cpp|s/\n  skip_seen\(peer_taken\);/\n  (void)peer_taken;/|faulty_tcp:faults faulty_loop:faults'
  'no-fence|src/engine/session_link.cpp|s/\n  if \(link_\) drop_link\([^\n]*\);\n  return rx_taken_;/\n  return rx_taken_;/|faulty_tcp:faults faulty_loop:faults faulty_sim:faults'
  'no-credit-return|src/engine/session_pump.cpp|s/\n  \+\+credits_;/\n/|tcp:flow tcp:order tcp:verbs'
  'no-quiescence|src/engine/session_end.cpp|s/if \(!link_->quiesce\([^\n]*\)\) return false;//|tcp:memory loopback_framed:memory sim_rdma:memory faulty_tcp:memory'
  'no-diversion|src/engine/session_end.cpp|s/\n    link_->divert\(\);\n    bulk_\.op = nullptr;/\n    bulk_.op = nullptr;/|tcp:memory loopback_framed:memory'
  'early-ack|src/engine/session.hpp|s/return open_\.empty\(\) \? rx_taken_ : [^;]*;/return rx_taken_;/|tcp:messages loopback_framed:messages'
  'no-cancelled-answer|src/engine/session_pump.cpp|s/type == wire::type::cancel \? wire::wants_result : wire::later/type == wire::type::cancel ? 0 : wire::later/|tcp:flow faulty_sim:flow'
)

refresh() {  # from the checkout; what changes gets a new time, so that it is compiled again
  rsync -rlp --checksum --delete --exclude .git --exclude 'build*' "$root/" "$work/tree/"
}

build() {  # program…
  [ -f "$work/build/build.ninja" ] ||
    meson setup "$work/build" "$work/tree" -Dbuildtype=debugoptimized -Dwerror=false -Dbench=false >"$work/setup.log" 2>&1 ||
    { tail -n 20 "$work/setup.log"; return 1; }
  ninja -C "$work/build" -j "$jobs" "${@/#/tests/conformance/conformance-}" >"$work/compile.log" 2>&1 ||
    { grep -A 10 -E 'error|FAILED' "$work/compile.log" | head -n 40; return 1; }
}

# The name of the first test case that fails, or nothing. A crash or a hang names its test, too.
first_failure() {  # program topic
  local log=$work/$1-$2.log
  timeout 400 "$work/build/tests/conformance/conformance-$1" "[$2]" --abort >"$log" 2>&1 && return 1
  sed -n 's/^HANGS: "\(.*\)" on .*/\1 (hangs)/p' "$log" | grep . && return 0
  awk '/^-{20,}$/ { getline; print; exit }' "$log" | grep . || echo "(the program ended without naming a test)"
}

unnoticed=0
table=()
for m in "${mutations[@]}"; do
  IFS='|' read -r name file change where <<<"$m"
  if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
  refresh
  perl -0pi -e "$change" "$work/tree/$file"
  if cmp -s "$root/$file" "$work/tree/$file"; then
    table+=("$(printf '%-26s %s' "$name" "DOES NOT APPLY to $file any more")")
    unnoticed=$((unnoticed + 1))
    continue
  fi
  found=
  for place in $where; do
    build "${place%%:*}" || { found="does not compile"; break; }
    if found=$(first_failure "${place%%:*}" "${place##*:}"); then
      found="conformance-${place%%:*}-${place##*:}: $found"
      break
    fi
    found=
  done
  if [ -z "$found" ] || [ "$found" = "does not compile" ]; then unnoticed=$((unnoticed + 1)); fi
  table+=("$(printf '%-26s %s' "$name" "${found:-NOTHING NOTICED}")")
  echo "${table[-1]}"
done

echo "== mutation -> the first test that fails"
printf '  %s\n' "${table[@]}"
exit $((unnoticed > 0))
